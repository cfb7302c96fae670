/** Often enough for acknowledgements every 100 ms. */
const EVERY_MS = 50;
/** Browsers slow the timers of hidden pages to one a minute, which is longer than a server waits; a worker's are left alone. */
const HIDDEN_EVERY_MS = 1_000;

export interface PulseHandlers {
  beat(): void;
  /** The page was shown again or the network came back: a good moment to stop waiting. */
  wake(): void;
}

/** Pulse calls `beat` regularly from start to stop, in hidden pages too, and `wake` when waiting has lost its reason. */
export class Pulse {
  readonly #handlers: PulseHandlers;
  readonly #page = typeof document === "object" && typeof window === "object" ? document : undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #worker: Worker | undefined;

  constructor(handlers: PulseHandlers) {
    this.#handlers = handlers;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#handlers.beat(), EVERY_MS);
    this.#page?.addEventListener("visibilitychange", this.#seen);
    if (this.#page) window.addEventListener("online", this.#online);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#endWorker();
    this.#page?.removeEventListener("visibilitychange", this.#seen);
    if (this.#page) window.removeEventListener("online", this.#online);
  }

  readonly #online = (): void => this.#handlers.wake();

  readonly #seen = (): void => {
    if (this.#page?.visibilityState === "hidden") return this.#startWorker();
    this.#endWorker();
    this.#handlers.wake();
  };

  #startWorker(): void {
    if (this.#worker || typeof Worker !== "function") return;
    try {
      const source = new Blob([`setInterval(() => postMessage(0), ${HIDDEN_EVERY_MS})`], { type: "text/javascript" });
      const url = URL.createObjectURL(source);
      this.#worker = new Worker(url);
      this.#worker.onmessage = () => this.#handlers.beat();
      this.#worker.onerror = () => this.#endWorker();
      URL.revokeObjectURL(url);
    } catch {
      // A content security policy may forbid it: hidden pages then live on the messages they receive.
    }
  }

  #endWorker(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}
