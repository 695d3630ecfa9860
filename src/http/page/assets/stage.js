// What rises above the keys: every note as a stroke of its player's colour, drawn as its sound goes.
//
// A stroke is broad and bright where the hammer struck and thins out as the string decays; a thread goes on for as long
// as only the pedal holds the note. Beside the strokes stand the names of those who play. With reduced motion nothing
// rises: held keys glow, and fade when they are released.

import { LOWEST, HIGHEST, KEYS } from "./keys.js";
import { onInk } from "./colours.js";

const RISE_PX_PER_MS = 0.105;
const MAX_STROKES = 900;
const RICH_STROKES = 260;
const TAG_MS = 1_600;
const FADE_MS = 500;
/** Rings of light about a stroke: how far out, in px, and how bright. */
const HALO = [[9, 0.05], [5, 0.08], [2, 0.14]];

export class Stage {
  #canvas;
  #pen;
  #keyboard;
  #strokes = [];
  #open = new Map();
  #tags = new Map();
  #width = 0;
  #height = 0;
  #ratio = 1;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #blank = false;
  #rich = true;

  constructor(canvas, keyboard) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    this.#keyboard = keyboard;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    this.#fit();
  }

  strike(who, note, velocity, now) {
    const id = `${who.participant}/${note}`;
    this.#finish(id, now);
    const stroke = { note, velocity, rgb: onInk(who.colour), start: now, lifted: null, end: null };
    this.#open.set(id, stroke);
    this.#strokes.push(stroke);
    if (this.#strokes.length > MAX_STROKES) this.#strokes.splice(0, this.#strokes.length - MAX_STROKES);
    this.#name(who, note, now);
    this.#blank = false;
  }

  /** The finger is up; with `pedalled` the string sounds on until `damp`. */
  lift(who, note, pedalled, now) {
    const id = `${who.participant}/${note}`;
    const stroke = this.#open.get(id);
    if (stroke) stroke.lifted ??= now;
    if (!pedalled) this.#finish(id, now);
    this.#tags.get(who.participant)?.notes.delete(note);
  }

  /** The dampers of one participant fall on all that no finger holds. */
  damp(who, now) {
    const prefix = `${who.participant}/`;
    for (const [id, stroke] of this.#open) {
      if (id.startsWith(prefix) && stroke.lifted !== null) this.#finish(id, now);
    }
  }

  silence(who, now) {
    const prefix = `${who.participant}/`;
    for (const id of this.#open.keys()) if (id.startsWith(prefix)) this.#finish(id, now);
    this.#tags.delete(who.participant);
  }

  draw(now) {
    if (this.#blank) return;
    const pen = this.#pen;
    pen.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    pen.clearRect(0, 0, this.#width, this.#height);
    this.#rules();
    const still = this.#still.matches;
    const gone = still ? FADE_MS : this.#height / RISE_PX_PER_MS;
    this.#strokes = this.#strokes.filter((stroke) => stroke.end === null || now - stroke.end < gone);
    // In a storm of notes the halos are the first to go.
    this.#rich = this.#strokes.length < RICH_STROKES;
    for (const stroke of this.#strokes) {
      if (still) this.#glow(stroke, now);
      else this.#stroke(stroke, now);
    }
    this.#names(now);
    this.#blank = this.#strokes.length === 0 && this.#tags.size === 0;
  }

  /** The view moved: draw again even when nothing sounds. */
  refresh() {
    this.#blank = false;
  }

  #finish(id, now) {
    const stroke = this.#open.get(id);
    if (!stroke) return;
    stroke.lifted ??= now;
    stroke.end = now;
    this.#open.delete(id);
  }

  #fit() {
    this.#ratio = Math.min(2, devicePixelRatio || 1);
    this.#width = this.#canvas.clientWidth;
    this.#height = this.#canvas.clientHeight;
    this.#canvas.width = Math.round(this.#width * this.#ratio);
    this.#canvas.height = Math.round(this.#height * this.#ratio);
    this.#blank = false;
  }

  /** Hairlines above each C: the eye finds its octave. */
  #rules() {
    const pen = this.#pen;
    const shade = pen.createLinearGradient(0, 0, 0, this.#height);
    shade.addColorStop(0, "rgb(214 178 116 / 0)");
    shade.addColorStop(1, "rgb(214 178 116 / 0.13)");
    pen.fillStyle = shade;
    for (const { note } of KEYS) {
      if (note % 12 !== 0) continue;
      const place = this.#keyboard.place(note);
      if (place.x < -1 || place.x > this.#width) continue;
      pen.fillRect(Math.round(place.x), 0, 1, this.#height);
    }
  }

  #stroke(stroke, now) {
    const place = this.#keyboard.place(stroke.note);
    if (!place || place.x + place.width < 0 || place.x > this.#width) return;
    const floor = this.#height;
    const top = floor - (now - stroke.start) * RISE_PX_PER_MS;
    const bottom = stroke.lifted === null ? floor : floor - (now - stroke.lifted) * RISE_PX_PER_MS;
    const thread = stroke.end === null ? floor : floor - (now - stroke.end) * RISE_PX_PER_MS;
    if (thread < 0) return;
    const force = 0.35 + 0.65 * (stroke.velocity / 127);
    const x = place.x + place.width / 2;
    const wide = Math.max(3, Math.min(26, place.width * (place.black ? 0.92 : 0.72)) * (0.55 + 0.45 * force));
    // How much of the sound is left at the lower end: bass strings ring long, the treble is soon over.
    const life = 3_400 * 2 ** ((60 - stroke.note) / 26);
    const left = Math.exp(-((stroke.lifted ?? now) - stroke.start) / life);
    const narrow = wide * (0.3 + 0.7 * left);
    const height = Math.max(bottom - top, wide * 0.6);
    const base = top + height;
    const [r, g, b] = stroke.rgb;
    const high = Math.max(0, Math.min(1, (top + 40) / (this.#height * 0.55)));
    const alpha = force * (0.3 + 0.7 * high);

    const pen = this.#pen;
    if (thread > base + 1) {
      const trail = pen.createLinearGradient(0, base, 0, thread);
      trail.addColorStop(0, `rgb(${r} ${g} ${b} / ${0.5 * alpha})`);
      trail.addColorStop(1, `rgb(${r} ${g} ${b} / ${0.08 * alpha})`);
      pen.fillStyle = trail;
      pen.fillRect(x - 0.75, base - 1, 1.5, thread - base + 1);
    }
    for (const [grow, light] of this.#rich ? HALO : []) {
      pen.fillStyle = `rgb(${r} ${g} ${b} / ${light * alpha})`;
      brush(pen, x, top - grow, base + grow, wide + 2 * grow, narrow + 2 * grow);
    }
    // The strike is the brightest; from there it goes as the string does.
    const ink = pen.createLinearGradient(0, top, 0, base);
    const head = Math.min(0.5, wide / height);
    ink.addColorStop(0, `rgb(${(r + 255) >> 1} ${(g + 246) >> 1} ${(b + 226) >> 1} / ${alpha})`);
    ink.addColorStop(head, `rgb(${r} ${g} ${b} / ${0.92 * alpha})`);
    ink.addColorStop(1, `rgb(${r} ${g} ${b} / ${alpha * (0.12 + 0.6 * left)})`);
    pen.fillStyle = ink;
    brush(pen, x, top, base, wide, narrow);
    if (stroke.lifted === null) this.#ember(x, wide, stroke.rgb, force * (0.35 + 0.65 * left));
  }

  /** The light a sounding key throws up from below. */
  #ember(x, wide, [r, g, b], strength) {
    const pen = this.#pen;
    const radius = 26 + wide * 1.9;
    const light = pen.createRadialGradient(x, this.#height, 0, x, this.#height, radius);
    light.addColorStop(0, `rgb(${r} ${g} ${b} / ${0.5 * strength})`);
    light.addColorStop(1, `rgb(${r} ${g} ${b} / 0)`);
    pen.fillStyle = light;
    pen.fillRect(x - radius, this.#height - radius, radius * 2, radius);
  }

  #glow(stroke, now) {
    const place = this.#keyboard.place(stroke.note);
    if (!place) return;
    const fade = stroke.end === null ? 1 : 1 - (now - stroke.end) / FADE_MS;
    this.#ember(place.x + place.width / 2, place.width, stroke.rgb, Math.max(0, fade));
  }

  // Names

  #name(who, note, now) {
    const tag = this.#tags.get(who.participant) ?? { x: null, notes: new Set(), last: note };
    tag.text = who.name;
    tag.rgb = onInk(who.colour);
    tag.at = now;
    tag.last = note;
    tag.notes.add(note);
    this.#tags.set(who.participant, tag);
  }

  #names(now) {
    const pen = this.#pen;
    pen.font = "600 12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const taken = [];
    for (const [id, tag] of this.#tags) {
      const age = now - tag.at;
      if (tag.notes.size === 0 && age > TAG_MS) {
        this.#tags.delete(id);
        continue;
      }
      const notes = tag.notes.size ? [...tag.notes] : [tag.last];
      const places = notes.filter((n) => n >= LOWEST && n <= HIGHEST).map((n) => this.#keyboard.place(n));
      if (places.length === 0) continue;
      const middle = places.reduce((sum, place) => sum + place.x + place.width / 2, 0) / places.length;
      tag.x = tag.x === null || this.#still.matches ? middle : tag.x + (middle - tag.x) * 0.14;
      const letters = [...tag.text];
      const text = letters.length > 22 ? `${letters.slice(0, 21).join("")}…` : tag.text;
      const width = pen.measureText(text).width + 18;
      const x = Math.max(6, Math.min(this.#width - width - 6, tag.x - width / 2));
      let row = 0;
      while (row < 4 && taken.some((other) => other.row === row && x < other.end && other.start < x + width)) row += 1;
      taken.push({ row, start: x - 4, end: x + width + 4 });
      const fade = tag.notes.size ? 1 : Math.min(1, (TAG_MS - age) / 500);
      const y = this.#height - 20 - row * 25;
      const [r, g, b] = tag.rgb;
      pen.fillStyle = `rgb(22 15 11 / ${0.86 * fade})`;
      pill(pen, x, y - 10, width, 20);
      pen.strokeStyle = `rgb(${r} ${g} ${b} / ${0.75 * fade})`;
      pen.lineWidth = 1;
      pen.stroke();
      pen.fillStyle = `rgb(${r} ${g} ${b} / ${fade})`;
      pen.fillText(text, x + 9, y + 0.5);
    }
  }
}

/** A stroke with round ends, `wide` at its top and `narrow` at its bottom. */
function brush(pen, x, top, bottom, wide, narrow) {
  const squeeze = Math.min(1, (2 * (bottom - top)) / (wide + narrow));
  const a = wide / 2;
  const b = narrow / 2;
  pen.beginPath();
  pen.ellipse(x, top + a * squeeze, a, a * squeeze, 0, Math.PI, 0);
  pen.ellipse(x, bottom - b * squeeze, b, b * squeeze, 0, 0, Math.PI);
  pen.closePath();
  pen.fill();
}

function pill(pen, x, y, width, height) {
  pen.beginPath();
  pen.roundRect(x, y, width, height, height / 2);
  pen.fill();
}
