// Words for people.

/** Servers say things in lower case and without a full stop; people read sentences. */
export function sentence(text) {
  const trimmed = (text ?? "").trim();
  if (!trimmed) return "That did not work.";
  const first = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

export function seconds(ms) {
  const whole = Math.max(1, Math.ceil(ms / 1000));
  return whole === 1 ? "1 second" : `${whole} seconds`;
}
