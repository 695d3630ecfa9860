// Figures and names in words. What is missing in a report is a dash.

export const NONE = "–";

/** The longest name that is shown whole. */
const LONGEST = 160;

export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

export function count(value) {
  return isNumber(value) ? whole.format(value) : NONE;
}

/** Per second: small ones with a decimal place. */
export function rate(value) {
  return isNumber(value) ? (value < 10 ? short : whole).format(value) : NONE;
}

export function milliseconds(value) {
  return isNumber(value) ? microseconds(value * 1000) : NONE;
}

export function microseconds(value) {
  if (!isNumber(value)) return NONE;
  for (const [unit, size] of [["s", 1e6], ["ms", 1e3]]) {
    if (value >= size) return `${(value / size < 10 ? short : whole).format(value / size)} ${unit}`;
  }
  return `${whole.format(value)} µs`;
}

/** "one_for_one" is how programs write it. */
export function plain(name) {
  return text(name).replaceAll("_", " ");
}

export function text(value) {
  return typeof value === "string" ? value : isNumber(value) ? String(value) : NONE;
}

/** A name that somebody chose, cut where it is too long to show. */
export function shortened(name) {
  return name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name;
}

export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A restart intensity, as `{restarts, within_ms}`. */
export function intensity(value) {
  return value ? `${count(value.restarts)} in ${milliseconds(value.within_ms)}` : null;
}
