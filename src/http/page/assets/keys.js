// The 88 keys: names, places, and which one lies under a point. Widths are in white keys, from the left edge of A0.

export const LOWEST = 21;
export const HIGHEST = 108;
export const WHITE_KEYS = 52;
/** How far down the black keys reach, as a share of the white ones. */
export const BLACK_REACH = 0.63;

const BLACK_WIDTH = 0.58;
/** Black keys do not sit on the middle of the crack: how far each leans, by its place in the octave. */
const LEAN = { 1: -0.1, 3: 0.1, 6: -0.13, 8: 0, 10: 0.13 };
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

export const KEYS = build();

function build() {
  const keys = [];
  let white = 0;
  for (let note = LOWEST; note <= HIGHEST; note++) {
    const lean = LEAN[note % 12];
    if (lean === undefined) {
      keys.push({ note, black: false, left: white, width: 1 });
      white += 1;
    } else {
      keys.push({ note, black: true, left: white + lean - BLACK_WIDTH / 2, width: BLACK_WIDTH });
    }
  }
  return keys;
}

/** The key of a MIDI note; `undefined` beyond the keyboard's ends. */
export function keyOf(note) {
  return KEYS[note - LOWEST];
}

/** `C4` is middle C. */
export function nameOf(note) {
  return `${NAMES[note % 12]}${Math.floor(note / 12) - 1}`;
}

/** The key at `x` white keys from the left and at `y`, 0 at the keys' top and 1 at their front; `null` beside them. */
export function keyAt(x, y) {
  if (y <= BLACK_REACH) {
    const black = KEYS.find((key) => key.black && x >= key.left && x < key.left + key.width);
    if (black) return black;
  }
  return KEYS.find((key) => !key.black && x >= key.left && x < key.left + 1) ?? null;
}
