// The dialogs about rooms: finding one, making one, its settings, and a password asked for.

import { closesByItself, icon, make, show } from "./dom.js";
import { readRoom } from "./protocol.js";

const REFRESH_MS = 8_000;
const PAGE = 100;

export class Lobby {
  #dialogs;
  #connection;
  #actions;
  #timer = 0;
  #maxCapacity = 100;
  #editing = null;

  /** `dialogs`: `{ rooms, make, password }` elements. `actions`: `join(name, password)`, `lobby()`, `create(body)`, `update(body)`. */
  constructor(dialogs, connection, actions) {
    this.#dialogs = dialogs;
    this.#connection = connection;
    this.#actions = actions;
    Object.values(dialogs).forEach(closesByItself);
    dialogs.rooms.addEventListener("close", () => clearInterval(this.#timer));
    dialogs.rooms.querySelector("#room-search").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = event.target.elements.name.value.trim();
      if (name) this.#go(() => actions.join(name));
    });
    dialogs.rooms.querySelector("#to-lobby").addEventListener("click", () => this.#go(() => actions.lobby()));
    dialogs.rooms.querySelector("#make-room").addEventListener("click", () => this.edit(null));
    this.#listenToForm();
  }

  set maxCapacity(capacity) {
    if (capacity) this.#maxCapacity = capacity;
  }

  open(currentId) {
    this.current = currentId;
    const dialog = this.#dialogs.rooms;
    show(dialog, dialog.querySelector("input"));
    this.#refresh();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
  }

  /** Opens the form: for a new room, or with a room's settings to change them. */
  edit(info) {
    this.#editing = info;
    this.#dialogs.rooms.close();
    const dialog = this.#dialogs.make;
    const form = dialog.querySelector("form");
    const fields = form.elements;
    form.reset();
    dialog.querySelector("h2").textContent = info ? "Room settings" : "A room of your own";
    dialog.querySelector("[type=submit]").textContent = info ? "Save" : "Open the room";
    form.classList.toggle("editing", Boolean(info));
    fields.capacity.max = String(this.#maxCapacity);
    fields.password.placeholder = info?.hasPassword ? "unchanged" : "none";
    if (info) {
      fields.name.value = info.name;
      fields.capacity.value = String(info.capacity || 20);
      fields.ownerPlays.checked = info.onlyOwnerPlays;
      fields.ownerChats.checked = info.onlyOwnerChats;
      fields.welcome.value = info.welcome;
    }
    form.querySelector(".refusal").textContent = "";
    this.#fit(form);
    show(dialog, fields.name);
  }

  /** Asks for a room's password; resolves to it, or to `null` where the person would rather not. */
  askPassword(name, wrong) {
    const dialog = this.#dialogs.password;
    const form = dialog.querySelector("form");
    dialog.querySelector("h2").textContent = name;
    dialog.querySelector(".why").textContent = wrong ? "That was not the password. Once more?" : "This room asks for a password.";
    form.reset();
    show(dialog, form.elements.password);
    return new Promise((resolve) => {
      let given = null;
      form.onsubmit = (event) => {
        event.preventDefault();
        given = form.elements.password.value;
        dialog.close();
      };
      dialog.onclose = () => resolve(given);
    });
  }

  async #go(action) {
    this.#dialogs.rooms.close();
    await action();
  }

  async #refresh() {
    const list = this.#dialogs.rooms.querySelector("#room-list");
    try {
      const { body } = await this.#connection.request("listRooms", { page: 1, limit: PAGE });
      const rooms = (body.rooms ?? []).map(readRoom);
      const focused = document.activeElement?.dataset?.room;
      list.replaceChildren(...rooms.map((room) => this.#row(room)));
      if (focused) list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
      if (rooms.length === 0) list.append(make("li", "empty", "No room is open. Name one above, or open one."));
    } catch (error) {
      if (list.children.length === 0) list.replaceChildren(make("li", "empty", error.message));
    }
  }

  #row(room) {
    const item = make("li");
    const here = room.id === this.current;
    const button = make("button", `room-row${here ? " here" : ""}`, "", { type: "button", "data-room": room.id });
    const words = make("span", "room-words");
    words.append(make("span", "room-title", room.name));
    const about = [here ? "you are here" : "", room.onlyOwnerPlays ? "owner plays" : "", room.welcome].filter(Boolean).join(" · ");
    if (about) words.append(make("span", "room-about", about));
    const seats = make("span", "seats", room.capacity ? `${room.count} / ${room.capacity}` : String(room.count));
    button.append(icon(room.type === "LOBBY" ? "lobby" : room.hasPassword ? "lock" : "door"), words, seats);
    button.disabled = here;
    button.addEventListener("click", () => this.#go(() => this.#actions.join(room.name, undefined, room)));
    item.append(button);
    return item;
  }

  #listenToForm() {
    const dialog = this.#dialogs.make;
    const form = dialog.querySelector("form");
    form.addEventListener("input", () => this.#fit(form));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const refusal = form.querySelector(".refusal");
      refusal.textContent = "";
      try {
        if (this.#editing) await this.#actions.update(this.#changes(form.elements));
        else await this.#actions.create(this.#creation(form.elements));
        dialog.close();
      } catch (error) {
        refusal.textContent = error.message;
      }
    });
  }

  /** What depends on what in the form. */
  #fit(form) {
    const fields = form.elements;
    form.querySelector("output").textContent = fields.capacity.value;
  }

  #settings(fields) {
    return {
      maxUsers: Number(fields.capacity.value),
      onlyOwnerPlays: fields.ownerPlays.checked,
      onlyOwnerChats: fields.ownerChats.checked,
      welcomeMessage: fields.welcome.value.trim(),
    };
  }

  #creation(fields) {
    const body = { roomName: fields.name.value.trim(), roomType: fields.type.value, settings: this.#settings(fields) };
    if (fields.password.value) body.password = fields.password.value;
    return body;
  }

  #changes(fields) {
    const body = { settings: this.#settings(fields) };
    if (fields.name.value.trim() !== this.#editing.name) body.roomName = fields.name.value.trim();
    if (fields.password.value) body.password = fields.password.value;
    if (fields.noPassword.checked) body.password = "";
    return body;
  }
}
