// The piano's keys on the page: drawing them, lighting them, and playing them with mouse and fingers.
//
// On a narrow screen only a stretch of the keys is shown; the small map above moves it. Every x here is in white keys
// from the left edge of A0, so that the stage can draw above the right key at any zoom.

import { BLACK_REACH, HIGHEST, KEYS, LOWEST, WHITE_KEYS, keyAt, keyOf, nameOf } from "./keys.js";

/** Below this width of a white key, in px, the whole keyboard is no longer playable by finger. */
const NARROWEST_PX = { mouse: 15, finger: 24 };
const COMFORTABLE_PX = 38;
/** How finely a sweep of the hand is followed, in white keys: black keys are a little wider than that. */
const SWEEP_STEP = 0.5;

export class Keyboard {
  #root;
  #bed;
  #map;
  #lens;
  #keys = new Map();
  #touches = new Map();
  #lit = new Map();
  #shown = WHITE_KEYS;
  #left = 0;
  #zoom = null;
  #player;

  /** `player`: `press(note, velocity, source)` and `lift(note, source)`. */
  constructor(root, map, player) {
    this.#root = root;
    this.#map = map;
    this.#player = player;
    /** Told when the view has changed. */
    this.onView = null;
    this.#build();
    this.#listen();
    new ResizeObserver(() => this.#fit()).observe(root);
    this.#fit();
  }

  /** Where a key is drawn now: `{ x, width }` in px from the keyboard's left edge, and whether it is black. */
  place(note) {
    const key = keyOf(note);
    if (!key) return null;
    const unit = this.#root.clientWidth / this.#shown;
    return { x: (key.left - this.#left) * unit, width: key.width * unit, black: key.black };
  }

  /** The lowest and highest white key in view, by name. */
  get range() {
    const first = keyAt(this.#left + 0.5, 1) ?? keyOf(LOWEST);
    const last = keyAt(Math.min(WHITE_KEYS, this.#left + this.#shown) - 0.5, 1) ?? keyOf(HIGHEST);
    return `${nameOf(first.note)} to ${nameOf(last.note)}`;
  }

  /** Lights a key for somebody. The newest light of a key is the one shown. */
  light(note, who, velocity) {
    const lights = this.#lit.get(note) ?? new Map();
    lights.delete(who.participant);
    lights.set(who.participant, { colour: who.colour, velocity });
    this.#lit.set(note, lights);
    this.#show(note);
  }

  unlight(note, who) {
    const lights = this.#lit.get(note);
    if (!lights?.delete(who.participant)) return;
    if (lights.size === 0) this.#lit.delete(note);
    this.#show(note);
  }

  /** Writes what the computer's keys play onto the piano's: a map of note to letter. */
  label(letters) {
    for (const [note, key] of this.#keys) {
      key.querySelector(".letter").textContent = letters.get(note) ?? "";
    }
  }

  /** Zooms by whole steps; keeps the middle in view. */
  zoomBy(step) {
    const shown = Math.round(this.#shown * (step > 0 ? 0.75 : 4 / 3));
    this.#zoom = Math.max(7, Math.min(WHITE_KEYS, shown));
    const middle = this.#left + this.#shown / 2;
    this.#shown = this.#zoom;
    this.#scroll(middle - this.#shown / 2);
  }

  /** Brings a key into view, where only a stretch is shown. */
  reveal(note) {
    const key = keyOf(note);
    if (key && (key.left < this.#left || key.left + 1 > this.#left + this.#shown)) {
      this.#scroll(key.left - this.#shown / 2);
    }
  }

  /** Lets go of all that fingers and mouse hold. */
  release() {
    for (const [pointer, touch] of this.#touches) this.#player.lift(touch.note, `pointer${pointer}`);
    this.#touches.clear();
  }

  #build() {
    this.#bed = document.createElement("div");
    this.#bed.className = "keybed";
    for (const { note, black, left, width } of KEYS) {
      const key = document.createElement("div");
      key.className = black ? "key black" : "key white";
      key.id = `key-${note}`;
      key.dataset.note = String(note);
      key.style.setProperty("left", `${(left / WHITE_KEYS) * 100}%`);
      key.style.setProperty("width", `${(width / WHITE_KEYS) * 100}%`);
      const letter = document.createElement("span");
      letter.className = "letter";
      key.append(letter);
      if (note % 12 === 0) {
        const name = document.createElement("span");
        name.className = "octave";
        name.textContent = nameOf(note);
        key.append(name);
      }
      const mark = document.createElement("i");
      mark.className = black ? "black" : "white";
      mark.style.setProperty("left", `${(left / WHITE_KEYS) * 100}%`);
      mark.style.setProperty("width", `${(width / WHITE_KEYS) * 100}%`);
      key.mark = mark;
      this.#map.append(mark);
      this.#keys.set(note, key);
      this.#bed.append(key);
    }
    this.#bed.style.setProperty("--black-reach", `${BLACK_REACH * 100}%`);
    this.#root.append(this.#bed);
    this.#lens = document.createElement("span");
    this.#lens.className = "lens";
    this.#map.append(this.#lens);
  }

  #show(note) {
    const key = this.#keys.get(note);
    if (!key) return;
    const lights = this.#lit.get(note);
    const newest = lights && [...lights.values()].at(-1);
    for (const element of [key, key.mark]) {
      element.classList.toggle("lit", Boolean(newest));
      if (newest) {
        element.style.setProperty("--lit", newest.colour);
        element.style.setProperty("--force", String((newest.velocity / 127).toFixed(2)));
      }
    }
  }

  // View

  #fit() {
    const width = this.#root.clientWidth;
    if (width === 0) return;
    const narrowest = matchMedia("(pointer: coarse)").matches ? NARROWEST_PX.finger : NARROWEST_PX.mouse;
    const whole = width / WHITE_KEYS >= narrowest;
    const first = this.#shown === WHITE_KEYS;
    const shown = this.#zoom ?? (whole ? WHITE_KEYS : Math.max(7, Math.floor(width / COMFORTABLE_PX)));
    const middle = first && shown < WHITE_KEYS ? keyOf(64).left + 0.5 : this.#left + this.#shown / 2;
    this.#shown = shown;
    this.#scroll(middle - shown / 2);
  }

  #scroll(left) {
    this.#left = Math.max(0, Math.min(WHITE_KEYS - this.#shown, left));
    const whole = this.#shown >= WHITE_KEYS;
    this.#bed.style.setProperty("width", `${(WHITE_KEYS / this.#shown) * 100}%`);
    this.#bed.style.setProperty("transform", `translateX(${(-this.#left / WHITE_KEYS) * 100}%)`);
    this.#lens.style.setProperty("left", `${(this.#left / WHITE_KEYS) * 100}%`);
    this.#lens.style.setProperty("width", `${(this.#shown / WHITE_KEYS) * 100}%`);
    document.documentElement.classList.toggle("zoomed", !whole);
    this.#map.setAttribute("aria-valuenow", String(Math.round(this.#left)));
    this.#map.setAttribute("aria-valuemax", String(Math.round(WHITE_KEYS - this.#shown)));
    this.#map.setAttribute("aria-valuetext", this.range);
    this.onView?.();
  }

  // Hands

  #listen() {
    const root = this.#root;
    root.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button !== 0) return;
      root.setPointerCapture(event.pointerId);
      this.#touches.set(event.pointerId, { note: null, x: null, at: null });
      this.#touch(event);
    });
    root.addEventListener("pointermove", (event) => {
      if (!this.#touches.has(event.pointerId)) return;
      // A quick glissando passes several keys between two frames.
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) this.#touch(step);
    });
    const end = (event) => {
      const touch = this.#touches.get(event.pointerId);
      this.#touches.delete(event.pointerId);
      if (touch?.note) this.#player.lift(touch.note, `pointer${event.pointerId}`);
    };
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) root.addEventListener(kind, end);
    root.addEventListener("contextmenu", (event) => event.preventDefault());
    // Older iOS takes touches for scrolling and zooming in spite of `touch-action`.
    root.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });

    const steer = (event) => {
      const box = this.#map.getBoundingClientRect();
      this.#scroll(((event.clientX - box.left) / box.width) * WHITE_KEYS - this.#shown / 2);
    };
    this.#map.addEventListener("pointerdown", (event) => {
      this.#map.setPointerCapture(event.pointerId);
      steer(event);
    });
    this.#map.addEventListener("pointermove", (event) => {
      if (this.#map.hasPointerCapture(event.pointerId)) steer(event);
    });
    this.#map.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -7, PageUp: 7, Home: -WHITE_KEYS, End: WHITE_KEYS }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.#scroll(this.#left + step);
    });
  }

  #touch(event) {
    const touch = this.#touches.get(event.pointerId);
    const box = this.#root.getBoundingClientRect();
    const x = this.#left + ((event.clientX - box.left) / box.width) * this.#shown;
    const y = (event.clientY - box.top) / box.height;
    // A hand that sweeps faster than the browser reports it still plays every key on its way.
    const from = touch.x ?? x;
    const since = touch.at ?? event.timeStamp;
    const steps = Math.max(1, Math.ceil(Math.abs(x - from) / SWEEP_STEP));
    for (let step = 1; step <= steps; step++) {
      const share = step / steps;
      const time = since + (event.timeStamp - since) * share;
      this.#touchAt(touch, `pointer${event.pointerId}`, from + (x - from) * share, y, time);
    }
    touch.x = x;
    touch.at = event.timeStamp;
  }

  #touchAt(touch, source, x, y, time) {
    // A finger that slides off the front or the top still plays the key it is over.
    const key = keyAt(x, Math.max(0, Math.min(1, y)));
    const note = y < -0.6 || y > 1.6 ? null : (key?.note ?? null);
    if (note === touch.note) return;
    if (touch.note) this.#player.lift(touch.note, source, time);
    touch.note = note;
    if (note) this.#player.press(note, strength(key, y), source, time);
  }
}

/** The further down a key is struck, the louder: the lever is longer there. */
function strength(key, y) {
  const reach = key.black ? BLACK_REACH : 1;
  const depth = Math.max(0, Math.min(1, y / reach));
  return Math.round(34 + 84 * depth ** 0.8);
}
