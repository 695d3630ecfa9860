// Runs in the page: what its pure modules decide, on inputs of our own. Answers with what does not hold.

const done = arguments[arguments.length - 1];

(async () => {
  const wrong = [];
  const holds = (what, is) => is || wrong.push(what);
  const { encodeRun, decodeRun } = await import("/protocol.js");
  const { Playout } = await import("/playout.js");
  const { ServerClock } = await import("/clock.js");
  const { verdict } = await import("/reconnect.js");
  const { keyAt, KEYS, nameOf } = await import("/keys.js");

  // Runs of events.
  const events = [[0x90, 60, 100], [0x80, 60, 64], [0xb3, 64, 127], [0xe0, 0, 64]].map((bytes, i) => ({ at: 1000.4 + 200.4 * i, bytes }));
  const back = decodeRun(encodeRun(events));
  holds("a run comes back whole", back.length === 4 && back[2].status === 0xb3 && back[2].data2 === 127);
  holds("deltas do not add up their rounding", back.map((e) => e.delta).join() === "0,200,201,200");
  for (const broken of ["", "AA==", "AJA8", "//////8=", "APA8ZA==", "AJA8/w=="]) {
    holds(`what is no run is left out: ${broken}`, decodeRun(broken).length === 0);
  }

  // Others' notes: in order, near their rhythm, never held for long.
  const playout = new Playout();
  let before = -Infinity;
  let seed = 1;
  for (let i = 0; i < 2_000; i++) {
    seed = (seed * 48271) % 2147483647;
    const stamp = i * 20;
    const arrival = stamp + 30 + (seed % 45) + (i % 97 === 0 ? 150 : 0);
    playout.observe(stamp, arrival);
    const due = playout.due(stamp, arrival);
    holds("never before its arrival nor out of order", due >= arrival && due >= before);
    before = due;
    if (i > 200 && i % 97 > 10) holds(`on time at ${i}`, due - stamp <= 30 + 60 + 1);
  }
  const steady = new Playout();
  for (let i = 0; i < 100; i++) steady.observe(i * 20, i * 20 + 12);
  holds("twenty to sixty beyond a steady delay", steady.hold >= 12 + 20 && steady.hold <= 12 + 60);
  holds("a late event is due at once", steady.due(0, 5_000) === 5_000);

  // The clock believes the quickest exchange.
  const clock = new ServerClock();
  clock.sample(0, 1_000_000 * 1000, 1_000_000 * 1000, 400);
  clock.sample(1_000, (1_000_000 + 1_005) * 1000, (1_000_000 + 1_005) * 1000, 1_010);
  holds("the quickest exchange is believed", Math.abs(clock.offset - 1_000_000) < 1 && clock.roundTrip === 10);

  // Coming back.
  for (const code of [3501, 3502, 3503, 3504, 3505, 3506, 3599, 1002, 1009]) {
    const { retry, why } = verdict(code, '{"retry_after_ms":1}', 0, 0.5);
    holds(`${code} does not come back and says why`, !retry && why.length > 10);
  }
  for (const code of [1001, 1006, 3001, 3002, 3003, 3004, 3008, 3100]) holds(`${code} comes back`, verdict(code, "", 0, 0.5).retry);
  for (const chance of [0, 0.5, 1]) {
    const advised = verdict(3001, '{"retry_after_ms":4000}', 0, chance).delayMs;
    holds("the server's advice is a floor", advised >= 4_000 && advised <= 5_000);
    const last = verdict(1006, "", 50, chance).delayMs;
    holds("back-off has a ceiling", last > 10_000 && last <= 30_000);
  }
  holds("a crowd does not come back as one", verdict(1006, "", 3, 0).delayMs !== verdict(1006, "", 3, 1).delayMs);

  // The keys.
  holds("88 keys", KEYS.length === 88 && nameOf(21) === "A0" && nameOf(60) === "C4" && nameOf(108) === "C8");
  for (const key of KEYS) {
    const found = keyAt(key.left + key.width / 2, key.black ? 0.3 : 0.9);
    holds(`the key of ${nameOf(key.note)} is where it is drawn`, found?.note === key.note);
  }

  // What the page finds by its id is the only one of it.
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  holds(`ids are unique: ${ids.filter((id, i) => ids.indexOf(id) !== i)}`, new Set(ids).size === ids.length);
  done([...new Set(wrong)]);
})().catch((error) => done([String(error)]));
