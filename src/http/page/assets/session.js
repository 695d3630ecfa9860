// Being in a room: which one is wanted, getting in, staying in over reconnections, and the address bar.

import { retryAfter } from "./protocol.js";
import { sentence } from "./text.js";

/** Errors of a join after which the room that was wanted is given up. */
const NOT_THERE = new Set([
  "BANNED", "GUESTS_NOT_ALLOWED", "ROOM_FULL", "ROOM_NOT_FOUND", "VALIDATION_ERROR", "ROOM_NAME_RESERVED", "NOT_SUPPORTED",
  "AUTHORIZATION_ERROR", "PASSWORD_REQUIRED", "WRONG_PASSWORD",
]);
const BUSY = new Set(["SERVER_BUSY", "RATE_LIMIT_EXCEEDED", "STORE_UNAVAILABLE"]);
const MAX_BUSY_RETRIES = 4;

export class Session {
  #connection;
  #room;
  #askPassword;
  #notify;
  #enter;
  /** The room that is wanted: `{ name, password }`; `null` is any lobby. */
  #wanted = null;
  /** Whether the socket's own address asked for the room, so that its answer comes as an event. */
  #arriving = false;
  #busy = 0;

  /** `enter(response)` shows the room; `askPassword(name, wrong)` asks the person; `notify(text)` tells them. */
  constructor(connection, room, { askPassword, notify, enter }) {
    this.#connection = connection;
    this.#room = room;
    this.#askPassword = askPassword;
    this.#notify = notify;
    this.#enter = enter;
    const linked = roomOfAddress();
    if (linked) this.#wanted = { name: linked };
    addEventListener("popstate", () => {
      const name = roomOfAddress();
      if (name && name !== this.#room.info.name) this.join(name, undefined, false);
    });
  }

  /** The query of the socket's address: a room without a password is joined by the server at once. A `plain` one asks nothing. */
  query(query, plain) {
    this.#arriving = !plain && Boolean(this.#wanted) && !this.#wanted.password;
    if (this.#arriving) query.set("room", this.#wanted.name);
  }

  /** The connection stands: get into the room. */
  async welcomed() {
    this.#busy = 0;
    if (this.#arriving) return;
    if (this.#wanted) await this.join(this.#wanted.name, this.#wanted.password, false);
    else await this.lobby();
  }

  /** A `RoomJoinedResponse` that answers no request: the one that the address asked for. */
  arrived(response) {
    this.#arriving = false;
    this.#entered(response, this.#wanted?.password, false);
  }

  /** Takes an error that answers no request, if it is the answer to the address's wish. */
  refusedArrival(error) {
    if (!this.#arriving) return false;
    this.#arriving = false;
    this.#refused({ code: error.errorCode, message: error.errorMessage, details: error.errorDetails ?? {} }, this.#wanted, false);
    return true;
  }

  async join(name, password, push = true) {
    await this.#try({ name, password }, push);
  }

  async lobby(push = true) {
    this.#wanted = null;
    try {
      const { body } = await this.#connection.request("joinNextAvailableLobby", {});
      this.#entered(body, undefined, push);
    } catch (error) {
      await this.#refused(error, null, push);
    }
  }

  /** Makes a room and goes there; rejects with the server's reason. */
  async create(body) {
    const { body: response } = await this.#connection.request("createRoomCommand", body);
    this.#entered(response, body.password, true);
  }

  /** The room is no longer wanted: kicked, or closed. */
  giveUp() {
    this.#wanted = null;
    history.replaceState(null, "", "/");
  }

  /** The room's own password changed by its owner, who is in it. */
  keepPassword(password) {
    if (this.#wanted) this.#wanted.password = password || undefined;
  }

  renamed(name) {
    if (!this.#wanted) return;
    this.#wanted.name = name;
    showAddress(name, false);
  }

  async #try(wanted, push) {
    try {
      const { body } = await this.#connection.request("joinRoomByName", {
        roomName: wanted.name,
        ...(wanted.password ? { password: wanted.password } : {}),
      });
      this.#entered(body, wanted.password, push);
    } catch (error) {
      await this.#refused(error, wanted, push);
    }
  }

  async #refused(error, wanted, push) {
    if (error.code === "DISCONNECTED" || error.code === "ALREADY_IN_ROOM") return;
    if (wanted && (error.code === "PASSWORD_REQUIRED" || error.code === "WRONG_PASSWORD")) {
      const password = await this.#askPassword(wanted.name, error.code === "WRONG_PASSWORD");
      if (password) return this.#try({ ...wanted, password }, push);
    } else if (BUSY.has(error.code) && !this.#room.joined && this.#busy++ < MAX_BUSY_RETRIES) {
      const delay = retryAfter({ errorDetails: error.details }) || 500 * 2 ** this.#busy;
      setTimeout(() => {
        if (this.#connection.isOpen && !this.#room.joined) this.#again(wanted, push);
      }, delay * (1 + Math.random() / 4));
      return;
    } else {
      this.#notify(sentence(error.message || error.code));
    }
    // Still sitting somewhere: stay. Else a lobby is better than nowhere.
    if (this.#room.joined) showAddress(this.#room.info.name, false);
    else if (wanted && NOT_THERE.has(error.code)) await this.lobby(false);
  }

  #again(wanted, push) {
    if (wanted) this.#try(wanted, push);
    else this.lobby(push);
  }

  #entered(response, password, push) {
    this.#busy = 0;
    this.#enter(response);
    this.#wanted = { name: this.#room.info.name, password };
    showAddress(this.#room.info.name, push);
  }
}

/** The link that brings others here. */
export function linkTo(name) {
  return `${location.origin}/?room=${encodeURIComponent(name)}`;
}

function roomOfAddress() {
  return new URLSearchParams(location.search).get("room")?.trim() || null;
}

function showAddress(name, push) {
  const link = linkTo(name);
  if (link === location.href) return;
  if (push) history.pushState(null, "", link);
  else history.replaceState(null, "", link);
}
