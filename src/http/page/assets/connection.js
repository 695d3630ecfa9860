// The socket: opening it, requests and their answers, heartbeat, time samples, and coming back after a loss.
//
// It knows messages' envelopes, not their meaning: everything that is no answer to a request goes to `onMessage`.

import { ServerClock } from "./clock.js";
import { SUBPROTOCOL, open } from "./protocol.js";
import { verdict } from "./reconnect.js";

const REQUEST_TIMEOUT_MS = 10_000;
const MAX_REQUESTS = 64;
const SYNC_FAST_MS = 400;
const SYNC_MS = 3_000;
/** Time samples unanswered for this long mean that the other side is gone, whatever the socket believes. */
const DEAD_AFTER_MS = 12_000;
/** Bytes waiting in the browser beyond which note-ons are no longer worth sending. */
const CLOGGED_BYTES = 64 * 1024;

/** A request refused. `code` is one of the protocol's table, or TIMEOUT or DISCONNECTED of this page's own. */
export class RequestError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export class Connection {
  clock = new ServerClock();
  #handlers;
  #socket = null;
  #welcomed = false;
  #attempt = 0;
  #retryTimer = 0;
  #tickTimer = 0;
  #lastTick = 0;
  #lastSync = 0;
  #lastBeat = 0;
  #unanswered = null;
  #heartbeatMs = 10_000;
  #nextRequest = 1;
  #requests = new Map();

  /**
   * `handlers`: `url(attempt)` for each attempt since the last welcome, from 0; `onWelcome(body)`,
   * `onMessage(name, body)`, `onSync()`, `onState({ state, why, delayMs, code })` with state `connecting`, `open`,
   * `waiting` or `stopped`.
   */
  constructor(handlers) {
    this.#handlers = handlers;
    addEventListener("online", () => {
      if (this.#retryTimer) this.connect();
    });
  }

  get isOpen() {
    return this.#welcomed;
  }

  /** Whether so much waits to be sent that notes would arrive too late to matter. */
  get clogged() {
    return (this.#socket?.bufferedAmount ?? 0) > CLOGGED_BYTES;
  }

  connect() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.#drop();
    this.#handlers.onState({ state: "connecting" });
    const socket = new WebSocket(this.#handlers.url(this.#attempt), SUBPROTOCOL);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#closed(code, reason);
    };
  }

  /** Sends a message that asks for no answer; `false` where there is no connection. */
  send(name, body) {
    if (!this.#welcomed) return false;
    this.#socket.send(JSON.stringify({ [name]: body }));
    return true;
  }

  /** Sends a request. Resolves to `{ name, body }` of its answer, rejects with a `RequestError`. */
  request(name, body) {
    if (!this.#welcomed) return Promise.reject(new RequestError("DISCONNECTED", "not connected"));
    if (this.#requests.size >= MAX_REQUESTS) {
      return Promise.reject(new RequestError("TIMEOUT", "too many requests are waiting for their answers"));
    }
    const requestId = this.#nextRequest++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#requests.delete(requestId);
        reject(new RequestError("TIMEOUT", "the server did not answer in time"));
      }, REQUEST_TIMEOUT_MS);
      this.#requests.set(requestId, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ [name]: body, requestId }));
    });
  }

  #receive(data) {
    let message = null;
    try {
      message = typeof data === "string" ? open(data) : null;
    } catch {
      // Not JSON: nothing that this page could act on.
    }
    if (!message) return;
    const { name, body, requestId } = message;
    if (name === "timeSync") {
      this.#synced(body);
    } else if (name === "welcome") {
      this.#begin(body);
    } else if (requestId !== undefined && this.#requests.has(requestId)) {
      this.#answer(requestId, name, body);
    } else {
      this.#handlers.onMessage(name, body);
    }
  }

  #begin(body) {
    this.#welcomed = true;
    this.#attempt = 0;
    this.#unanswered = null;
    this.#heartbeatMs = Math.max(1_000, Math.min(10_000, body.limits?.heartbeatIntervalMs || 10_000));
    this.clock.reset();
    this.clock.guess(Number(body.serverTimeUs ?? 0), performance.now());
    this.#lastTick = performance.now();
    this.#lastBeat = this.#lastTick;
    this.#sync();
    clearInterval(this.#tickTimer);
    this.#tickTimer = setInterval(() => this.#tick(), 200);
    this.#handlers.onState({ state: "open" });
    this.#handlers.onWelcome(body);
  }

  #answer(requestId, name, body) {
    const { resolve, reject, timer } = this.#requests.get(requestId);
    clearTimeout(timer);
    this.#requests.delete(requestId);
    if (name === "errorMessage") {
      reject(new RequestError(body.errorCode ?? "SERVER_ERROR", body.errorMessage ?? "", body.errorDetails ?? {}));
    } else {
      resolve({ name, body });
    }
  }

  #tick() {
    const now = performance.now();
    // A page that was asleep finds its samples old without the server being to blame.
    const awake = now - this.#lastTick < 5_000;
    this.#lastTick = now;
    if (this.#unanswered !== null && now - this.#unanswered > DEAD_AFTER_MS) {
      if (awake) return this.#closed(1006, "");
      this.#unanswered = now;
    }
    if (now - this.#lastSync >= (this.clock.samples < 5 ? SYNC_FAST_MS : SYNC_MS)) this.#sync();
    if (now - this.#lastBeat >= this.#heartbeatMs) {
      this.#lastBeat = now;
      this.send("heartbeatMessage", { timeMs: String(Math.round(this.clock.toServer(now))) });
    }
  }

  #sync() {
    const now = performance.now();
    this.#lastSync = now;
    this.#unanswered ??= now;
    this.send("timeSync", { clientTimeUs: String(Math.round((performance.timeOrigin + now) * 1000)) });
  }

  #synced(body) {
    const now = performance.now();
    const sent = Number(body.clientTimeUs ?? 0) / 1000 - performance.timeOrigin;
    this.#unanswered = null;
    if (!(sent <= now)) return;
    this.clock.sample(sent, Number(body.serverReceiveTimeUs ?? 0), Number(body.serverSendTimeUs ?? 0), now);
    this.#handlers.onSync();
  }

  #closed(code, reason) {
    this.#drop();
    const decision = verdict(code, reason, this.#attempt++, Math.random());
    if (!decision.retry) {
      this.#handlers.onState({ state: "stopped", why: decision.why, code });
      return;
    }
    this.#handlers.onState({ state: "waiting", why: decision.why, delayMs: decision.delayMs, code });
    this.#retryTimer = setTimeout(() => this.connect(), decision.delayMs);
  }

  /** Lets go of the socket and of what waits for its answers. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomed = false;
    clearInterval(this.#tickTimer);
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000);
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new RequestError("DISCONNECTED", "the connection was lost"));
    }
    this.#requests.clear();
  }
}
