// One's own notes on their way out: an event leaves at once; what follows it within a moment leaves together.

const GATHER_MS = 5;
const MAX_EVENTS = 256;

export class Outgoing {
  #events = [];
  #timer = 0;
  #sentAt = -Infinity;
  #send;

  /** `send(events)` takes `[{ at, bytes }]` with `at` in ms of `performance.now()`, never falling. */
  constructor(send) {
    this.#send = send;
  }

  push(bytes, at, now) {
    const before = this.#events.at(-1)?.at ?? -Infinity;
    this.#events.push({ at: Math.max(at, before), bytes });
    // Timers of a hidden page fire once a second: there, nothing is gathered.
    if (now - this.#sentAt >= GATHER_MS || this.#events.length >= MAX_EVENTS || document.hidden) {
      this.flush(now);
    } else if (!this.#timer) {
      this.#timer = setTimeout(() => this.flush(performance.now()), Math.max(0, this.#sentAt + GATHER_MS - now));
    }
  }

  flush(now) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#events.length === 0) return;
    this.#sentAt = now;
    const events = this.#events;
    this.#events = [];
    this.#send(events);
  }

  /** The connection is gone: what waited is of no use to anybody. */
  discard() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#events = [];
  }
}
