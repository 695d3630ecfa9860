// The stream of reports: opened, watched, and opened again when it breaks off.

/** When to try again where the browser does not by itself: the server refused, or said what is no stream. */
const RETRY_MS = 5_000;
/** A stream that is open and says nothing for so long is not live. */
const SILENCE_MS = 5_000;

/**
 * Follows the reports at `url`.
 *
 * `onReport(report)` gets each; `onState(state)` gets "connecting", "live", "reconnecting", "silent" or "paused",
 * whenever it changes.
 */
export class Connection {
  #url;
  #onReport;
  #onState;
  #state = "connecting";
  #source = null;
  #retry = 0;
  #silence = 0;

  constructor(url, onReport, onState) {
    this.#url = url;
    this.#onReport = onReport;
    this.#onState = onState;
  }

  open() {
    this.#end();
    if (this.#state === "paused") this.#become("connecting");
    const source = new EventSource(this.#url);
    source.addEventListener("open", () => this.#await());
    source.addEventListener("actors", (event) => {
      this.#await();
      this.#become("live");
      this.#onReport(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      clearTimeout(this.#silence);
      this.#become("reconnecting");
      // Else the browser tries again by itself.
      if (source.readyState === EventSource.CLOSED) this.#retry = setTimeout(() => this.open(), RETRY_MS);
    });
    this.#source = source;
  }

  pause() {
    this.#end();
    this.#become("paused");
  }

  #await() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#become("silent"), SILENCE_MS);
  }

  #end() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
  }

  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }
}
