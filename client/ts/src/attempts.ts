/** The server's word for a hello that came behind a later one. */
const CLOSE_STALE = 4013;

/**
 * Numbers hellos, so that one that was given up, and arrives when the next has been answered, can be told from that. Each number is
 * higher than all before, those of the page before a reload included: it is the time in Unix milliseconds, or one more than the
 * last. Nothing has to be kept for that, and of two tabs with a copy of one storage the one that comes last has the higher number.
 */
export class Attempts {
  #last = 0;
  /** The last hello, although nothing came behind it, was called stale: the clock has gone back since the page before. */
  #stale = false;

  /** The number of a hello that is said now; none, 0, if numbers are of no use. */
  next(unixMs: number): number {
    if (this.#stale) return 0;
    return (this.#last = Math.max(this.#last + 1, unixMs));
  }

  /** Why the connection of the last hello has ended. */
  lost(code: number): void {
    if (code === CLOSE_STALE) this.#stale = true;
  }

  /** The last hello was answered: there is a new secret, for which no number is too low. */
  welcomed(): void {
    this.#stale = false;
  }
}
