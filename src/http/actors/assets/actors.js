// The operators' page of actors: what comes is drawn, and one actor looked up by its address.

import { cards, totals } from "./cards.js";
import { Connection } from "./connection.js";
import { draw } from "./dom.js";
import { ratesBetween } from "./rates.js";

const byId = (id) => document.getElementById(id);

const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  silent: "No report for a while",
  paused: "Paused",
};

// Reports.

let last = null;

function show(report) {
  const rates = ratesBetween(last, report);
  last = report;
  draw(byId("totals"), totals(report));
  draw(byId("hosts"), cards(report, rates));
  byId("when").textContent = `as of ${new Date().toLocaleTimeString("en-GB")}`;
  if (!byId("one").hidden) void lookUp();
}

function tell(state) {
  const place = byId("state");
  // Only when it changes: it is read out.
  place.textContent = STATES[state];
  place.dataset.state = state;
  document.body.classList.toggle("stale", state === "reconnecting" || state === "silent");
}

const connection = new Connection("actors/events", show, tell);

let paused = false;

function follow() {
  // A page that nobody sees takes no place among the streams.
  if (paused || document.hidden) connection.pause();
  else connection.open();
}

byId("pause").addEventListener("click", ({ currentTarget: button }) => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  follow();
});
document.addEventListener("visibilitychange", follow);
follow();

// One actor.

let address = null;
let asking = false;

async function lookUp() {
  const asked = address;
  if (asking || asked === null) return;
  asking = true;
  let actor = null;
  let refusal = null;
  try {
    // As one segment: a key of dots would otherwise be taken for a way up.
    const response = await fetch(`actors/${encodeURIComponent(asked)}`);
    const body = await response.json();
    if (response.ok) actor = JSON.stringify(body, null, 2);
    else refusal = body.error?.message ?? `The server answered ${response.status}.`;
  } catch {
    refusal = "The server could not be asked.";
  }
  asking = false;
  // Another may have been asked for meanwhile.
  if (asked !== address) return lookUp();
  set(byId("one-json"), actor);
  set(byId("one-refusal"), refusal);
}

/** Text that is the same already stays, with what is selected of it. */
function set(place, text) {
  if (text !== null && place.textContent !== text) place.textContent = text;
  place.hidden = text === null;
}

function choose(chosen) {
  address = chosen.includes("/") ? chosen : `${chosen}/`;
  byId("address").value = address;
  byId("one-address").textContent = address;
  set(byId("one-json"), null);
  set(byId("one-refusal"), null);
  byId("one").hidden = false;
  byId("one-title").focus();
  void lookUp();
}

byId("finder").addEventListener("submit", (event) => {
  event.preventDefault();
  choose(byId("address").value.trim());
});
byId("one-close").addEventListener("click", () => {
  byId("one").hidden = true;
  address = null;
  byId("address").focus();
});
byId("hosts").addEventListener("click", (event) => {
  const button = event.target.closest("[data-actor]");
  if (button) choose(button.dataset.actor);
});
