// The page's wiring: what comes from the server goes to the room, the ears and the eyes; what the person does goes to
// the server. Each part is a file of its own; this one knows them all and decides little.
//
// | file | owns |
// |---|---|
// | `connection`, `reconnect`, `clock`, `protocol` | the socket, coming back, server time, the wire's shapes |
// | `session`, `room` | which room is wanted, what is known of it |
// | `hands`, `typing`, `midi-input`, `outgoing` | one's own playing and its way out |
// | `performer`, `playout` | others' playing: order, lateness, silence |
// | `sound`, `synth-worker` | the piano's samples, voices, limiter |
// | `keyboard`, `keys`, `stage`, `colours` | what is seen of the music |
// | `people`, `chat`, `lobby`, `profile`, `menu`, `notices`, `dom` | what is read and written |

import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { Hands } from "./hands.js";
import { Keyboard } from "./keyboard.js";
import { Lobby } from "./lobby.js";
import { Menu } from "./menu.js";
import { MidiInput } from "./midi-input.js";
import { Notices } from "./notices.js";
import { People } from "./people.js";
import { Performer, RemotePerformer } from "./performer.js";
import { Presence } from "./presence.js";
import { Profile } from "./profile.js";
import { encodeRun, readUser } from "./protocol.js";
import { Room } from "./room.js";
import { Session, linkTo } from "./session.js";
import { remember, settings } from "./settings.js";
import { Sound } from "./sound.js";
import { Stage } from "./stage.js";
import { sentence, seconds } from "./text.js";
import { Typing, isForText } from "./typing.js";

/** Joins and leaves are told in the chat only where there are few enough to care. */
const TELL_COMINGS_BELOW = 30;
const MAX_PERFORMERS = 512;

const room = new Room();
const performers = new Map();
const mutedHere = new Set();
const limits = { midiEvents: 512 };
let self = readUser();
let connectionState = { state: "connecting" };
let refusedNotes = 0;

// The instrument

const sound = new Sound();
sound.volume = settings.volume;
const hands = new Hands(sendNotes, () => connection.isOpen && room.mayPlay);
const keyboard = new Keyboard(byId("keyboard"), byId("minimap"), hands);
const stage = new Stage(byId("stage"), keyboard);
keyboard.onView = () => stage.refresh();
const own = new Performer({ participant: 0, name: "", colour: settings.colour || "#e8b04a" }, sound.part(), keyboard, stage);
hands.performer = own;
const typing = new Typing(hands, showOctave);
const midi = new MidiInput(hands, showMidi);

// The company

const notices = new Notices(byId("notices"));
const menu = new Menu(byId("menu"));
const connection = new Connection({ url: socketAddress, onWelcome: welcome, onMessage: receive, onSync: showLatency, onState: showState });
const presence = new Presence((status) => connection.request("userStatusUpdate", { status }).catch(() => {}));
const people = new People(byId("people-list"), byId("people-count"), openMemberMenu);
const chat = new Chat({
  log: byId("chat-log"),
  form: byId("chat-form"),
  input: byId("chat-input"),
  send: sendChat,
  onUnread: showUnread,
  isVisible: () => !document.hidden && byId("chat-log").offsetParent !== null,
});
const lobby = new Lobby({ rooms: byId("rooms"), make: byId("make"), password: byId("password") }, connection, {
  join: (name, password) => session.join(name, password),
  lobby: () => session.lobby(),
  create: (body) => session.create(body).catch(rethrowAsSentence),
  update: updateRoom,
});
const profile = new Profile(saveProfile);
const session = new Session(connection, room, {
  askPassword: (name, wrong) => lobby.askPassword(name, wrong),
  notify: (text) => notices.say(text, "bad"),
  enter: enterRoom,
});

// From the server

/**
 * A handshake that is refused for its query looks to a page like any other failure. So every other attempt asks for
 * nothing, and what is wanted is said after the welcome, where a refusal has words.
 */
