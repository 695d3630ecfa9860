// The wire, as proto3's canonical JSON carries it: names, defaults, base64, and the runs of MIDI events.
//
// A field at its default is absent from JSON; the readers here put the defaults back, so that nobody else has to
// think of it. What the messages mean is said in `proto/`.

export const SUBPROTOCOL = "pianorhythm.v1.json";

/** The body of a message and the name of its `oneof` field; `null` where this page does not know it. */
export function open(text) {
  const message = JSON.parse(text);
  for (const name of KNOWN) {
    if (message[name] !== undefined) return { name, body: message[name], requestId: message.requestId };
  }
  return null;
}

const KNOWN = [
  "midiMessage", "timeSync", "heartbeatMessage", "welcome", "roomJoinedResponse", "roomChatMessage", "errorMessage",
  "ack", "userJoinedRoom", "userLeftRoom", "userUpdated", "roomUpdated", "ownerChanged", "roomClosed", "roomList",
  "memberList", "roomInfo", "chatHistory", "membersChanged", "quotaExceeded", "gap",
];

export function readUser(user = {}) {
  return {
    id: user.userId ?? "",
    name: user.username ?? "",
    tag: user.usertag ?? "",
    roles: user.roles ?? [],
    colour: readColour(user.colour),
    status: user.status ?? "ONLINE",
  };
}

export function readMember(member = {}) {
  return {
    participant: member.participant ?? 0,
    user: readUser(member.user),
    notesMuted: member.notesMuted ?? false,
    chatMuted: member.chatMuted ?? false,
  };
}

export function readRoom(info = {}) {
  const settings = info.settings ?? {};
  return {
    id: info.roomId ?? "",
    name: info.roomName || info.roomId || "",
    type: info.roomType ?? "PUBLIC",
    count: info.userCount ?? 0,
    ownerId: info.ownerId ?? "",
    ownerParticipant: info.ownerParticipant ?? 0,
    hasPassword: info.hasPassword ?? false,
    capacity: settings.maxUsers ?? 0,
    allowChat: settings.allowChat ?? true,
    onlyOwnerPlays: settings.onlyOwnerPlays ?? false,
    onlyOwnerChats: settings.onlyOwnerChats ?? false,
    welcome: settings.welcomeMessage ?? "",
  };
}

export function readChat(line = {}) {
  return {
    id: line.messageId ?? "",
    text: line.message ?? "",
    kind: line.messageType ?? "USER",
    userId: line.userId ?? "",
    name: line.username ?? "",
    colour: readColour(line.colour),
    participant: line.participant ?? 0,
    timeMs: Number(line.timeMs ?? 0),
  };
}

/** Colours come from other people: anything but `#rrggbb` is taken as ivory. */
function readColour(colour) {
  return /^#[0-9a-f]{6}$/i.test(colour ?? "") ? colour.toLowerCase() : "#efe6d2";
}

/** What `error_details` say of when to try again, in ms; 0 where they say nothing. */
export function retryAfter(error) {
  const ms = Number(error?.errorDetails?.retry_after_ms ?? 0);
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}

/** The length in bytes of a channel message by its status byte; 0 where it is none. */
function channelMessageLength(status) {
  if (status < 0x80 || status > 0xef) return 0;
  const kind = status & 0xf0;
  return kind === 0xc0 || kind === 0xd0 ? 2 : 3;
}

/**
 * Packs events into `midi_data`. Each is `{ at, bytes }`, `at` in ms and never falling; the first one's time is the
 * message's timestamp. Deltas are rounded against the first event, so that their errors do not add up.
 */
export function encodeRun(events) {
  const out = [];
  let before = 0;
  for (const { at, bytes } of events) {
    const offset = Math.max(before, Math.round(at - events[0].at));
    writeQuantity(out, offset - before);
    for (const byte of bytes) out.push(byte);
    before = offset;
  }
  return btoa(String.fromCharCode(...out));
}

/**
 * Unpacks `midi_data` to `{ delta, status, data1, data2 }`. It ends at the first thing that is not a whole channel
 * message: the server lets none through, and a page must not fail at one.
 */
export function decodeRun(base64) {
  const data = atob(base64 ?? "");
  const events = [];
  let at = 0;
  while (at < data.length) {
    let delta = 0;
    let more = true;
    for (let i = 0; more && i < 4 && at < data.length; i++) {
      const byte = data.charCodeAt(at++);
      delta = delta * 128 + (byte & 0x7f);
      more = byte > 0x7f;
    }
    if (more) break;
    const status = data.charCodeAt(at);
    const length = channelMessageLength(status);
    if (length === 0 || at + length > data.length) break;
    const data1 = data.charCodeAt(at + 1);
    const data2 = length === 3 ? data.charCodeAt(at + 2) : 0;
    if (data1 > 0x7f || data2 > 0x7f) break;
    events.push({ delta, status, data1, data2 });
    at += length;
  }
  return events;
}

function writeQuantity(out, value) {
  const groups = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) groups.push((rest & 0x7f) | 0x80);
  for (const group of groups.reverse()) out.push(group);
}
