// The chat: lines as text, never as HTML; history, commands, unread lines.

import { make } from "./dom.js";
import { onInkCss } from "./colours.js";
import { readChat } from "./protocol.js";

const MAX_LINES = 300;
const MAX_SENT = 30;

export class Chat {
  #log;
  #form;
  #input;
  #unread = 0;
  #sent = [];
  #recall = 0;
  #seen = new Set();
  #byline = null;
  #divider = make("li", "line divide", "earlier");

  /** `send(text)` resolves once the line is taken and rejects with a `RequestError`; `onUnread(count)`. */
  constructor({ log, form, input, send, onUnread, isVisible }) {
    this.#log = log;
    this.#form = form;
    this.#input = input;
    this.#isVisible = isVisible;
    this.#onUnread = onUnread;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(send);
    });
    input.addEventListener("keydown", (event) => this.#keydown(event));
  }

  #isVisible;
  #onUnread;

  set limit(characters) {
    if (characters) this.#input.maxLength = characters;
  }

  /** Says in the field itself why nothing can be written, or that it can. */
  allow(allowed, why) {
    this.#input.disabled = !allowed;
    this.#input.placeholder = allowed ? "Say something, or /help" : why;
  }

  focus() {
    this.#input.focus();
  }

  /** Another room: its history follows. */
  clear() {
    this.#log.replaceChildren();
    this.#seen.clear();
    this.#byline = null;
    this.read();
  }

  /** What was said before; a long history comes in several messages. */
  history(lines) {
    if (lines.length === 0) return;
    this.#divider.remove();
    for (const line of lines) this.add(line, false);
    this.#byline = null;
    this.#log.append(this.#divider);
    this.#toEnd();
  }

  /** Adds a line from the wire. */
  add(raw, fresh = true) {
    const line = readChat(raw);
    if (line.id && this.#seen.has(line.id)) return;
    if (line.id) this.#seen.add(line.id);
    if (line.kind === "SYSTEM" || (!line.name && line.kind !== "USER")) {
      this.note(line.text, "server");
      return;
    }
    const item = make("li", `line ${line.kind.toLowerCase()}`);
    const deed = `* ${line.name} `;
    if (line.text.startsWith(deed)) {
      this.#deed(item, line, line.text.slice(deed.length), fresh);
      return;
    }
    // Lines of one person within a few minutes stand under one name.
    const byline = `${line.userId}/${line.name}/${line.colour}`;
    const apart = byline !== this.#byline?.key || line.timeMs - this.#byline.at > 240_000;
    if (apart) {
      const head = make("p", "byline");
      const name = make("span", "author", line.name);
      name.style.setProperty("color", onInkCss(line.colour));
      head.append(name);
      if (line.kind !== "USER") head.append(make("span", "badge", line.kind.toLowerCase()));
      if (line.timeMs) head.append(make("time", "", clockOf(line.timeMs)));
      item.append(head);
    }
    this.#byline = { key: byline, at: line.timeMs };
    item.append(make("p", "words", line.text));
    this.#append(item);
    if (fresh) this.#count();
  }

  /** A line of the page's own, or the server's answer to a command. */
  note(text, kind = "") {
    this.#byline = null;
    this.#append(make("li", `line note ${kind}`, text));
  }

  /** The person has seen what there is. */
  read() {
    if (this.#unread === 0) return;
    this.#unread = 0;
    this.#onUnread(0);
  }

  /** The newest lines, for the tests' view of the page. */
  get lines() {
    return [...this.#log.querySelectorAll(".words, .note")].slice(-50).map((line) => line.textContent);
  }

  /** `/me waves`: what somebody does, without a heading. */
  #deed(item, line, words, fresh) {
    this.#byline = null;
    const text = make("p", "words deed");
    const name = make("span", "author", line.name);
    name.style.setProperty("color", onInkCss(line.colour));
    text.append(name, ` ${words}`);
    item.append(text);
    this.#append(item);
    if (fresh) this.#count();
  }

  #count() {
    if (this.#isVisible()) return;
    this.#unread += 1;
    this.#onUnread(this.#unread);
  }

  #append(item) {
    const nearEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    this.#log.append(item);
    while (this.#log.children.length > MAX_LINES) this.#log.firstChild.remove();
    if (this.#seen.size > 4 * MAX_LINES) this.#seen = new Set([...this.#seen].slice(-MAX_LINES));
    if (nearEnd) this.#toEnd();
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  async #submit(send) {
    const text = this.#input.value.trim();
    if (!text) return;
    this.#sent.push(text);
    if (this.#sent.length > MAX_SENT) this.#sent.shift();
    this.#recall = this.#sent.length;
    this.#input.value = "";
    try {
      await send(text);
    } catch (error) {
      // Give the words back, unless the next ones are being written.
      if (!this.#input.value) this.#input.value = text;
      this.note(error.message, "refused");
    }
  }

  #keydown(event) {
    if (event.key === "Escape") {
      this.#input.blur();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const to = this.#recall + (event.key === "ArrowUp" ? -1 : 1);
      if (to < 0 || to > this.#sent.length || (this.#input.value && this.#input.value !== (this.#sent[this.#recall] ?? ""))) return;
      event.preventDefault();
      this.#recall = to;
      this.#input.value = this.#sent[to] ?? "";
    }
  }
}

function clockOf(timeMs) {
  return new Date(timeMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
