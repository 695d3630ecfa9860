// One small menu at a time, beside what opened it; on a narrow screen, at the foot of the page.

import { make } from "./dom.js";

export class Menu {
  #root;
  #opener = null;

  constructor(root) {
    this.#root = root;
    addEventListener("pointerdown", (event) => {
      if (!root.hidden && !root.contains(event.target)) this.close(false);
    });
    addEventListener("resize", () => this.close(false));
    root.addEventListener("keydown", (event) => this.#keydown(event));
  }

  /** Opens beside `opener`. Each item is `{ label, act, danger }`, `{ title }` or `{ slider }`. */
  open(opener, items) {
    const again = this.#opener === opener && !this.#root.hidden;
    this.close(false);
    if (again) return;
    this.#opener = opener;
    this.#root.replaceChildren(...items.map((item) => this.#item(item)));
    this.#root.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    const anchor = opener.getBoundingClientRect();
    const own = this.#root.getBoundingClientRect();
    const left = Math.max(8, Math.min(innerWidth - own.width - 8, anchor.right - own.width));
    const below = anchor.bottom + 4 + own.height <= innerHeight;
    const top = below ? anchor.bottom + 4 : Math.max(8, anchor.top - own.height - 4);
    this.#root.style.setProperty("--left", `${left}px`);
    this.#root.style.setProperty("--top", `${top}px`);
    this.#buttons[0]?.focus();
  }

  close(refocus = true) {
    if (this.#root.hidden) return;
    this.#root.hidden = true;
    this.#opener?.setAttribute("aria-expanded", "false");
    if (refocus) this.#opener?.focus();
    this.#opener = null;
  }

  get #buttons() {
    return [...this.#root.querySelectorAll("[role=menuitem]")];
  }

  #item(item) {
    if (item.title) return make("p", "menu-title", item.title);
    const button = make("button", item.danger ? "danger" : "", item.label, { type: "button", role: "menuitem" });
    button.addEventListener("click", () => {
      this.close();
      item.act();
    });
    return button;
  }

  #keydown(event) {
    const buttons = this.#buttons;
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") {
      this.close();
    } else if (to !== undefined) {
      buttons[(to + buttons.length) % buttons.length]?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
