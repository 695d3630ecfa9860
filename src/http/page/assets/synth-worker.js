// Renders the piano's samples, off the page's own thread: one stereo tone for every few keys.
//
// A tone is a sum of damped sinusoids, as a struck string's is. For each partial: its frequency with the
// stiffness of a real string (inharmonicity), its strength from the hammer's place and hardness and from the
// soundboard, and two or three strings that beat slowly against each other, which gives a fast first decay and a
// long after-sound. A short knock of hammer and wood goes in front. What velocity, pitch and dampers do to a
// tone is up to `sound.js`.
//
// The bank is the same at every visit: the noise comes from a seeded generator.

"use strict";

const TAU = 2 * Math.PI;

/** Keys that are rendered; those between play the nearest one, at most two semitones away. Middle ones first. */
function roots() {
  const all = [];
  for (let note = 23; note <= 107; note += 4) all.push(note);
  return all.sort((a, b) => Math.abs(a - 62) - Math.abs(b - 62));
}

/** mulberry32: small, fast and the same everywhere. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** How far a string's partials are stretched: the sum of a bass and a treble trend (Rigaud et al. 2011). */
function inharmonicity(note) {
  return Math.exp(0.0926 * note - 13.64) + Math.exp(-0.0847 * note - 5.82);
}

/** The soundboard's colour: one fixed curve over frequency, so that all keys sound like one instrument. */
function soundboard(frequency) {
  const low = 1 / (1 + (75 / frequency) ** 2);
  const octave = Math.log2(frequency / 55);
  const ripple = 1 + 0.22 * Math.sin(3.1 * octave + 0.6) + 0.14 * Math.sin(7.7 * octave + 2.1);
  const presence = 1 + 0.5 * Math.exp(-(((Math.log2(frequency / 1900)) / 0.8) ** 2));
  const air = 1 / (1 + (frequency / 6500) ** 2);
  return low * ripple * presence * air;
}

/** Seconds of tone worth keeping. */
function lengthOf(note) {
  return Math.max(1.1, Math.min(9, 9 * 2 ** ((47 - note) / 25)));
}

/** Adds a damped sinusoid to `out` by the two-term recurrence: two multiplications a sample. */
function addPartial(out, rate, frequency, decay, amplitude, phase) {
  const r = Math.exp(-decay / rate);
  const w = (TAU * frequency) / rate;
  const b1 = 2 * r * Math.cos(w);
  const b2 = -r * r;
  let y1 = (amplitude * Math.sin(phase - w)) / r;
  let y2 = (amplitude * Math.sin(phase - 2 * w)) / (r * r);
  // Beyond 72 dB below its start a partial is not heard.
  const count = Math.min(out.length, Math.ceil((8.3 / decay) * rate));
  for (let i = 0; i < count; i++) {
    const y = b1 * y1 + b2 * y2;
    y2 = y1;
    y1 = y;
    out[i] += y;
  }
}

function addKnock(left, right, rate, note, level, random) {
  // The modes of the case and the key bed, the same for all keys.
  const modes = [
    [92, 38, 1.0], [143, 46, 0.8], [218, 60, 0.7], [331, 80, 0.5], [487, 110, 0.4], [760, 150, 0.25],
  ];
  for (const [frequency, decay, weight] of modes) {
    const phase = random() * TAU;
    addPartial(left, rate, frequency, decay, level * weight, phase);
    addPartial(right, rate, frequency * 1.013, decay, level * weight, phase + 0.9);
  }
  // Felt on wire: a breath of noise, brighter for higher keys.
  const count = Math.floor(rate * 0.035);
  const smooth = Math.exp((-TAU * (1400 + 30 * (note - 21))) / rate);
  let l = 0;
  let r = 0;
  for (let i = 0; i < count; i++) {
    const envelope = Math.exp(-i / (rate * 0.007)) * level * 2.2;
    l = l * smooth + (1 - smooth) * (random() * 2 - 1);
    r = r * smooth + (1 - smooth) * (random() * 2 - 1);
    left[i] += l * envelope;
    right[i] += r * envelope;
  }
}

