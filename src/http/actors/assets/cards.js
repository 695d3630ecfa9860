// A report as elements: a card a host. Descriptions only; whatever a report lacks is shown as a dash.

import { h } from "./dom.js";
import { NONE, count, intensity, isNumber, microseconds, milliseconds, plain, plural, rate, shortened, text } from "./words.js";

/** A heartbeat older than this is a host that is stuck: as `/health/detailed` has it. */
const OLD_HEARTBEAT_MS = 2_000;
/** A bound on what is drawn of lists, whatever comes. */
const MOST_ROWS = 100;
/** Deeper than any tree of supervisors there is. */
const MOST_LEVELS = 16;

/** One line on all hosts. */
export function totals(report) {
  const hosts = list(report.hosts);
  if (hosts.length === 0) return ["No hosts are told of."];
  const sum = (name) => hosts.flatMap((host) => list(host.kinds)).reduce((all, kind) => all + (isNumber(kind[name]) ? kind[name] : 0), 0);
  const stuck = hosts.reduce((all, host) => all + stuckOf(host).length, 0);
  const silent = hosts.filter((host) => host.answers === false).length;
  return [
    `${plural(hosts.length, "host", "hosts")} · ${plural(sum("actors"), "actor", "actors")} · ${count(sum("pending"))} pending`,
    silent > 0 && [" · ", h("strong", { class: "bad" }, `${plural(silent, "host does", "hosts do")} not answer`)],
    stuck > 0 && [" · ", h("strong", { class: "bad" }, `${count(stuck)} stuck`)],
  ];
}

/** The card of each host. `rates` is what `ratesBetween` found. */
export function cards(report, rates) {
  return list(report.hosts).map((host, at) => card(host, `host-${isNumber(host.host) ? host.host : `at-${at}`}`, rates.get(host.host)));
}

function card(host, id, rates) {
  const silent = host.answers === false;
  return h(
    "section",
    { key: id, class: silent ? "card silent" : "card", "aria-labelledby": id },
    h(
      "div",
      { class: "head" },
      h("h2", { id }, text(host.name)),
      h("span", { class: "badge" }, text(host.executor)),
      silent && h("span", { class: "badge bad" }, "does not answer"),
    ),
    facts(host),
    silent && h("p", { key: "note", class: "note" }, "It did not answer in time. What stands here is what it shared without being asked."),
    stuckList(host),
    h(
      "div",
      { key: "parts", class: "parts" },
      part("kinds", "Kinds", kindsTable(list(host.kinds), rates, id)),
      h(
        "div",
        { class: "side" },
        host.tree ? part("supervision", "Supervision", h("ul", { class: "tree" }, branch(host.tree, 0))) : null,
        Array.isArray(host.deepest) && part("deepest", "Deepest mailboxes", deepestTable(list(host.deepest))),
      ),
    ),
  );
}

function part(name, title, content) {
  return h("details", { key: name, class: name, open: "" }, h("summary", null, h("h3", null, title)), content);
}

function facts(host) {
  const beat = host.heartbeat_age_ms;
  return h(
    "dl",
    { class: "facts" },
    fact("Host", text(host.host)),
    fact("Heartbeat", isNumber(beat) ? `${milliseconds(beat)} ago` : NONE, beat > OLD_HEARTBEAT_MS && "bad"),
    fact("Inbox", count(host.inbox), host.inbox > 0 && "busy"),
    fact("Runs", running(host.running), host.running?.stuck && "bad"),
  );
}

function fact(name, value, tone) {
  return h("div", tone ? { class: tone } : null, h("dt", null, name), h("dd", null, value));
}

function running(work) {
  if (work === undefined) return NONE;
  if (work === null) return "nothing";
  return [work.stuck ? "stuck in " : null, actor(work.actor), ` for ${milliseconds(work.for_ms)}`];
}

function stuckOf(host) {
  const others = list(host.stuck);
  const runs = host.running?.stuck && !others.some((one) => one.actor === host.running.actor);
  return runs ? [{ ...host.running, what: "running" }, ...others] : others;
}

function stuckList(host) {
  const stuck = stuckOf(host);
  if (stuck.length === 0) return null;
  return h(
    "div",
    { key: "stuck", class: "stuck" },
    h("h3", null, "Stuck"),
    h("ul", null, few(stuck).map((one) => h("li", { key: one.actor }, actor(one.actor), ` ${plain(one.what)} for ${milliseconds(one.for_ms)}`))),
    more(stuck),
  );
}

const COLUMNS = [
  ["Actors", "that live", (kind) => [count(kind.actors), kind.loading > 0 && h("small", null, ` +${count(kind.loading)} loading`)]],
  ["Pending", "messages that wait in mailboxes", (kind) => count(kind.pending), (kind) => kind.pending > 0 && "busy"],
  ["Per second", "messages processed, between the last two reports", (kind, perSecond) => rate(perSecond)],
  ["Wait p99", "how long messages wait in mailboxes", (kind) => microseconds(kind.wait_us?.p99)],
  ["Handling p99", "how long messages take", (kind) => microseconds(kind.handling_us?.p99)],
  ["Restarts", "by supervisors", (kind) => count(kind.restarts), (kind) => kind.restarts > 0 && "busy"],
  ["Errors", "of handlers, panics included", (kind) => failures(kind), (kind) => kind.errors + (kind.panics ?? 0) > 0 && "bad"],
  ["Rejected", "messages that a full mailbox refused", (kind) => count(kind.rejected), (kind) => kind.rejected > 0 && "bad"],
  ["Dead letters", "messages that reached nobody", (kind) => deadLetters(kind), (kind) => sumOf(kind.dead_letters) > 0 && "busy"],
];

