// The server's clock as seen from here, and what is told of the connection by it.
//
// Offset and delay are those of NTP. Of the last eight samples the one with the least delay is believed: delay that a
// queue added makes a sample's offset wrong, so the quickest round trip tells the most (RFC 5905, clock filter).

const SAMPLES = 8;
/** A step this large is taken at once; smaller ones are approached, so that playing does not jolt. */
const STEP_MS = 40;

export class ServerClock {
  #samples = [];
  #offset = null;

  /** A first guess from `Welcome`, until samples come; off by the time the message took. */
  guess(serverUs, nowMs) {
    if (this.#offset === null) this.#offset = serverUs / 1000 - nowMs;
  }

  /** Takes one exchange: when it was sent and came back here (ms), when the server had it (µs). */
  sample(sentMs, serverReceiveUs, serverSendUs, nowMs) {
    const t1 = serverReceiveUs / 1000;
    const t2 = serverSendUs / 1000;
    const delay = Math.max(0, nowMs - sentMs - (t2 - t1));
    const offset = (t1 - sentMs + (t2 - nowMs)) / 2;
    this.#samples.push({ delay, offset });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    const best = this.#samples.reduce((a, b) => (b.delay < a.delay ? b : a));
    const error = best.offset - (this.#offset ?? best.offset);
    const first = this.#samples.length === 1;
    this.#offset = first || Math.abs(error) > STEP_MS ? best.offset : this.#offset + error * 0.3;
  }

  /** Forgets the samples: another connection may be to another server. The offset stays as a first guess. */
  reset() {
    this.#samples = [];
  }

  /** Whether server time can be told at all. */
  get known() {
    return this.#offset !== null;
  }

  /** How many samples the present figure rests on. */
  get samples() {
    return this.#samples.length;
  }

  /** The least round trip of the last samples in ms; `null` before the first. */
  get roundTrip() {
    return this.#samples.length ? Math.min(...this.#samples.map((sample) => sample.delay)) : null;
  }

  get offset() {
    return this.#offset;
  }

  /** Server time in ms at a moment of `performance.now()`. */
  toServer(localMs) {
    return localMs + (this.#offset ?? 0);
  }

  /** The moment of `performance.now()` at a server time in ms. */
  toLocal(serverMs) {
    return serverMs - (this.#offset ?? 0);
  }
}
