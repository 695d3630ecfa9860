// What a closed connection means: whether to come back, when, and what to tell the person. Decisions only.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

/** Codes after which the page does not come back by itself, and why, in words. */
const FINAL = new Map([
  [1000, "The server closed the connection."],
  [1002, "The server did not understand this page. Reload it to get the newest version."],
  [1003, "The server did not understand this page. Reload it to get the newest version."],
  [1007, "The server did not understand this page. Reload it to get the newest version."],
  [1009, "A message was too large for the server."],
  [3501, "You were asked to leave the room."],
  [3502, "You are banned here."],
  [3503, "You are signed out."],
  [3504, "The server did not understand this page. Reload it to get the newest version."],
  [3505, "This seat was taken up again in another window."],
  [3506, "Too many messages came from this page in a short time."],
]);

const PASSING = new Map([
  [1001, "The server is going away for a moment."],
  [3001, "The server is restarting."],
  [3002, "The connection was idle."],
  [3003, "The server had a fault."],
  [3004, "You have an account now."],
  [3008, "The connection was too slow to keep up."],
]);

/**
 * The verdict on a close: `{ retry: false, why }` or `{ retry: true, why, delayMs }`.
 *
 * `attempt` counts the failures since the last welcome, from 0. The delay is the server's own advice where the reason
 * carries one, spread upwards by a quarter; else exponential with full jitter, so that a crowd does not come back as one.
 */
export function verdict(code, reason, attempt, chance) {
  if (FINAL.has(code) || (code >= 3500 && code <= 3999)) {
    return { retry: false, why: FINAL.get(code) ?? "The server ended the connection and asked not to come back." };
  }
  const why = PASSING.get(code) ?? "The connection was lost.";
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
  const advised = adviceOf(reason);
  const delayMs = advised === null ? ceiling * (0.5 + chance / 2) : Math.max(advised, attempt ? ceiling / 2 : 0) * (1 + chance / 4);
  return { retry: true, why, delayMs: Math.min(delayMs, Math.max(LONGEST_DELAY_MS, advised ?? 0)) };
}

function adviceOf(reason) {
  try {
    const ms = JSON.parse(reason).retry_after_ms;
    return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, 10 * 60_000) : null;
  } catch {
    return null;
  }
}
