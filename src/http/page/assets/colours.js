// Colours of people: the palette offered here, and how a colour that someone else chose is made legible.

/** What the page offers; anything else is one click further. */
export const PALETTE = [
  "#e8b04a", "#e4714f", "#d9556d", "#b872d2", "#7688ea", "#4fa7d9", "#3fb8a5", "#83bf5c", "#cfc65e", "#e7a3b8",
  "#b59a86", "#efe3c9",
];

const INK = [20, 15, 12];

function parse(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((v) => {
    const s = v / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const legible = new Map();

/** The colour, or the least mix of it with ivory that can be read on the page's ink; `[r, g, b]`. */
export function onInk(colour) {
  let rgb = legible.get(colour);
  if (!rgb) {
    const own = parse(colour);
    rgb = own;
    for (let mix = 0.1; contrast(rgb, INK) < 4.6 && mix <= 1; mix += 0.1) {
      rgb = own.map((v, i) => Math.round(v + ([243, 234, 215][i] - v) * mix));
    }
    // A crowd may bring any number of colours; the cache is for those of the day.
    if (legible.size > 512) legible.clear();
    legible.set(colour, rgb);
  }
  return rgb;
}

export function onInkCss(colour) {
  return `rgb(${onInk(colour).join(" ")})`;
}
