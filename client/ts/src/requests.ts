import { Backpressure, Interrupted } from "./errors.js";
import { encodeJoin, encodeLeave, type JoinMode } from "./protocol.js";

/** More unanswered joins and leaves than this are a mistake of the caller. */
const MOST = 64;

interface Pending<R> {
  readonly number: number;
  /** The bytes to send, or undefined while they cannot be made: a room has no short number before it is resumed. */
  encode(): Uint8Array | undefined;
  /** The room a leave is about. */
  readonly leaves: string | undefined;
  resolve(value: R): void;
  reject(error: Error): void;
  sent: boolean;
}

/**
 * Requests numbers joins and leaves within this run and keeps each until it is answered. After a reconnect the unanswered
 * ones are sent again under the same numbers, so that the server does them once.
 */
export class Requests<R> {
  #last = 0;
  readonly #pending = new Map<number, Pending<R>>();

  join(mode: JoinMode, kind: string, target: string, options: unknown): Promise<R> {
    return this.#add(undefined, (number) => {
      const bytes = encodeJoin(number, mode, kind, target, options); // once: the caller may change options afterwards
      return () => bytes;
    });
  }

  /** `room` says the short number that the room has on the present connection. */
  leave(id: string, room: () => number | undefined): Promise<R> {
    return this.#add(id, (number) => () => {
      const short = room();
      return short === undefined ? undefined : encodeLeave(number, short);
    });
  }

  /** What was not sent on this connection yet and can be. */
  collect(): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const pending of this.#pending.values()) {
      const bytes = pending.sent ? undefined : pending.encode();
      if (!bytes) continue;
      pending.sent = true;
      out.push(bytes);
    }
    return out;
  }

  /** A new connection knows of no request. */
  resendAll(): void {
    for (const pending of this.#pending.values()) pending.sent = false;
  }

  resolve(number: number, value: R): boolean {
    const pending = this.#take(number);
    pending?.resolve(value);
    return pending !== undefined;
  }

  reject(number: number, error: Error): boolean {
    const pending = this.#take(number);
    pending?.reject(error);
    return pending !== undefined;
  }

  /** A seat is gone for whatever reason: who asked to leave it has what he wanted. */
  resolveLeaves(id: string, value: R): void {
    for (const pending of [...this.#pending.values()]) if (pending.leaves === id) this.resolve(pending.number, value);
  }

  rejectAll(error: Interrupted): void {
    for (const number of [...this.#pending.keys()]) this.reject(number, error);
  }

  #add(leaves: string | undefined, encoder: (number: number) => Pending<R>["encode"]): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= MOST) throw new Backpressure(`${MOST} requests wait for an answer`);
      const number = this.#last + 1;
      const encode = encoder(number); // may throw: then no number was used
      this.#last = number;
      this.#pending.set(number, { number, encode, leaves, resolve, reject, sent: false });
    });
  }

  #take(number: number): Pending<R> | undefined {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    return pending;
  }
}