function render(note, rate) {
  const random = generator(note * 7919);
  const f0 = 440 * 2 ** ((note - 69) / 12);
  const stiffness = inharmonicity(note);
  const count = Math.floor(lengthOf(note) * rate);
  const left = new Float32Array(count);
  const right = new Float32Array(count);

  const height = (note - 21) / 87;
  const strike = 0.122 - 0.04 * height;
  // The fundamental's rate of decay, per second: bass strings ring for ten seconds and more, the top for half of one.
  const sigma = 0.34 * 2 ** ((note - 33) / 19);
  const slope = 0.55 + 0.75 * height;
  const limit = Math.min(rate * 0.45, 11000);
  const strings = note < 33 ? 1 : note < 46 ? 2 : 3;

  for (let n = 1; n <= 64; n++) {
    const frequency = n * f0 * Math.sqrt((1 + stiffness * n * n) / (1 + stiffness));
    if (frequency > limit) break;
    const place = Math.abs(Math.sin(Math.PI * n * strike)) * 0.88 + 0.12;
    // The felt is on the string for a few milliseconds and takes the top off.
    const felt = Math.exp(-((frequency / (2600 + 2600 * height)) ** 1.15));
    const strength = place * n ** -slope * felt * soundboard(frequency);
    if (strength < 2e-5) continue;
    const loss = sigma * (1 + 0.06 * n) + 2.1e-7 * frequency * frequency;
    const phase = random() * 0.5;
    // In a unison the strings' common motion dies fast, their motion against each other slowly.
    const spread = (0.00011 + 0.00007 * random()) * frequency + 0.05;
    const pan = 0.18 * (random() * 2 - 1);
    const l = strength * (0.78 - 0.2 * (height - 0.5) - pan * 0.5);
    const r = strength * (0.78 + 0.2 * (height - 0.5) + pan * 0.5);
    addPartial(left, rate, frequency, loss * 1.75, l * 0.66, phase);
    addPartial(right, rate, frequency, loss * 1.75, r * 0.66, phase + 0.12);
    addPartial(left, rate, frequency + spread * 0.5, loss * 0.5, l * 0.3, phase);
    addPartial(right, rate, frequency + spread * 0.5, loss * 0.5, r * 0.22, phase);
    if (strings > 1) {
      addPartial(left, rate, frequency - spread * 0.6, loss * 0.42, l * 0.16, phase);
      addPartial(right, rate, frequency - spread * 0.6, loss * 0.42, r * 0.26, phase + 0.2);
    }
  }

  // Equal loudness by ear rather than by peak: the level of the first half second, the bass a little fuller.
  let energy = 0;
  const window = Math.min(count, Math.floor(rate * 0.5));
  for (let i = 0; i < window; i++) energy += left[i] * left[i] + right[i] * right[i];
  const loudness = Math.sqrt(energy / (2 * window)) || 1;
  const gain = (0.115 - 0.045 * height) / loudness;
  for (let i = 0; i < count; i++) {
    left[i] *= gain;
    right[i] *= gain;
  }
  addKnock(left, right, rate, note, 0.011 + 0.012 * height, random);

  // A millisecond of rise against the click, and a fade so that the end is silence.
  const rise = Math.floor(rate * (0.0022 - 0.0014 * height));
  for (let i = 0; i < rise; i++) {
    const g = 0.5 - 0.5 * Math.cos((Math.PI * i) / rise);
    left[i] *= g;
    right[i] *= g;
  }
  const fade = Math.floor(count * 0.25);
  for (let i = 0; i < fade; i++) {
    const g = (i / fade) ** 1.5;
    left[count - 1 - i] *= g;
    right[count - 1 - i] *= g;
  }
  return { note, left, right };
}

self.onmessage = ({ data }) => {
  for (const note of roots()) {
    const tone = render(note, data.rate);
    self.postMessage(tone, [tone.left.buffer, tone.right.buffer]);
  }
  self.postMessage({ done: true });
};
