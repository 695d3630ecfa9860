// The list of who is here: colour, name, crown, status, how far away they are, and the menu on each.

import { icon, make } from "./dom.js";
import { onInkCss } from "./colours.js";

const STATUS = { ONLINE: "online", AWAY: "away", BUSY: "busy", INVISIBLE: "invisible" };
const BADGES = { ADMIN: "admin", MODERATOR: "moderator", PRO: "pro" };
/** A name glows for this long after its last note. */
const PLAYING_MS = 350;

export class People {
  #list;
  #count;
  #rows = new Map();
  #onPick;

  /** `onPick(participant, button)` opens the menu on a member. */
  constructor(list, count, onPick) {
    this.#list = list;
    this.#count = count;
    this.#onPick = onPick;
  }

  render(room, mutedHere) {
    this.#count.textContent = room.joined ? String(Math.max(room.count, room.members.size)) : "";
    for (const [participant, row] of this.#rows) {
      if (!room.members.has(participant)) {
        row.item.remove();
        this.#rows.delete(participant);
      }
    }
    let before = null;
    for (const member of room.listed) {
      const row = this.#rows.get(member.participant) ?? this.#row(member.participant);
      this.#fill(row, member, room, mutedHere);
      // Move only what is out of place: the focus stays where it is.
      const after = before ? before.nextSibling : this.#list.firstChild;
      if (after !== row.item) this.#list.insertBefore(row.item, after);
      before = row.item;
    }
  }

  /** Who plays just now, and from how far: `performers` is participant → performer. */
  pulse(performers, now) {
    for (const [participant, row] of this.#rows) {
      const performer = performers.get(participant);
      const playing = Boolean(performer) && (performer.notes.size > 0 || now - performer.playedAt < PLAYING_MS);
      if (playing !== row.playing) {
        row.playing = playing;
        row.item.classList.toggle("playing", playing);
      }
      const hold = performer?.playedAt && performer.hold ? `${Math.round(performer.hold)} ms` : "";
      if (hold !== row.hold) {
        row.hold = hold;
        row.far.textContent = hold;
        row.far.title = hold ? "From their key to your speaker" : "";
      }
    }
  }

  #row(participant) {
    const item = make("li", "person");
    const button = make("button", "person-button", "", { type: "button", "aria-haspopup": "menu" });
    const dot = make("span", "dot");
    const name = make("span", "person-name");
    const marks = make("span", "marks");
    const far = make("span", "far");
    button.append(dot, name, marks, far);
    button.addEventListener("click", () => this.#onPick(participant, button));
    item.append(button);
    item.dataset.participant = String(participant);
    const row = { item, button, dot, name, marks, far, playing: false, hold: "" };
    this.#rows.set(participant, row);
    return row;
  }

  #fill(row, member, room, mutedHere) {
    const { user } = member;
    const me = member.participant === room.me;
    const status = STATUS[user.status] ?? "online";
    row.dot.className = `dot ${status}`;
    row.dot.style.setProperty("--of", user.colour);
    row.name.textContent = user.name;
    row.name.style.setProperty("color", onInkCss(user.colour));
    row.item.classList.toggle("me", me);
    const marks = [];
    const badge = user.roles.map((role) => BADGES[role]).find(Boolean);
    if (room.isOwner(member)) marks.push(mark("crown", "Owner of the room"));
    if (badge) marks.push(make("span", "badge", badge));
    if (me) marks.push(make("span", "badge", "you"));
    if (member.notesMuted) marks.push(mark("muted", "Their notes are muted by the owner"));
    else if (mutedHere.has(user.id)) marks.push(mark("muted", "You have muted their notes"));
    if (member.chatMuted) marks.push(mark("no-chat", "Their chat is muted by the owner"));
    row.marks.replaceChildren(...marks);
    const words = [user.name, me ? "you" : "", status, ...marks.map((m) => m.getAttribute("aria-label") ?? m.textContent)];
    row.button.setAttribute("aria-label", words.filter(Boolean).join(", "));
    row.button.title = user.tag ? `${user.name} ${user.tag}` : "";
  }
}

function mark(name, label) {
  const span = make("span", `mark ${name}`, "", { role: "img", "aria-label": label, title: label });
  span.append(icon(name));
  return span;
}
