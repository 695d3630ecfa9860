// The card on which one writes one's name and picks a colour; the first thing a newcomer sees.

import { PALETTE } from "./colours.js";
import { byId, closesByItself, make, show } from "./dom.js";
import { sentence } from "./text.js";

export class Profile {
  #dialog = byId("profile");
  #form = byId("profile-form");
  #other;

  /** `save({ name, colour, status })` resolves when it is taken, and rejects with the reason. */
  constructor(save) {
    closesByItself(this.#dialog);
    this.#swatches(byId("swatches"));
    this.#form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const refusal = this.#form.querySelector(".refusal");
      refusal.textContent = "";
      const fields = this.#form.elements;
      try {
        await save({ name: fields.name.value.trim(), colour: this.#colour(), status: fields.status.value });
        this.#dialog.close();
      } catch (error) {
        refusal.textContent = sentence(error.message);
      }
    });
  }

  /** Opens with what is known; `seated` is whether the person has been here before. */
  open({ name, colour, status, seated }) {
    this.#dialog.classList.toggle("seated", seated);
    byId("profile-why").hidden = seated;
    byId("profile-title").textContent = seated ? "You" : "Take a seat";
    this.#form.querySelector("[type=submit]").textContent = seated ? "Save" : "Sit down";
    this.#form.querySelector("[data-close]").textContent = seated ? "Cancel" : "Not now";
    this.#form.querySelector(".refusal").textContent = "";
    const fields = this.#form.elements;
    fields.name.value = name;
    fields.status.value = status;
    this.#pick(colour);
    show(this.#dialog, fields.name);
  }

  /** Fills the card in with what came from the server, where the person has not written anything yet. */
  suggest({ name, colour }) {
    if (!this.#dialog.open || this.#form.elements.name.value) return;
    this.#form.elements.name.value = name;
    this.#form.elements.name.select();
    this.#pick(colour);
  }

  #swatches(root) {
    for (const colour of PALETTE) {
      const label = make("label", "swatch");
      label.style.setProperty("--of", colour);
      label.append(make("input", "", "", { type: "radio", name: "colour", value: colour, "aria-label": colour }));
      root.append(label);
    }
    this.#other = make("label", "swatch other", "", { title: "Any other colour" });
    const input = make("input", "", "", { type: "color", "aria-label": "Any other colour" });
    input.addEventListener("input", () => this.#pick(input.value));
    this.#other.append(input);
    root.append(this.#other);
    root.addEventListener("change", (event) => {
      if (event.target.type === "radio") this.#other.classList.remove("chosen");
    });
  }

  #pick(colour) {
    const offered = PALETTE.includes(colour);
    for (const radio of this.#form.querySelectorAll("[name=colour]")) radio.checked = radio.value === colour;
    this.#other.classList.toggle("chosen", !offered && Boolean(colour));
    if (!offered && colour) {
      this.#other.style.setProperty("--of", colour);
      this.#other.querySelector("input").value = colour;
    }
  }

  #colour() {
    const radio = this.#form.querySelector("[name=colour]:checked");
    if (radio && !this.#other.classList.contains("chosen")) return radio.value;
    return this.#other.querySelector("input").value;
  }
}
