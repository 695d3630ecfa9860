// The computer's keys as a piano: two rows of letters, an octave apart, the space bar as the pedal.
//
// Keys are taken by their place, not by their letter, so that it plays alike on every layout.

const ROWS = [
  // The lower row from the C below middle C, the upper from middle C.
  [48, ["KeyZ", "KeyS", "KeyX", "KeyD", "KeyC", "KeyV", "KeyG", "KeyB", "KeyH", "KeyN", "KeyJ", "KeyM", "Comma", "KeyL", "Period", "Semicolon", "Slash"]],
  [60, ["KeyQ", "Digit2", "KeyW", "Digit3", "KeyE", "KeyR", "Digit5", "KeyT", "Digit6", "KeyY", "Digit7", "KeyU", "KeyI", "Digit9", "KeyO", "Digit0", "KeyP", "BracketLeft", "Equal", "BracketRight"]],
];

const SIGNS = { Comma: ",", Period: ".", Semicolon: ";", Slash: "/", BracketLeft: "[", BracketRight: "]", Equal: "=" };
const NOTES = new Map(ROWS.flatMap(([first, codes]) => codes.map((code, i) => [code, first + i])));
const SOFT = 84;
const LOUD = 114;
const LOWEST_SHIFT = -2;
const HIGHEST_SHIFT = 3;

export class Typing {
  #hands;
  #down = new Map();
  #shift = 0;
  #layout = null;

  /** `onShift()` is told when the octave or the layout's letters changed. */
  constructor(hands, onShift) {
    this.#hands = hands;
    this.onShift = onShift;
    addEventListener("keydown", (event) => this.#keydown(event));
    addEventListener("keyup", (event) => this.#keyup(event));
    navigator.keyboard?.getLayoutMap?.().then((layout) => {
      this.#layout = layout;
      this.onShift?.();
    }, () => {});
  }

  get shift() {
    return this.#shift;
  }

  set shift(octaves) {
    this.#shift = Math.max(LOWEST_SHIFT, Math.min(HIGHEST_SHIFT, octaves));
    this.onShift?.();
  }

  /** What to write on the piano's keys: a map of note to letter. */
  get letters() {
    const letters = new Map();
    for (const [code, note] of NOTES) {
      const letter = this.#layout?.get(code) ?? SIGNS[code] ?? code.replace(/^Key|^Digit/, "");
      // Where the rows overlap the upper one is written: it is where the right hand is.
      letters.set(note + this.#shift * 12, letter.toUpperCase());
    }
    return letters;
  }

  /** Lets go of everything: the window lost its focus, and the keys' release will not be heard of. */
  release() {
    for (const code of [...this.#down.keys()]) this.#lift(code);
  }

  #keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isForText(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.code === "ArrowLeft" || event.code === "ArrowRight") {
      if (event.target.closest?.("[role=slider],[role=menu],[role=tablist],input")) return;
      event.preventDefault();
      if (!event.repeat) this.shift = this.#shift + (event.code === "ArrowLeft" ? -1 : 1);
      return;
    }
    const note = NOTES.get(event.code);
    const isPedal = event.code === "Space" && !event.target.closest?.("button,summary,a,input");
    if (note === undefined && !isPedal) return;
    event.preventDefault();
    if (event.repeat || this.#down.has(event.code)) return;
    if (isPedal) {
      this.#down.set(event.code, null);
      this.#hands.pedal(true, "space", event.timeStamp);
    } else {
      const sounding = note + this.#shift * 12;
      this.#down.set(event.code, sounding);
      this.#hands.press(sounding, event.shiftKey ? LOUD : SOFT, event.code, event.timeStamp);
    }
  }

  #keyup(event) {
    if (this.#down.has(event.code)) this.#lift(event.code, event.timeStamp);
  }

  #lift(code, time) {
    const note = this.#down.get(code);
    this.#down.delete(code);
    if (note === null) this.#hands.pedal(false, "space", time);
    else this.#hands.lift(note, code, time);
  }
}

/** Whether typing there is meant as text. */
export function isForText(element) {
  if (element?.isContentEditable || element?.tagName === "TEXTAREA" || element?.tagName === "SELECT") return true;
  return element?.tagName === "INPUT" && !["checkbox", "radio", "range", "button", "color"].includes(element.type);
}
