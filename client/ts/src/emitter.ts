/** Where a listener's exception goes: never into the socket handler that happened to call it. */
export type Log = (level: "debug" | "warn" | "error", text: string, detail?: unknown) => void;

/** The default Log: silent about what is merely curious. */
export const consoleLog: Log = (level, text, detail) => {
  if (level !== "debug") console[level](`tickover: ${text}`, detail ?? "");
};

/** A map of event names to the arguments of their listeners. */
export type EventMap = { [name: string]: unknown[] };

/** Emitter is a typed list of listeners. `on` returns the function that takes the listener off again. */
export class Emitter<E extends EventMap> {
  readonly #listeners = new Map<keyof E, Set<unknown>>();

  on<K extends keyof E>(name: K, listener: (...args: E[K]) => void): () => void {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, (set = new Set()));
    set.add(listener);
    return () => void set.delete(listener);
  }

  /** Whether anybody listens, to `name` or to anything at all. */
  has(name?: keyof E): boolean {
    if (name !== undefined) return (this.#listeners.get(name)?.size ?? 0) > 0;
    return [...this.#listeners.values()].some((set) => set.size > 0);
  }

  /** Calls every listener; one that throws is logged and does not keep the others from being called. */
  emit<K extends keyof E>(log: Log, name: K, ...args: E[K]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) this.#call(log, name, listener, args);
  }

  /** Calls this one listener, unless it was taken off meanwhile. */
  emitTo<K extends keyof E>(log: Log, name: K, listener: (...args: E[K]) => void, ...args: E[K]): void {
    if (this.#listeners.get(name)?.has(listener)) this.#call(log, name, listener, args);
  }

  #call<K extends keyof E>(log: Log, name: K, listener: unknown, args: E[K]): void {
    try {
      (listener as (...args: E[K]) => void)(...args);
    } catch (error) {
      log("error", `a listener of "${String(name)}" threw`, error);
    }
  }
}
