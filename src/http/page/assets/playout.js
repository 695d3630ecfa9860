// When to sound what another participant played: one jitter buffer for each.
//
// An event is due a fixed while after its own time, so that the player's rhythm survives the network's. That while is
// the least delay seen lately plus a margin of 20 to 60 ms that follows how much the delays vary. It grows as soon as
// it must and shrinks slowly. Events of a participant are never reordered, and one that comes too late is due at once.

const REMEMBERED = 48;
/** So many messages are no rhythm yet: until then the buffer takes any size at once. */
const SETTLED = 8;
const MARGIN_MIN_MS = 20;
const MARGIN_MAX_MS = 60;
/** How fast the buffer shrinks when the network has calmed down: a share of the excess, and at least so many ms, a second. */
const SHRINK_SHARE = 0.25;
const SHRINK_MS = 2;

export class Playout {
  #delays = [];
  #hold = MARGIN_MIN_MS;
  #last = -Infinity;
  #seenAt = 0;

  /** Notes that a message stamped `stampMs` arrived at `arrivalMs`, both by the same clock. */
  observe(stampMs, arrivalMs) {
    const delay = Math.max(0, arrivalMs - stampMs);
    this.#delays.push(delay);
    if (this.#delays.length > REMEMBERED) this.#delays.shift();
    const sorted = [...this.#delays].sort((a, b) => a - b);
    const base = sorted[0];
    const late = sorted[Math.floor((sorted.length - 1) * 0.95)];
    const wanted = base + Math.min(MARGIN_MAX_MS, Math.max(MARGIN_MIN_MS, late - base + 4));
    if (this.#delays.length < SETTLED || wanted >= this.#hold) {
      this.#hold = wanted;
    } else {
      const seconds = Math.min(1, Math.max(0, arrivalMs - this.#seenAt) / 1000);
      const step = Math.max(SHRINK_MS, SHRINK_SHARE * (this.#hold - wanted));
      this.#hold = Math.max(wanted, this.#hold - step * seconds);
    }
    this.#seenAt = arrivalMs;
  }

  /** When an event of time `eventMs` that is here at `nowMs` is to sound, by the same clock. */
  due(eventMs, nowMs) {
    this.#last = Math.max(this.#last, nowMs, eventMs + this.#hold);
    return this.#last;
  }

  /** After a silence of this participant: what was due later no longer holds the next events up. */
  reset() {
    this.#last = -Infinity;
  }

  /** The present distance between playing and sounding, in ms. */
  get hold() {
    return this.#hold;
  }
}