function socketAddress(attempt) {
  const plain = attempt % 2 === 1;
  const address = new URL("/api/websocket", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (!plain && settings.name) address.searchParams.set("name", settings.name);
  if (!plain && settings.colour) address.searchParams.set("colour", settings.colour);
  session.query(address.searchParams, plain);
  return address.href;
}

/** After a plain handshake: the name and colour of this browser's person. */
async function introduce() {
  if (!settings.name || (settings.name === self.name && settings.colour === self.colour)) return;
  try {
    await connection.request("setProfile", { name: settings.name, colour: settings.colour || self.colour });
  } catch (error) {
    if (error.code === "VALIDATION_ERROR") remember({ name: "", colour: "" });
  }
}

async function welcome(body) {
  self = readUser(body.user);
  if (body.limits?.maxMidiEvents) limits.midiEvents = body.limits.maxMidiEvents;
  chat.limit = body.limits?.maxChatCharacters;
  lobby.maxCapacity = body.limits?.maxRoomCapacity;
  showSelf();
  profile.suggest(self);
  // Before the room is entered, so that nobody there reads a name that is not one's own.
  if (self.roles.length === 0 || self.roles.includes("GUEST")) await introduce();
  presence.renew();
  session.welcomed();
}

const handlers = {
  midiMessage(body) {
    const who = body.participant ?? 0;
    if (who === 0 || who === room.me) return;
    performerOf(who)?.receive(body, connection.clock, performance.now());
  },
  gap(body) {
    performers.get(body.participant ?? 0)?.gap(body.nextSequence ?? 0, performance.now());
  },
  roomJoinedResponse: (body) => session.arrived(body),
  chatHistory: (body) => chat.history(body.messages ?? []),
  roomChatMessage: (body) => chat.add(body),
  userJoinedRoom(body) {
    tellComings(room.add([body.member ?? {}]), "sat down");
    showRoom();
  },
  userLeftRoom(body) {
    const member = leave(body);
    if (member) tellComings([member], "left");
    showRoom();
  },
  userUpdated(body) {
    room.add([body.member ?? {}]);
    const member = room.members.get(body.member?.participant ?? 0);
    if (member) performers.get(member.participant)?.rename(whoIs(member));
    showRoom();
  },
  membersChanged(body) {
    room.add(body.joined ?? []);
    for (const left of body.left ?? []) leave(left);
    if (body.count) room.count = body.count;
    showRoom();
  },
  memberList(body) {
    room.add(body.members ?? []);
    byId("more-people").hidden = !body.more;
    showRoom();
  },
  roomUpdated(body) {
    room.update(body.roomInfo);
    session.renamed(room.info.name);
    showRoom();
  },
  ownerChanged(body) {
    room.own(body.ownerId ?? "", body.participant ?? 0);
    const owner = room.listed.find((member) => room.isOwner(member));
    if (owner) chat.note(owner.participant === room.me ? "The room is yours now." : `${owner.user.name} owns the room now.`);
    showRoom();
  },
  roomClosed() {
    leaveForGood();
    notices.say("The room was closed.", "bad");
    session.lobby(false);
  },
  quotaExceeded(body) {
    refusedNotes += body.refused ?? 0;
    notices.say("That was more notes at once than this room takes. Some were not heard.");
  },
  errorMessage(body) {
    if (session.refusedArrival(body)) return;
    notices.say(sentence(body.errorMessage || body.errorCode), "bad");
  },
};

function receive(name, body) {
  handlers[name]?.(body);
}

function leave({ participant = 0, reason }) {
  if (participant === room.me) {
    leaveForGood();
    showCurtain({ why: reason === "BANNED" ? "You are banned from this room." : "You were asked to leave the room.", lobby: true });
    return null;
  }
  performers.get(participant)?.close(performance.now());
  performers.delete(participant);
  const member = room.remove(participant);
  if (member) room.count = Math.max(room.members.size, room.count - 1);
  return member;
}

function tellComings(members, what) {
  if (room.count > TELL_COMINGS_BELOW) return;
  for (const member of members) {
    if (member.participant !== room.me) chat.note(`${member.user.name} ${what}`);
  }
}

// Rooms

function enterRoom(response) {
  forgetPerformers();
  hands.forgetSent();
  room.join(response);
  refusedNotes = 0;
  const me = room.self;
  if (me) self = me.user;
  chat.clear();
  byId("more-people").hidden = !response.moreUsers;
  byId("curtain").hidden = true;
  showRoom();
  document.title = `${room.info.name} · PianoRhythm`;
}

function leaveRoom() {
  forgetPerformers();
  hands.forgetSent();
  room.leave();
  document.title = "PianoRhythm";
  showRoom();
}

function leaveForGood() {
  room.forget();
  session.giveUp();
  leaveRoom();
}

function forgetPerformers() {
  const now = performance.now();
  for (const performer of performers.values()) performer.close(now);
  performers.clear();
}

function performerOf(participant) {
  let performer = performers.get(participant);
  if (!performer && performers.size < MAX_PERFORMERS) {
    const member = room.members.get(participant);
    performer = new RemotePerformer(whoIs(member ?? { participant, user: readUser() }), sound.part(), keyboard, stage);
    if (mutedHere.has(member?.user.id)) performer.part.level = 0;
    performers.set(participant, performer);
  }
  return performer;
}

function whoIs({ participant, user }) {
  return { participant, name: user.name, colour: user.colour };
}

async function updateRoom(body) {
  try {
    await connection.request("updateRoomCommand", body);
  } catch (error) {
    rethrowAsSentence(error);
  }
  if (body.password !== undefined) session.keepPassword(body.password);
}

function rethrowAsSentence(error) {
  throw new Error(sentence(error.message || error.code));
}

// To the server

function sendNotes(events) {
  if (connection.clogged) {
    // Late notes help nobody, but what ends a note must go out.
    events = events.filter(({ bytes }) => (bytes[0] & 0xf0) !== 0x90);
  }
  for (let at = 0; at < events.length; at += limits.midiEvents) {
    const part = events.slice(at, at + limits.midiEvents);
    connection.send("midiMessage", {
      midiData: encodeRun(part),
      timestamp: String(Math.round(connection.clock.toServer(part[0].at))),
    });
  }
}

async function sendChat(text) {
  try {
    const { name, body } = await connection.request("roomChatMessage", { message: text });
    if (name === "roomChatMessage") chat.add(body);
  } catch (error) {
    rethrowAsSentence(error);
  }
}

async function saveProfile({ name, colour, status }) {
  sound.wake();
  if (connection.isOpen && (name !== self.name || colour !== self.colour)) {
    await connection.request("setProfile", { name, colour });
    self = { ...self, name, colour };
  }
  remember({ name, colour, seated: true });
  presence.choose(status);
  showSelf();
}

function openMemberMenu(participant, button) {
  const member = room.members.get(participant);
  if (!member) return;
  if (participant === room.me) return openProfile();
  const { id, name } = member.user;
  const act = (action, more = {}) => async () => {
    try {
      await connection.request("roomModeration", { action, targetUserId: id, ...more });
    } catch (error) {
      notices.say(sentence(error.message), "bad");
    }
  };
  const muted = mutedHere.has(id);
  const items = [
    { title: name },
    { label: muted ? "Hear their notes again" : "Mute their notes for me", act: () => muteHere(id, !muted) },
  ];
  if (room.owning && id !== self.id) {
    items.push(
      { label: "Make owner of the room", act: act("TRANSFER_OWNERSHIP") },
      member.notesMuted
        ? { label: "Let their notes be heard", act: act("UNMUTE", { notes: true }) }
        : { label: "Mute their notes for all", act: act("MUTE", { notes: true }) },
      member.chatMuted
        ? { label: "Let them chat", act: act("UNMUTE", { chat: true }) }
        : { label: "Mute their chat", act: act("MUTE", { chat: true }) },
      { label: "Kick", act: act("KICK"), danger: true },
      { label: "Ban for an hour", act: act("BAN", { durationS: 3_600 }), danger: true },
      { label: "Ban for good", act: act("BAN"), danger: true },
    );
  }
  menu.open(button, items);
}

function muteHere(userId, muted) {
  if (muted) mutedHere.add(userId);
  else mutedHere.delete(userId);
  for (const [participant, performer] of performers) {
    if (room.members.get(participant)?.user.id === userId) performer.part.level = muted ? 0 : 1;
  }
  showRoom();
}

// What is shown

function showState(state) {
  connectionState = state;
  if (state.state === "open") {
    byId("curtain").hidden = true;
    return;
  }
  if (state.state === "connecting") return;
  leaveRoom();
  showLatency();
  if (state.state === "stopped") {
    const expelled = state.code === 3501 || state.code === 3502;
    if (expelled) leaveForGood();
    showCurtain({ why: state.why, retry: expelled ? "Go to the lobby" : "Come back" });
  } else {
    showCurtain({ why: state.why, until: performance.now() + state.delayMs });
  }
}

function showCurtain({ why, until, retry = "Try now", lobby: toLobby = false }) {
  byId("curtain-why").textContent = why;
  byId("curtain-retry").hidden = toLobby;
  byId("curtain-retry").textContent = retry;
  byId("curtain-lobby").hidden = !toLobby;
  curtainUntil = until ?? null;
  showCurtainTime();
  byId("curtain").hidden = false;
}

let curtainUntil = null;
function showCurtainTime() {
  const left = curtainUntil === null ? 0 : curtainUntil - performance.now();
  byId("curtain-when").textContent =
    curtainUntil === null ? "" : left > 0 ? `Coming back in ${seconds(left)}. You can play on by yourself.` : "Coming back now.";
}

function showRoom() {
  const { info, joined } = room;
  byId("room-name").textContent = info.name || "PianoRhythm";
  byId("programme-welcome").textContent = joined ? info.welcome : "";
  byId("room-settings").hidden = !room.owning || info.type === "LOBBY";
  byId("copy-link").hidden = !joined;
  byId("tab-people-count").textContent = joined ? String(Math.max(room.count, room.members.size)) : "";
  chat.allow(room.mayChat, chatRefusal());
  people.render(room, mutedHere);
  const me = room.self;
  if (me) self = me.user;
  showSelf();
  showHint();
}

function chatRefusal() {
  if (!room.joined) return "Not connected";
  if (room.self?.chatMuted) return "The owner has muted your chat";
  return room.info.allowChat ? "Only the owner chats here" : "This room has no chat";
}

let hasPlayed = false;
function showHint() {
  const hint = byId("programme-hint");
  const refused = room.joined && !room.mayPlay;
  if (refused) {
    hint.textContent = room.self?.notesMuted
      ? "The owner has muted your notes. You can play, but only you hear it."
      : "Only the owner plays here. You can play along, but only you hear it.";
  } else {
    hint.textContent = matchMedia("(pointer: coarse)").matches
      ? "Play with your fingers; strike a key lower down for a louder note."
      : "Play with the mouse, the letters on your keyboard, or a MIDI piano. The space bar is the pedal, the arrows change the octave.";
  }
  hint.classList.toggle("standing", refused);
  hint.classList.toggle("done", hasPlayed && !refused);
}

function showSelf() {
  const colour = room.self?.user.colour ?? (settings.colour || self.colour);
  const name = room.self?.user.name ?? (settings.name || self.name);
  byId("profile-name").textContent = name || "You";
  byId("profile-dot").style.setProperty("--of", colour);
  if (own.who.participant !== room.me || own.who.colour !== colour || own.who.name !== name) {
    const held = [...own.notes];
    for (const note of held) keyboard.unlight(note, own.who);
    own.rename({ participant: room.me, name, colour });
  }
}

function showLatency() {
  const trip = connection.isOpen ? connection.clock.roundTrip : null;
  const figure = trip === null ? "" : trip < 1 ? "< 1 ms" : `${Math.round(trip)} ms`;
  const latency = byId("latency");
  byId("latency-figure").textContent = figure;
  latency.dataset.bars = trip === null ? "0" : trip < 60 ? "3" : trip < 150 ? "2" : "1";
  const words = trip === null ? "Not connected" : `Round trip to the server: ${figure}`;
  latency.setAttribute("aria-label", words);
  latency.title = trip === null ? words : `${words}\nClock here and there differ by ${Math.round(connection.clock.offset - performance.timeOrigin)} ms`;
}

function showOctave() {
  byId("octave").textContent = `Octave ${typing.shift > 0 ? "+" : ""}${typing.shift}`.replace("-", "−");
  keyboard.label(typing.letters);
}

function showMidi() {
  const count = midi.devices.length;
  byId("midi-label").textContent = count === 0 ? "MIDI" : count === 1 ? midi.devices[0].name : `${count} MIDI devices`;
}

function showUnread(count) {
  const badge = byId("tab-chat-count");
  badge.textContent = count ? String(count) : "";
  badge.classList.toggle("unread", count > 0);
}

function showTab(name) {
  byId("app").dataset.tab = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const selected = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
  }
  if (name === "chat") {
    chat.read();
    byId("chat-log").scrollTop = byId("chat-log").scrollHeight;
  }
}

