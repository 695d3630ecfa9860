// Short notices at the page's edge. At most a few stand at a time; the same one is not repeated.

import { make } from "./dom.js";

const MAX_NOTICES = 3;
const SHOWN_MS = 5_000;

export class Notices {
  #root;

  constructor(root) {
    this.#root = root;
  }

  say(text, kind = "") {
    const same = [...this.#root.children].find((notice) => notice.textContent === text);
    if (same) {
      clearTimeout(same.timer);
      same.timer = setTimeout(() => same.remove(), SHOWN_MS);
      return;
    }
    while (this.#root.children.length >= MAX_NOTICES) this.#root.firstChild.remove();
    const notice = make("p", `notice ${kind}`, text);
    notice.timer = setTimeout(() => notice.remove(), SHOWN_MS);
    this.#root.append(notice);
  }
}
