/** What a reload must find: the key to the session, and which seats to expect back. */

/** The part of the Web Storage API that is used. */
export interface StorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Keepsake {
  session: string;
  secret: string;
  /** Ids of the rooms this session has a seat in. */
  rooms: string[];
}

/**
 * Keeps a Keepsake in a storage that may be missing, full or forbidden: then it only lives as long as the page.
 * The default is sessionStorage, so that two tabs are two players.
 */
export class KeepsakeStore {
  readonly #storage: StorageLike | null;
  readonly #key: string;

  constructor(url: string, storage: StorageLike | null | undefined) {
    this.#storage = storage === undefined ? defaultStorage() : storage;
    this.#key = `tickover:${url}`;
  }

  load(): Keepsake | undefined {
    try {
      const k = JSON.parse(this.#storage?.getItem(this.#key) ?? "null") as Partial<Keepsake> | null;
      if (typeof k?.session !== "string" || typeof k.secret !== "string" || !k.session) return undefined;
      const rooms = Array.isArray(k.rooms) ? k.rooms.filter((id) => typeof id === "string").slice(0, 64) : [];
      return { session: k.session, secret: k.secret, rooms };
    } catch {
      return undefined;
    }
  }

  save(keepsake: Keepsake): void {
    try {
      this.#storage?.setItem(this.#key, JSON.stringify(keepsake));
    } catch {
      // Full or forbidden: the session then ends with the page.
    }
  }

  forget(): void {
    try {
      this.#storage?.removeItem(this.#key);
    } catch {
      // Forbidden storage had nothing to forget.
    }
  }
}

function defaultStorage(): StorageLike | null {
  try {
    return globalThis.sessionStorage ?? null; // the mere read throws in a sandboxed frame
  } catch {
    return null;
  }
}
