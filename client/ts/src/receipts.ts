/** Acknowledgements that ride on no input go out at most this often. */
const ACK_EVERY_MS = 100;

/**
 * Receipts follows what a room's stream has delivered: reliable messages exactly once and in order, states newest wins.
 * It also knows when an acknowledgement is due.
 */
export class Receipts {
  #reliable: number;
  #state = 0;
  #ackedReliable: number;
  #ackedState = 0;
  #ackedAt = -Infinity;

  constructor(reliable = 0) {
    this.#reliable = this.#ackedReliable = reliable;
  }

  /** The number of the last reliable message seen. */
  get reliable(): number {
    return this.#reliable;
  }

  /** The last tick whose state was seen. */
  get state(): number {
    return this.#state;
  }

  /** Only "next" may reach the game. A "gap" cannot happen while both sides keep the protocol. */
  take(number: number): "next" | "duplicate" | "gap" {
    if (number <= this.#reliable) return "duplicate";
    if (number !== this.#reliable + 1) return "gap";
    this.#reliable = number;
    return "next";
  }

  sawState(tick: number): void {
    this.#state = tick;
  }

  /**
   * A new connection: acknowledge afresh, as a room that was rolled back may be before the last state that was seen. After a snapshot
   * the stream goes on behind `reliable` whatever was seen before.
   * True when reliable messages were lost.
   */
  resume(reliable: number, snapshot: boolean): boolean {
    const lost = reliable > this.#reliable;
    if (lost || snapshot) this.#reliable = reliable;
    this.#ackedReliable = this.#ackedState = this.#state = 0;
    this.#ackedAt = -Infinity;
    return lost;
  }

  /** True when something new was seen and the last acknowledgement is long enough ago. */
  due(now: number): boolean {
    const news = this.#reliable !== this.#ackedReliable || this.#state !== this.#ackedState;
    return news && now - this.#ackedAt >= ACK_EVERY_MS;
  }

  /** An ack, or an input that carries the same two numbers, was sent. */
  sent(now: number): void {
    this.#ackedReliable = this.#reliable;
    this.#ackedState = this.#state;
    this.#ackedAt = now;
  }
}
