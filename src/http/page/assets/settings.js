// What this browser remembers for its person. Where storage is forbidden, nothing is remembered and all works.

const KEY = "pianorhythm";
const DEFAULTS = { name: "", colour: "", volume: 0.8, letters: true, seated: false };

function load() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...DEFAULTS };
  }
}

export const settings = load();

export function remember(changes) {
  Object.assign(settings, changes);
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Private windows may forbid it.
  }
}
