// What is known of the room one is in: its settings, its members, its owner. No DOM, no network.

import { readMember, readRoom } from "./protocol.js";

export class Room {
  info = readRoom();
  members = new Map();
  /** One's own participant number; 0 in no room. */
  me = 0;
  count = 0;

  get joined() {
    return this.me !== 0;
  }

  get self() {
    return this.members.get(this.me);
  }

  /** Whether one may do what owners may: the owner, and the server's own moderators. */
  get owning() {
    const roles = this.self?.user.roles ?? [];
    return this.joined && (this.#isOwner(this.self) || roles.includes("MODERATOR") || roles.includes("ADMIN"));
  }

  /** Whether the others hear one's notes. */
  get mayPlay() {
    return this.joined && !this.self?.notesMuted && (!this.info.onlyOwnerPlays || this.owning);
  }

  get mayChat() {
    return (
      this.joined && !this.self?.chatMuted && this.info.allowChat && (!this.info.onlyOwnerChats || this.owning)
    );
  }

  /** Members as a list is read: oneself, the owner, then by arrival. */
  get listed() {
    const rank = (member) => (member.participant === this.me ? 0 : this.#isOwner(member) ? 1 : 2);
    return [...this.members.values()].sort((a, b) => rank(a) - rank(b) || a.participant - b.participant);
  }

  isOwner(member) {
    return this.#isOwner(member);
  }

  /** Out of it for good. */
  forget() {
    this.leave();
    this.info = readRoom();
  }

  join(response) {
    this.info = readRoom(response.roomInfo);
    this.me = response.participant ?? 0;
    this.members = new Map();
    this.add(response.currentUsers ?? []);
    this.count = Math.max(this.info.count, this.members.size);
  }

  /** Out of the room; what it was called stays, for it may be where one comes back to. */
  leave() {
    this.me = 0;
    this.members = new Map();
    this.count = 0;
  }

  /** Adds or replaces members from the wire; gives back those that are new. */
  add(raw) {
    const fresh = [];
    for (const member of raw.map(readMember)) {
      if (member.participant === 0) continue;
      if (!this.members.has(member.participant)) fresh.push(member);
      this.members.set(member.participant, member);
    }
    this.count = Math.max(this.count, this.members.size);
    return fresh;
  }

  /** Takes a member out; gives it back where it was known. */
  remove(participant) {
    const member = this.members.get(participant);
    this.members.delete(participant);
    return member;
  }

  update(raw) {
    this.info = readRoom(raw);
    if (this.info.count) this.count = this.info.count;
  }

  own(ownerId, participant) {
    this.info.ownerId = ownerId;
    this.info.ownerParticipant = participant;
  }

  /** One user may sit at two seats; where the server names the seat, the crown is there. */
  #isOwner(member) {
    if (!member || !this.info.ownerId || member.user.id !== this.info.ownerId) return false;
    const seat = this.info.ownerParticipant;
    return seat === 0 || !this.members.has(seat) || member.participant === seat || member.participant === this.me;
  }
}