function openProfile() {
  profile.open({
    name: room.self?.user.name || settings.name || self.name,
    colour: settings.colour || self.colour,
    status: presence.chosen,
    seated: settings.seated,
  });
}

// What the person does

byId("room-button").addEventListener("click", () => lobby.open(room.info.id));
byId("room-settings").addEventListener("click", () => lobby.edit(room.info));
byId("profile-button").addEventListener("click", openProfile);
byId("curtain-retry").addEventListener("click", () => connection.connect());
byId("curtain-lobby").addEventListener("click", () => {
  byId("curtain").hidden = true;
  session.lobby(false);
});
byId("copy-link").addEventListener("click", async () => {
  const link = linkTo(room.info.name);
  try {
    await navigator.clipboard.writeText(link);
    notices.say("Link copied. Who opens it sits down here.");
  } catch {
    notices.say(link);
  }
});
byId("more-people").addEventListener("click", async () => {
  const after = Math.max(0, ...room.members.keys());
  const { body } = await connection.request("getMembers", { after, limit: 100 }).catch(() => ({ body: {} }));
  handlers.memberList(body);
});
byId("octave-down").addEventListener("click", () => (typing.shift -= 1));
byId("octave-up").addEventListener("click", () => (typing.shift += 1));
byId("zoom-in").addEventListener("click", () => keyboard.zoomBy(1));
byId("zoom-out").addEventListener("click", () => keyboard.zoomBy(-1));
byId("letters").addEventListener("click", () => {
  remember({ letters: !settings.letters });
  showLetters();
});
byId("pedal").addEventListener("click", () => {
  const down = byId("pedal").getAttribute("aria-pressed") !== "true";
  byId("pedal").setAttribute("aria-pressed", String(down));
  hands.pedal(down, "button");
});
hands.onpedal = (down) => byId("pedal").classList.toggle("down", down);
hands.onplay = (note) => {
  presence.alive();
  keyboard.reveal(note);
  if (hasPlayed) return;
  hasPlayed = true;
  showHint();
};
const volume = byId("volume");
volume.value = String(settings.volume);
volume.addEventListener("input", () => {
  sound.volume = Number(volume.value);
  remember({ volume: Number(volume.value) });
});
byId("midi").addEventListener("click", async ({ currentTarget }) => {
  if (!midi.supported) return notices.say("This browser has no Web MIDI. Chrome, Edge and Firefox have it.");
  try {
    await midi.open();
  } catch {
    return notices.say("The browser did not allow MIDI for this page.");
  }
  const choice = (id, label) => ({ label: `${midi.chosen === id ? "● " : "○ "}${label}`, act: () => midi.choose(id) });
  menu.open(currentTarget, [
    { title: midi.devices.length ? "Play from" : "No MIDI keyboard is connected." },
    ...(midi.devices.length ? [choice("all", "All devices")] : []),
    ...midi.devices.map(({ id, name }) => choice(id, name)),
    ...(midi.devices.length ? [choice("none", "None")] : []),
  ]);
});
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => showTab(tab.dataset.tab));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const tabs = [...event.currentTarget.children];
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  next.focus();
  showTab(next.dataset.tab);
});
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !isForText(event.target) && !event.target.closest("button,a,dialog,[role=slider]")) {
    event.preventDefault();
    showTab("chat");
    chat.focus();
  }
});
// A button that was clicked would take the space bar from the pedal; one reached by the keyboard keeps it.
addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest?.("button")?.blur();
});
addEventListener("pointerup", (event) => {
  if (event.target.type === "range") event.target.blur();
});

