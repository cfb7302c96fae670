/** Everything this package throws or rejects with, apart from plain TypeError and RangeError for wrong arguments. */
export class TickoverError extends Error {
  override name = "TickoverError";
}

/**
 * The server or the game said no. `code` is a stable word to branch on, `message` is for people.
 * `retryAfterMs` is above zero when the same request may succeed after that wait.
 */
export class Refusal extends TickoverError {
  override name = "Refusal";
  constructor(
    readonly code: string,
    message: string,
    readonly retryAfterMs = 0,
  ) {
    super(message || code);
  }
}

/** Too much is waiting for an acknowledgement (256 inputs of a room, 64 requests of a client). Nothing was queued. */
export class Backpressure extends TickoverError {
  override name = "Backpressure";
}

/** Why an answer will never come: the seat was given up, the client was closed, or the answer itself was lost. */
export type InterruptedWhy = "left" | "closed" | "answer_lost";

/** A request ended without an answer. After "answer_lost" the input was consumed, but nobody can say any more whether it was refused. */
export class Interrupted extends TickoverError {
  override name = "Interrupted";
  constructor(
    readonly why: InterruptedWhy,
    message: string,
  ) {
    super(message);
  }
}

/** The server sent bytes that are not protocol version 1. The connection is given up and made anew. */
export class ProtocolError extends TickoverError {
  override name = "ProtocolError";
}

/** A reliable message, or an input the server asks for, is missing: only a new connection can mend it. It never leaves the client. */
export class Gap extends Error {}

/** What every request meets once the client was closed. */
export function closedError(): Interrupted {
  return new Interrupted("closed", "the client is closed");
}
