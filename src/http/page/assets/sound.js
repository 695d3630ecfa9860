// The sound: samples from the worker, voices, the room, and the way out through a limiter.
//
// A `Part` is one participant's hands and pedals; it is told events in their order, each with the moment of
// `performance.now()` at which it is to sound, and it may be told ahead of time. Voices are bounded: past the bound the
// one that is missed least gives way.

const MAX_VOICES = 88;
const LOUDNESS = 0.85;
/** From here up a piano has no dampers. */
const FIRST_UNDAMPED = 90;
const PEDAL_THRESHOLD = 64;

export class Sound {
  #context;
  #bank = new Map();
  #nearest = new Array(128).fill(null);
  #voices = new Set();
  #parts = new Set();
  #bus;
  #volume;
  #analyser;
  #window;
  #skew = [-Infinity, -Infinity];
  #skewTurn = 0;
  #complete = false;

  constructor() {
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#wire();
    this.#context.onstatechange = () => {
      this.#skew = [-Infinity, -Infinity];
      this.onstate?.(this.running);
    };
    this.onstate = null;
    const worker = new Worker("/synth-worker.js");
    worker.onmessage = ({ data }) => {
      if (data.done) {
        this.#complete = true;
        worker.terminate();
      } else {
        this.#take(data);
      }
    };
    worker.postMessage({ rate: this.#context.sampleRate });
  }

  get running() {
    return this.#context.state === "running";
  }

  /** Whether a note would be heard: the samples are there and the browser lets the page sound. */
  get ready() {
    return this.running && this.#bank.size > 0;
  }

  /** Whether every sample is there. */
  get complete() {
    return this.#complete;
  }

  /** Browsers let a page sound only after a gesture; call this in one. */
  async wake() {
    if (!this.running) await this.#context.resume().catch(() => {});
  }

  set volume(volume) {
    this.#volume.gain.setTargetAtTime(volume * volume * LOUDNESS, this.#context.currentTime, 0.02);
  }

  part() {
    const part = new Part(this, this.#context, this.#bus);
    this.#parts.add(part);
    return part;
  }

  /** Notes that sound or are about to. */
  get voices() {
    return this.#voices.size;
  }

  /** Root mean square of what leaves the page just now. */
  level() {
    this.#analyser.getFloatTimeDomainData(this.#window);
    let sum = 0;
    for (const sample of this.#window) sum += sample * sample;
    return Math.sqrt(sum / this.#window.length);
  }

  // What follows is for `Part`.

  /** The sample for a note: `{ buffer, root }`. */
  sampleFor(note) {
    return this.#nearest[note];
  }

  admit(voice) {
    if (this.#voices.size >= MAX_VOICES) this.#steal();
    this.#voices.add(voice);
  }

  forget(voice) {
    this.#voices.delete(voice);
  }

  forgetPart(part) {
    this.#parts.delete(part);
  }

  /**
   * The audio clock's time at a moment of `performance.now()`. `currentTime` advances in blocks, so any reading may be
   * late by one; the largest difference of the last seconds is the true one.
   */
  timeOf(momentMs) {
    const now = performance.now();
    const current = this.#context.currentTime;
    const turn = Math.floor(now / 1000);
    if (turn !== this.#skewTurn) {
      this.#skew = turn === this.#skewTurn + 1 ? [this.#skew[1], -Infinity] : [-Infinity, -Infinity];
      this.#skewTurn = turn;
    }
    this.#skew[1] = Math.max(this.#skew[1], current - now / 1000);
    const time = momentMs / 1000 + Math.max(...this.#skew);
    return Math.min(Math.max(time, current), current + 2);
  }

  #take({ note, left, right }) {
    const buffer = this.#context.createBuffer(2, left.length, this.#context.sampleRate);
    buffer.copyToChannel(left, 0);
    buffer.copyToChannel(right, 1);
    this.#bank.set(note, { buffer, root: note });
    for (let key = 0; key < 128; key++) {
      const known = this.#nearest[key];
      if (!known || Math.abs(key - note) < Math.abs(key - known.root)) this.#nearest[key] = this.#bank.get(note);
    }
  }

  #wire() {
    const context = this.#context;
    this.#bus = context.createGain();
    const room = context.createConvolver();
    room.buffer = roomResponse(context);
    const wet = context.createGain();
    wet.gain.value = 0.16;
    this.#volume = context.createGain();
    this.#volume.gain.value = LOUDNESS * 0.5;
    const limiter = context.createDynamicsCompressor();
    limiter.threshold.value = -7;
    limiter.knee.value = 5;
    limiter.ratio.value = 18;
    limiter.attack.value = 0.002;
    limiter.release.value = 0.16;
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = 2048;
    this.#window = new Float32Array(this.#analyser.fftSize);
    this.#bus.connect(this.#volume);
    this.#bus.connect(room).connect(wet).connect(this.#volume);
    this.#volume.connect(limiter).connect(this.#analyser).connect(context.destination);
  }

  /** Ends the voice that is missed least: one already damped, else one only the pedal holds, else the oldest. */
  #steal() {
    let chosen = null;
    let cost = Infinity;
    for (const voice of this.#voices) {
      const rank = voice.damped ? 0 : voice.pedalled ? 1 : 2;
      if (rank < cost) {
        chosen = voice;
        cost = rank;
      }
    }
    if (!chosen) return;
    chosen.end();
    // It fades for a moment yet, but no longer counts.
    this.#voices.delete(chosen);
  }
}

/** The pedals and the shading of one MIDI channel. */
class Channel {
  sustain = false;
  sostenuto = new Set();
  soft = false;
  volume = 1;
  expression = 1;
  bend = 1;
}

export class Part {
  #sound;
  #context;
  #output;
  /** The newest voice of each key, by channel * 128 + note. */
  #sounding = new Map();
  #channels = new Map();
  #voices = new Set();
  #last = 0;

  constructor(sound, context, bus) {
    this.#sound = sound;
    this.#context = context;
    this.#output = context.createGain();
    this.#output.connect(bus);
  }

  /** How loud this participant is here, from 0 to 1. */
  set level(level) {
    this.#output.gain.setTargetAtTime(level, this.#context.currentTime, 0.03);
  }

  /** Plays one channel message at a moment of `performance.now()`. */
  play(status, data1, data2, atMs) {
    const channel = status & 0x0f;
    switch (status & 0xf0) {
      case 0x90:
        if (data2 > 0) this.#strike(channel, data1, data2, atMs);
        else this.#lift(channel, data1, atMs);
        break;
      case 0x80:
        this.#lift(channel, data1, atMs);
        break;
      case 0xb0:
        this.#control(channel, data1, data2, atMs);
        break;
      case 0xe0:
        this.#bend(channel, data1 + data2 * 128, atMs);
        break;
      default:
    }
  }

  /** Ends everything now: what sounds, what is held by pedals, and what was still to come. */
  silence() {
    for (const voice of this.#voices) voice.end();
    this.#sounding.clear();
    this.#channels.clear();
    this.#last = 0;
  }

  close() {
    this.silence();
    this.#sound.forgetPart(this);
    // The voices fade for some hundredths of a second.
    setTimeout(() => this.#output.disconnect(), 300);
  }

  /** The audio clock's time of an event, never before that of the one before it. */
  #time(atMs) {
    this.#last = Math.max(this.#last, this.#sound.timeOf(atMs));
    return this.#last;
  }

  #channel(number) {
    let channel = this.#channels.get(number);
    if (!channel) {
      channel = new Channel();
      this.#channels.set(number, channel);
    }
    return channel;
  }

  #strike(number, note, velocity, atMs) {
    const key = number * 128 + note;
    const sample = this.#sound.sampleFor(note);
    if (!this.#sound.running || !sample) return;
    const at = this.#time(atMs);
    // The hammer meets a string that still moves: the old tone goes, quickly but without a click.
    this.#sounding.get(key)?.damp(at, 0.035);
    const channel = this.#channel(number);
    const voice = new Voice(this.#context, sample, note, velocity, channel, this.#output, at, (ended) => {
      this.#voices.delete(ended);
      this.#sound.forget(ended);
      if (this.#sounding.get(key) === ended) this.#sounding.delete(key);
    });
    this.#sound.admit(voice);
    this.#voices.add(voice);
    this.#sounding.set(key, voice);
  }

  #lift(number, note, atMs) {
    const voice = this.#sounding.get(number * 128 + note);
    if (!voice) return;
    voice.held = false;
    const channel = this.#channel(number);
    if (channel.sustain || channel.sostenuto.has(note)) voice.pedalled = true;
    else voice.damp(this.#time(atMs));
  }

  #control(number, controller, value, atMs) {
    const channel = this.#channel(number);
    const down = value >= PEDAL_THRESHOLD;
    switch (controller) {
      case 7:
        channel.volume = value / 100;
        break;
      case 11:
        channel.expression = value / 127;
        break;
      case 64:
        channel.sustain = down;
        if (!down) this.#dampLifted(number, atMs);
        break;
      case 66:
        channel.sostenuto.clear();
        if (down) {
          for (const [key, voice] of this.#sounding) {
            if (key >> 7 === number && voice.held) channel.sostenuto.add(key & 0x7f);
          }
        } else {
          this.#dampLifted(number, atMs);
        }
        break;
      case 67:
        channel.soft = down;
        break;
      case 120:
        for (const [key, voice] of this.#sounding) if (key >> 7 === number) voice.end();
        break;
      case 121:
        channel.sostenuto.clear();
        channel.sustain = false;
        channel.expression = 1;
        this.#bend(number, 8192, atMs);
        this.#dampLifted(number, atMs);
        break;
      case 123:
        for (const key of this.#sounding.keys()) if (key >> 7 === number) this.#lift(number, key & 0x7f, atMs);
        break;
      default:
    }
  }

  /** Damps what neither a finger nor a pedal holds any more. */
  #dampLifted(number, atMs) {
    const channel = this.#channel(number);
    const at = this.#time(atMs);
    for (const [key, voice] of this.#sounding) {
      if (key >> 7 !== number || voice.held) continue;
      if (!channel.sustain && !channel.sostenuto.has(key & 0x7f)) voice.damp(at);
    }
  }

  #bend(number, value, atMs) {
    const channel = this.#channel(number);
    channel.bend = 2 ** (((value - 8192) / 8192) * (2 / 12));
    const at = this.#time(atMs);
    for (const [key, voice] of this.#sounding) if (key >> 7 === number) voice.bend(channel.bend, at);
  }
}

/** One struck string: sample, brightness by velocity, loudness. */
class Voice {
  held = true;
  pedalled = false;
  damped = false;
  #context;
  #source;
  #gain;
  #note;
  #ratio;

  constructor(context, sample, note, velocity, channel, output, at, onEnd) {
    this.#context = context;
    this.#note = note;
    this.#ratio = 2 ** ((note - sample.root) / 12);
    const force = (velocity / 127) * (channel.soft ? 0.8 : 1);
    const height = Math.min(1, Math.max(0, (note - 21) / 87));
    const pitch = 440 * 2 ** ((note - 69) / 12);

    this.#source = context.createBufferSource();
    this.#source.buffer = sample.buffer;
    this.#source.playbackRate.value = this.#ratio * channel.bend;
    // A soft hammer stays on the string longer and leaves the upper partials asleep.
    const filter = context.createBiquadFilter();
    filter.type = "lowpass";
    filter.Q.value = -3;
    filter.frequency.value = Math.min(15_000, pitch * (1.2 + 3 * force) + 260 + 9_500 * force ** 2.4);
    this.#gain = context.createGain();
    this.#gain.gain.value = force ** 1.55 * (1.05 - 0.15 * height) * channel.volume * channel.expression;
    this.#source.connect(filter).connect(this.#gain).connect(output);
    this.#source.onended = () => {
      this.#gain.disconnect();
      onEnd(this);
    };
    this.#source.start(at);
  }

  /** The damper falls: quickly on thin strings, slowly on the long ones, and not at all at the top. */
  damp(at, tau) {
    if (this.damped && tau === undefined) return;
    this.damped = true;
    const height = Math.min(1, Math.max(0, (this.#note - 21) / 87));
    const time = tau ?? (this.#note >= FIRST_UNDAMPED ? 0.4 : 0.11 - 0.075 * height);
    this.#gain.gain.setTargetAtTime(0, at, time);
    this.#source.stop(at + time * 8);
  }

  bend(ratio, at) {
    this.#source.playbackRate.setTargetAtTime(this.#ratio * ratio, at, 0.01);
  }

  /** Ends it now, even where it has not begun. */
  end() {
    this.damped = true;
    const now = this.#context.currentTime;
    this.#gain.gain.cancelScheduledValues(now);
    this.#gain.gain.setTargetAtTime(0, now, 0.012);
    this.#source.stop(now + 0.08);
  }
}

/** A small wooden hall: a second and a half of noise that darkens as it fades. */
function roomResponse(context) {
  const rate = context.sampleRate;
  const length = Math.floor(rate * 1.5);
  const response = context.createBuffer(2, length, rate);
  for (let side = 0; side < 2; side++) {
    const data = response.getChannelData(side);
    let low = 0;
    for (let i = 0; i < length; i++) {
      const t = i / rate;
      const softness = Math.min(0.93, 0.35 + 0.55 * t);
      low = low * softness + (1 - softness) * (Math.random() * 2 - 1);
      data[i] = t < 0.012 ? 0 : low * Math.exp(-t * 4.4);
    }
  }
  return response;
}
