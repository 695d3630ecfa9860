// One participant at the piano: what it holds, what of that is heard and seen, and, for others, when.

import { Playout } from "./playout.js";
import { decodeRun } from "./protocol.js";

/** Events waiting to be seen beyond which they are shown at once: a hidden page draws nothing for a while. */
const MAX_WAITING = 2_048;

/** Anybody at the piano. `who` is `{ participant, userId, name, colour }`. */
export class Performer {
  #held = new Map();
  #sustained = new Set();

  constructor(who, part, keyboard, stage) {
    this.who = who;
    this.part = part;
    this.keyboard = keyboard;
    this.stage = stage;
    this.playedAt = 0;
  }

  /** The notes held down, without the channels they are on. */
  get notes() {
    return new Set([...this.#held.keys()].map((key) => key & 0x7f));
  }

  /** Whether the sustain pedal is down on any channel. */
  get sustained() {
    return this.#sustained.size > 0;
  }

  /** Shows one channel message as happening now. */
  show(status, data1, data2, now) {
    const channel = status & 0x0f;
    const key = channel * 128 + data1;
    const kind = status & 0xf0;
    if (kind === 0x90 && data2 > 0) {
      this.#held.set(key, data2);
      this.playedAt = now;
      this.keyboard.light(data1, this.who, data2);
      this.stage.strike(this.who, data1, data2, now);
    } else if (kind === 0x80 || kind === 0x90) {
      this.#lift(key, now);
    } else if (kind === 0xb0 && data1 === 64) {
      if (data2 >= 64) {
        this.#sustained.add(channel);
      } else if (this.#sustained.delete(channel) && !this.sustained) {
        this.stage.damp(this.who, now);
      }
    } else if (kind === 0xb0 && (data1 === 123 || data1 === 120)) {
      for (const held of [...this.#held.keys()]) if (held >> 7 === channel) this.#lift(held, now);
    }
  }

  /** Ends everything this participant holds or has sounding. */
  silence(now) {
    this.part.silence();
    for (const note of this.notes) this.keyboard.unlight(note, this.who);
    this.#held.clear();
    this.#sustained.clear();
    this.stage.silence(this.who, now);
  }

  /** A name or colour changed. Keys held at this moment change with it. */
  rename(who) {
    const held = [...this.#held];
    this.who = who;
    for (const [key, velocity] of held) this.keyboard.light(key & 0x7f, who, velocity);
  }

  close(now) {
    this.silence(now);
    this.part.close();
  }

  #lift(key, now) {
    if (!this.#held.delete(key)) return;
    const note = key & 0x7f;
    if (this.notes.has(note)) return;
    this.keyboard.unlight(note, this.who);
    this.stage.lift(this.who, note, this.sustained, now);
  }
}

/** Somebody else, whose messages come over the network. */
export class RemotePerformer extends Performer {
  #playout = new Playout();
  #waiting = [];
  #expected = null;
  #gaps = 0;

  /** How many times messages of this participant were missed. */
  get gaps() {
    return this.#gaps;
  }

  /** The distance from their key to our speaker, in ms. */
  get hold() {
    return this.#playout.hold;
  }

  /** Schedules what a message carries. */
  receive(message, clock, now) {
    const sequence = message.sequence ?? 0;
    // Sequence numbers go round at 2^32.
    if (this.#expected !== null && sequence !== this.#expected) {
      const ahead = (sequence - this.#expected) >>> 0;
      if (ahead > 0x7fffffff) return;
      this.#gaps += 1;
      this.silence(now);
    }
    this.#expected = (sequence + 1) >>> 0;

    // Our own clock's time from here on: a step of what we believe of the server's cannot reorder what is due.
    let time = clock.toLocal(Number(message.timestamp ?? 0));
    this.#playout.observe(time, now);
    for (const { delta, status, data1, data2 } of decodeRun(message.midiData)) {
      time += delta;
      const at = this.#playout.due(time, now);
      this.part.play(status, data1, data2, at);
      this.#waiting.push({ at, status, data1, data2 });
    }
    this.drain(this.#waiting.length > MAX_WAITING ? Infinity : now, now);
  }

  /** The server says that messages were missed. */
  gap(nextSequence, now) {
    this.#gaps += 1;
    this.#expected = nextSequence;
    this.silence(now);
  }

  /** Shows what is due by `until`. */
  drain(until, now) {
    let count = 0;
    while (count < this.#waiting.length && this.#waiting[count].at <= until) count += 1;
    for (const { status, data1, data2, at } of this.#waiting.splice(0, count)) {
      this.show(status, data1, data2, Math.min(at, now));
    }
  }

  silence(now) {
    this.#waiting.length = 0;
    this.#playout.reset();
    super.silence(now);
  }
}
