// One's own playing, wherever it comes from: fingers, mouse, the computer's keys, a MIDI keyboard, the pedal.
//
// A note sounds here at once and is sent at once. Two sources may hold the same key; it is released when the last lets
// go. What was never sent is not ended at the others either.

import { Outgoing } from "./outgoing.js";

const TYPED_CHANNEL = 0;
/** Event times older than this come from a clock that is not ours. */
const OLDEST_MS = 200;

export class Hands {
  #outgoing;
  #audible;
  #performer = null;
  #holders = new Map();
  #sent = new Set();
  #pedals = new Set();
  #pedalSent = new Set();

  /**
   * `send(events)` puts events on the wire; `audible()` says whether others may hear this participant now.
   */
  constructor(send, audible) {
    this.#outgoing = new Outgoing(send);
    this.#audible = audible;
    this.onpedal = null;
    this.onplay = null;
  }

  set performer(performer) {
    this.#performer = performer;
  }

  get sustained() {
    return this.#pedals.size > 0;
  }

  press(note, velocity, source, time) {
    this.#press(TYPED_CHANNEL, note, velocity, source, time);
  }

  lift(note, source, time) {
    this.#lift(TYPED_CHANNEL, note, source, time);
  }

  /** The sustain pedal, of which there may be several: it is up when all are. */
  pedal(down, source, time) {
    const before = this.sustained;
    if (down) this.#pedals.add(source);
    else this.#pedals.delete(source);
    if (before === this.sustained) return;
    this.#play([0xb0 | TYPED_CHANNEL, 64, this.sustained ? 127 : 0], time);
    this.onpedal?.(this.sustained);
  }

  /** A channel message as a MIDI keyboard sends it. */
  midi(data, source, time) {
    const [status, data1 = 0, data2 = 0] = data;
    const channel = status & 0x0f;
    switch (status & 0xf0) {
      case 0x90:
        if (data2 > 0) this.#press(channel, data1, data2, source, time);
        else this.#lift(channel, data1, source, time);
        break;
      case 0x80:
        this.#lift(channel, data1, source, time);
        break;
      case 0xb0:
        if (data1 === 64 && channel === TYPED_CHANNEL) this.pedal(data2 >= 64, source, time);
        else if (data1 < 120 || data1 === 123) this.#play([status, data1, data2], time);
        break;
      case 0xe0:
        this.#play([status, data1, data2], time);
        break;
      default:
    }
  }

  /** Lets go of what one source holds. */
  releaseSource(source) {
    for (const [key, holders] of [...this.#holders]) {
      if (holders.has(source)) this.#lift(key >> 7, key & 0x7f, source);
    }
    this.pedal(false, source);
  }

  /** Another room or connection: nobody there holds anything of ours. */
  forgetSent() {
    this.#outgoing.discard();
    this.#sent.clear();
    this.#pedalSent.clear();
  }

  #press(channel, note, velocity, source, time) {
    const key = channel * 128 + note;
    const holders = this.#holders.get(key) ?? new Set();
    holders.add(source);
    this.#holders.set(key, holders);
    this.#play([0x90 | channel, note, velocity], time);
    this.onplay?.(note);
  }

  #lift(channel, note, source, time) {
    const key = channel * 128 + note;
    const holders = this.#holders.get(key);
    if (!holders?.delete(source) || holders.size > 0) return;
    this.#holders.delete(key);
    this.#play([0x80 | channel, note, 64], time);
  }

  #play(bytes, time) {
    const now = performance.now();
    const at = time > now - OLDEST_MS && time <= now ? time : now;
    const [status, data1, data2] = bytes;
    this.#performer?.part.play(status, data1, data2, now);
    this.#performer?.show(status, data1, data2, now);
    if (this.#worthSending(status, data1, data2)) this.#outgoing.push(bytes, at, now);
  }

  /** Keeps the books of what others believe to be held. */
  #worthSending(status, data1, data2) {
    const channel = status & 0x0f;
    const key = channel * 128 + data1;
    const kind = status & 0xf0;
    if (kind === 0x90) {
      if (!this.#audible()) return false;
      this.#sent.add(key);
      return true;
    }
    if (kind === 0x80) return this.#sent.delete(key);
    if (kind === 0xb0 && data1 === 64) {
      if (data2 < 64) return this.#pedalSent.delete(channel);
      if (!this.#audible()) return false;
      this.#pedalSent.add(channel);
      return true;
    }
    return this.#audible();
  }
}