function letGo() {
  typing.release();
  keyboard.release();
}
addEventListener("blur", letGo);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return letGo();
  if (byId("chat-log").offsetParent !== null) chat.read();
});
addEventListener("pagehide", letGo);

function showLetters() {
  byId("letters").setAttribute("aria-pressed", String(settings.letters));
  byId("app").classList.toggle("no-letters", !settings.letters);
}

// Sound needs a gesture; until one comes, say so.
for (const kind of ["pointerdown", "keydown", "touchend"]) addEventListener(kind, () => sound.wake(), { capture: true, passive: true });
sound.onstate = (running) => (byId("wake").hidden = running);
setTimeout(() => (byId("wake").hidden = sound.running), 600);

let pulsedAt = 0;
function frame(now) {
  for (const performer of performers.values()) performer.drain(now, now);
  stage.draw(now);
  if (now - pulsedAt > 120) {
    pulsedAt = now;
    performers.set(room.me, own);
    people.pulse(performers, now);
    performers.delete(room.me);
    if (curtainUntil !== null) showCurtainTime();
  }
  requestAnimationFrame(frame);
}

/**
 * A view of the page for tests, read-only: `state()` is a snapshot of plain values, `analyserLevel()` the root mean
 * square of what leaves the page at this moment, `scheduledVoices()` how many notes sound or are about to.
 */