function kindsTable(kinds, rates, id) {
  if (kinds.length === 0) return h("p", { class: "none" }, "None are told of.");
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Kinds of actors" },
    h(
      "table",
      { "aria-describedby": id },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Kind"), COLUMNS.map(([name, what]) => h("th", { scope: "col", title: what }, name)))),
      h("tbody", null, few(kinds).map((kind) => kindRow(kind, rates?.get(kind.kind)))),
    ),
    more(kinds),
  );
}

function kindRow(kind, perSecond) {
  const cells = COLUMNS.map(([, , value, tone]) => {
    const class_ = tone?.(kind);
    return h("td", class_ ? { class: class_ } : null, value(kind, perSecond));
  });
  return h("tr", { key: text(kind.kind) }, h("th", { scope: "row" }, text(kind.kind)), cells);
}

function failures(kind) {
  const panics = isNumber(kind.panics) ? kind.panics : 0;
  if (!isNumber(kind.errors)) return panics > 0 ? plural(panics, "panic", "panics") : NONE;
  return [count(kind.errors + panics), panics > 0 && h("small", null, ` ${plural(panics, "panic", "panics")}`)];
}

function deadLetters(kind) {
  if (!kind.dead_letters) return NONE;
  const reasons = Object.entries(kind.dead_letters).filter(([, number]) => number > 0);
  return [count(sumOf(kind.dead_letters)), reasons.map(([reason, number]) => h("small", null, `${count(number)} ${plain(reason)}`))];
}

function sumOf(counts) {
  return Object.values(counts ?? {}).reduce((all, number) => all + (isNumber(number) ? number : 0), 0);
}

/** A node of the tree of supervisors, with all below it. */
function branch(node, level) {
  if (node.supervisor === undefined) {
    const many = node.many !== undefined;
    const what = many ? h("span", { class: "name" }, `${text(node.many)} × ${count(node.count)}`) : actor(node.actor);
    return h(
      "li",
      { key: many ? `many ${node.many}` : `actor ${node.actor}` },
      h("span", { class: "line" }, what, state(node), word(node.restart), restarts(node, many ? " each" : "")),
    );
  }
  const children = list(node.children);
  return h(
    "li",
    { key: `supervisor ${node.supervisor}` },
    h(
      "span",
      { class: "line" },
      h("strong", { class: "name" }, text(node.supervisor)),
      state(node),
      word(node.strategy),
      restarts(node, ""),
    ),
    children.length > 0 && level < MOST_LEVELS
      ? h("ul", null, few(children).map((child) => branch(child, level + 1)), children.length > MOST_ROWS && h("li", null, more(children)))
      : null,
  );
}

function word(name) {
  return typeof name === "string" ? h("span", { class: "word" }, plain(name)) : null;
}

/** How many there were, and how many are one too many. */
function restarts(node, each) {
  const limit = intensity(node.intensity);
  if (!isNumber(node.restarts) && !limit) return null;
  const words = `${plural(node.restarts, "restart", "restarts")}${limit ? ` (at most ${limit}${each})` : ""}`;
  return h("span", { class: node.restarts > 0 ? "word busy" : "word" }, words);
}

const TONES = new Map([["running", "good"], ["idle", "good"], ["stopped", "bad"], ["failed", "bad"], ["ended", "bad"], ["stuck", "bad"]]);

function state({ state: name }) {
  if (typeof name !== "string") return null;
  return h("span", { class: `badge ${TONES.get(name) ?? "busy"}` }, plain(name));
}

function deepestTable(deepest) {
  if (deepest.length === 0) return h("p", { class: "none" }, "All mailboxes are empty.");
  return [
    h(
      "table",
      null,
      h("thead", null, h("tr", null, ["Actor", "Depth", "State"].map((name) => h("th", { scope: "col" }, name)))),
      h(
        "tbody",
        null,
        few(deepest).map((one) => h("tr", { key: one.actor }, h("th", { scope: "row" }, actor(one.actor)), h("td", null, count(one.depth)), h("td", null, state(one) ?? NONE))),
      ),
    ),
    more(deepest),
  ];
}

/** An actor's address, to be shown whole when pressed. The page's listener finds it by its attribute. */
function actor(address) {
  if (typeof address !== "string") return NONE;
  // Isolated: a key's letters may run right to left.
  return h("button", { type: "button", class: "actor", "data-actor": address, title: "Show this actor" }, h("bdi", null, shortened(address)));
}

function list(value) {
  return Array.isArray(value) ? value.filter((one) => one !== null && typeof one === "object") : [];
}

function few(rows) {
  return rows.slice(0, MOST_ROWS);
}

function more(rows) {
  return rows.length > MOST_ROWS ? h("p", { class: "none" }, `and ${count(rows.length - MOST_ROWS)} more`) : null;
}
