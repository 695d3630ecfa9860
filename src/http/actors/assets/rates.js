// How many messages a second actors process: from two reports. No clock but the reports' own.

/** The messages processed in a second, by host and kind, as `Map` of `Map`s; only what both reports tell of. */
export function ratesBetween(before, after) {
  const rates = new Map();
  const seconds = (after?.at_ms - before?.at_ms) / 1000;
  if (!(seconds > 0)) return rates;
  const earlier = processed(before);
  for (const [host, kinds] of processed(after)) {
    const perSecond = new Map();
    for (const [kind, count] of kinds) {
      // Fewer than before: the host has begun anew.
      const rate = (count - earlier.get(host)?.get(kind)) / seconds;
      if (rate >= 0) perSecond.set(kind, rate);
    }
    rates.set(host, perSecond);
  }
  return rates;
}

function processed(report) {
  const list = (value) => (Array.isArray(value) ? value : []);
  return new Map(
    list(report?.hosts).map((host) => [host?.host, new Map(list(host?.kinds).map((kind) => [kind?.kind, kind?.processed]))]),
  );
}
