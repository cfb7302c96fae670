/** The server takes an input at most this far ahead of the last applied one. */
export const WINDOW = 256;
/** Newest-only inputs stop at a quarter of the window, so that they never crowd out inputs that must not be lost. */
const LATEST_WINDOW = WINDOW / 4;
/** Without progress for this long, everything unacknowledged is sent again. */
export const STALL_MS = 2_000;

export interface Entry {
  readonly number: number;
  readonly value: Uint8Array;
}

/**
 * Outbox numbers a room's inputs and keeps each until the server says that it was applied or refused.
 * It has no clock and no socket: `take` says what to send at `now`.
 *
 *	 1 … applied │ applied+1 … sent │ sent+1 … last │ latest
 *	 forgotten   │ kept, on its way │ kept, waiting │ one slot, no number before it is sent
 */
export class Outbox {
  #applied: number;
  #sent: number;
  #kept: Entry[] = [];
  #latest: Uint8Array | undefined;
  #progressAt = 0;

  /** `applied` is where the numbering starts: the server's last applied number of this run. */
  constructor(applied = 0) {
    this.#applied = this.#sent = applied;
  }

  /** How many inputs are not acknowledged yet; at most WINDOW. */
  get size(): number {
    return this.#kept.length;
  }

  /** The last number given to an input. */
  get last(): number {
    return this.#applied + this.#kept.length;
  }

  get applied(): number {
    return this.#applied;
  }

  /** Takes an input that must arrive and returns its number, or 0 when the window is full. A waiting newest-only input keeps its place in time. */
  push(value: Uint8Array): number {
    const latest = this.#latest;
    if (this.#kept.length + (latest ? 1 : 0) >= WINDOW) return 0;
    if (latest) {
      this.#latest = undefined;
      this.#keep(latest);
    }
    return this.#keep(value);
  }

  /** Replaces the input that is only worth sending while it is the newest. */
  pushLatest(value: Uint8Array): void {
    this.#latest = value;
  }

  /** What to send now, at most `limit` inputs, in order. Everything returned counts as sent. */
  take(now: number, limit: number): Entry[] {
    if (limit <= 0) return [];
    if (this.#sent > this.#applied && now - this.#progressAt >= STALL_MS) this.resendAll(now);
    if (this.#latest && this.#kept.length < LATEST_WINDOW && this.last - this.#sent < limit) {
      this.#keep(this.#latest);
      this.#latest = undefined;
    }
    if (this.#sent === this.#applied) this.#progressAt = now;
    const from = this.#sent - this.#applied;
    const entries = this.#kept.slice(from, from + limit);
    this.#sent += entries.length;
    return entries;
  }

  /** Forgets inputs up to `applied`; a lower number than before is old news. False for a number that was never given: that is nonsense. */
  acknowledge(applied: number, now: number): boolean {
    if (applied <= this.#applied) return true;
    if (applied > this.last) return false;
    this.#kept.splice(0, applied - this.#applied);
    this.#applied = applied;
    this.#sent = Math.max(this.#sent, applied);
    this.#progressAt = now;
    return true;
  }

  /** After a resume: all that was not acknowledged goes out again. */
  resendAll(now: number): void {
    this.#sent = this.#applied;
    this.#progressAt = now;
  }

  /** The server saw a gap and wants `number` next. False when that input is already forgotten: the histories do not fit. */
  resendFrom(number: number, now: number): boolean {
    if (number <= this.#applied) return false;
    this.#sent = Math.min(this.#sent, number - 1);
    this.#progressAt = now;
    return true;
  }

  #keep(value: Uint8Array): number {
    this.#kept.push({ number: this.last + 1, value });
    return this.last;
  }
}
