/** Below the server's 60 messages a second after a burst of 120, with room for acknowledgements and pings. */
const PER_SECOND = 50;
const BURST = 90;

/** Allowance keeps this client below the server's rate limit: a burst of resent inputs is spread instead of dropped. */
export class Allowance {
  #left = BURST;
  #at: number;

  constructor(now: number) {
    this.#at = now;
  }

  /** How many messages may be sent now. */
  left(now: number): number {
    this.#left = Math.min(BURST, this.#left + Math.max(0, now - this.#at) * (PER_SECOND / 1000));
    this.#at = now;
    return Math.max(0, Math.floor(this.#left));
  }

  /** Counts what was sent; acknowledgements and pings may go below zero, inputs wait. */
  spend(count: number): void {
    this.#left = Math.max(-BURST, this.#left - count);
  }
}