window.pianorhythm = Object.freeze({
  state() {
    const now = performance.now();
    const held = [];
    for (const performer of [own, ...performers.values()]) {
      if (performer !== own) performer.drain(now, now);
      for (const note of performer.notes) held.push({ note, participant: performer.who.participant, colour: performer.who.colour });
    }
    return {
      connection: connectionState.state,
      soundReady: sound.ready,
      roundTripMs: connection.clock.roundTrip,
      room: room.joined ? { id: room.info.id, name: room.info.name } : null,
      participant: room.me,
      owner: room.owning,
      members: [...room.members.values()].map(({ participant, user }) => ({ participant, name: user.name, colour: user.colour })),
      held,
      sustained: [own, ...performers.values()].filter((p) => p.sustained).map((p) => p.who.participant),
      gaps: [...performers.values()].reduce((sum, performer) => sum + performer.gaps, 0),
      refusedNotes,
      chat: chat.lines,
    };
  },
  analyserLevel: () => sound.level(),
  scheduledVoices: () => sound.voices,
});

byId("app").classList.toggle("no-midi", !midi.supported);
showLetters();
showOctave();
showRoom();
showTab("piano");
midi.openIfAllowed();
connection.connect();
if (!settings.seated) openProfile();
requestAnimationFrame(frame);
