// One's status: what the person chose, and away by itself after a while without a sign of them.

const AWAY_AFTER_MS = 10 * 60_000;

export class Presence {
  #send;
  #chosen = "ONLINE";
  #said = "ONLINE";
  #seenAt = performance.now();

  /** `send(status)` tells the server. */
  constructor(send) {
    this.#send = send;
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => this.alive(), { passive: true });
    setInterval(() => this.#tick(), 30_000);
  }

  get chosen() {
    return this.#chosen;
  }

  choose(status) {
    this.#chosen = status;
    this.alive();
    this.#say(status);
  }

  /** A sign of the person. */
  alive() {
    this.#seenAt = performance.now();
    this.#say(this.#chosen);
  }

  /** A new connection starts as online. */
  renew() {
    this.#said = "ONLINE";
    this.#say(this.#chosen);
  }

  #tick() {
    if (this.#chosen === "ONLINE" && performance.now() - this.#seenAt > AWAY_AFTER_MS) this.#say("AWAY");
  }

  #say(status) {
    if (status === this.#said) return;
    this.#said = status;
    this.#send(status);
  }
}
