// MIDI keyboards, by the Web MIDI API: asking for them, choosing one, hearing of their coming and going.

export class MidiInput {
  #hands;
  #access = null;
  #chosen = "all";

  /** `onChange()` is told when devices came or went. */
  constructor(hands, onChange) {
    this.#hands = hands;
    this.onChange = onChange;
  }

  get supported() {
    return typeof navigator.requestMIDIAccess === "function";
  }

  /** Asks for the devices; the browser may ask the person. Rejects where it is refused. */
  async open() {
    if (this.#access) return;
    this.#access = await navigator.requestMIDIAccess({ sysex: false });
    this.#access.onstatechange = ({ port }) => {
      if (port.type === "input") this.#listen();
    };
    this.#listen();
  }

  /** Opens without asking where the person allowed it before. */
  async openIfAllowed() {
    if (!this.supported) return;
    try {
      const { state } = await navigator.permissions.query({ name: "midi" });
      if (state === "granted") await this.open();
    } catch {
      // A browser that cannot say: the button is there.
    }
  }

  /** The devices there are: `[{ id, name }]`. */
  get devices() {
    return [...(this.#access?.inputs.values() ?? [])]
      .filter((input) => input.state === "connected")
      .map((input) => ({ id: input.id, name: input.name || "MIDI keyboard" }));
  }

  get chosen() {
    return this.#chosen;
  }

  /** Listens to one device by its id, to `all`, or to `none`. */
  choose(id) {
    this.#chosen = id;
    this.#listen();
  }

  #listen() {
    for (const input of this.#access?.inputs.values() ?? []) {
      const source = `midi:${input.id}`;
      const wanted = input.state === "connected" && (this.#chosen === "all" || this.#chosen === input.id);
      if (!wanted) this.#hands.releaseSource(source);
      input.onmidimessage = wanted ? ({ data, timeStamp }) => this.#hands.midi(data, source, timeStamp) : null;
    }
    this.onChange?.();
  }
}
