/**
 * The messages of protocol version 1 (docs/PROTOCOL.md): values in, bytes out, and back. No I/O and no state.
 *
 * A WebSocket message is one or more msgpack arrays back to back, `[type, field, …]`. Fields missing at the end
 * read as 0, "" or nil and unknown ones behind the last are ignored; an unknown type is an error.
 */
import { decodeMulti, encode } from "@msgpack/msgpack";
import { ProtocolError } from "./errors.js";

export const VERSION = 1;
export const SUBPROTOCOL = "tickover.v1";
/** The server refuses anything larger. */
export const MAX_MESSAGE_BYTES = 16 * 1024;
/** Leaves room for the numbers around a value. */
export const MAX_VALUE_BYTES = MAX_MESSAGE_BYTES - 64;

/** A room this client still holds: its id, its seat there, and the last reliable message seen. */
export type HeldRoom = readonly [id: string, seat: number, reliable: number];

export const JoinMode = { Room: 0, Create: 1, JoinOrCreate: 2, Key: 3 } as const;
export type JoinMode = (typeof JoinMode)[keyof typeof JoinMode];

export interface Hello {
  run: number;
  token: string;
  session: string;
  secret: string;
  rooms: readonly HeldRoom[];
  /** Higher than that of any hello before; 0: not numbered. */
  attempt: number;
}

const valueOptions = { maxDepth: 12, ignoreUndefined: true };

/** Encodes one value of the game's own. Throws TypeError or RangeError when the server could not take it. */
export function encodeValue(value: unknown): Uint8Array {
  const bytes = encode(value, valueOptions);
  if (bytes.length > MAX_VALUE_BYTES) {
    throw new RangeError(`the value takes ${bytes.length} bytes, the limit is ${MAX_VALUE_BYTES}`);
  }
  return bytes;
}

export function encodeHello(h: Hello): Uint8Array {
  return encode([1, VERSION, h.run, h.token, h.session, h.secret, h.rooms, h.attempt]);
}

export function encodeJoin(request: number, mode: JoinMode, kind: string, target: string, options: unknown): Uint8Array {
  return withValue([2, request, mode, kind, target], encodeValue(options));
}

export function encodeLeave(request: number, room: number): Uint8Array {
  return encode([3, request, room]);
}

/** `value` is what encodeValue returned: it was encoded once, when the game handed it over. */
export function encodeInput(room: number, number: number, reliable: number, state: number, value: Uint8Array): Uint8Array {
  return withValue([4, room, number, reliable, state], value);
}

export function encodeAck(room: number, reliable: number, state: number): Uint8Array {
  return encode([5, room, reliable, state]);
}

export function encodePing(time: number): Uint8Array {
  return encode([6, time]);
}

// The array header is one byte, 0x90 + length, as long as there are fewer than 16 fields: adding a field that is
// already encoded means counting it there and appending its bytes.
function withValue(fields: readonly unknown[], value: Uint8Array): Uint8Array {
  const head = encode(fields);
  const out = new Uint8Array(head.length + value.length);
  out.set(head);
  out.set(value, head.length);
  out[0] = head[0]! + 1;
  return out;
}

export interface Welcome { type: "welcome"; version: number; session: string; secret: string; player: string; name: string; time: number; outcome: number; kept: number; node: string }
export interface Joined {
  type: "joined"; request: number; room: number; id: string; kind: string; key: string; seat: number; rate: number;
  epoch: number; tick: number; outcome: number; reliable: number; applied: number;
}
export interface Left { type: "left"; request: number; room: number; why: string; result: unknown }
export interface TickHead { type: "tick"; room: number; epoch: number; tick: number; applied: number }
export interface StateValue { type: "state"; value: unknown }
export interface PrivateValue { type: "private"; value: unknown }
export interface GameEvent { type: "event"; number: number; name: string; value: unknown }
export interface Reply { type: "reply"; number: number; run: number; input: number; value: unknown }
export interface RefusalMessage { type: "refusal"; number: number; run: number; input: number; code: string; message: string }
export interface ErrorMessage { type: "error"; request: number; code: string; message: string; retry: number }
export interface Pong { type: "pong"; time: number; now: number }
export interface Resend { type: "resend"; room: number; number: number }
export interface StatusMessage { type: "status"; room: number; status: number; epoch: number; tick: number }
export interface Gone { type: "gone"; id: string; why: string; result: unknown }
export interface Clock { type: "clock"; room: number; tick: number; time: number }

export type Reliable = GameEvent | Reply | RefusalMessage;
export type InSection = StateValue | PrivateValue | Reliable;
export type ServerMessage = Welcome | Joined | Left | TickHead | InSection | ErrorMessage | Pong | Resend | StatusMessage | Gone | Clock;

/** Whether a message belongs to the room of the tick before it. */
export function isInSection(m: ServerMessage): m is InSection {
  return m.type === "state" || m.type === "private" || m.type === "event" || m.type === "reply" || m.type === "refusal";
}

export const Outcome = { Joined: 0, Resumed: 1, Snapshot: 2 } as const;

/** Decodes a whole WebSocket message or throws ProtocolError; a message is taken as a whole or not at all. */
export function decodeServer(bytes: Uint8Array): ServerMessage[] {
  const messages: ServerMessage[] = [];
  try {
    for (const fields of decodeMulti(bytes, { maxArrayLength: 65536, maxMapLength: 65536, maxExtLength: 0 })) {
      if (!Array.isArray(fields)) throw new ProtocolError("a message is not an array");
      messages.push(read(new Fields(fields)));
    }
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    throw new ProtocolError(`not msgpack: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (messages.length === 0) throw new ProtocolError("an empty message");
  return messages;
}

// Object literals are evaluated in order, so each line below reads its fields in the order of the table in PROTOCOL.md.
function read(f: Fields): ServerMessage {
  const type = f.uint();
  switch (type) {
    case 16: return { type: "welcome", version: f.uint(), session: f.str(), secret: f.str(), player: f.str(), name: f.str(), time: f.uint(), outcome: f.uint(), kept: f.uint(), node: f.str() };
    case 17: return {
      type: "joined", request: f.uint(), room: f.uint(), id: f.str(), kind: f.str(), key: f.str(), seat: f.uint(), rate: f.uint(),
      epoch: f.uint(), tick: f.uint(), outcome: f.uint(), reliable: f.uint(), applied: f.uint(),
    };
    case 18: return { type: "left", request: f.uint(), room: f.uint(), why: f.str(), result: f.any() };
    case 19: return { type: "tick", room: f.uint(), epoch: f.uint(), tick: f.uint(), applied: f.uint() };
    case 20: return { type: "state", value: f.any() };
    case 21: return { type: "private", value: f.any() };
    case 22: return { type: "event", number: f.uint(), name: f.str(), value: f.any() };
    case 23: return { type: "reply", number: f.uint(), run: f.uint(), input: f.uint(), value: f.any() };
    case 24: return { type: "refusal", number: f.uint(), run: f.uint(), input: f.uint(), code: f.str(), message: f.str() };
    case 25: return { type: "error", request: f.uint(), code: f.str(), message: f.str(), retry: f.uint() };
    case 26: return { type: "pong", time: f.uint(), now: f.uint() };
    case 27: return { type: "resend", room: f.uint(), number: f.uint() };
    case 28: return { type: "status", room: f.uint(), status: f.uint(), epoch: f.uint(), tick: f.uint() };
    case 29: return { type: "gone", id: f.str(), why: f.str(), result: f.any() };
    case 30: return { type: "clock", room: f.uint(), tick: f.uint(), time: f.uint() };
    default: throw new ProtocolError(`unknown message type ${type}`);
  }
}

/** Fields reads an array front to back and knows what a missing field means. */
class Fields {
  #at = 0;
  constructor(private readonly values: readonly unknown[]) {}

  any(): unknown {
    return this.values[this.#at++] ?? null;
  }

  uint(): number {
    const v = this.values[this.#at++] ?? 0;
    if (typeof v !== "number" || !Number.isSafeInteger(v) || v < 0) throw this.#wrong("a uint", v);
    return v;
  }

  str(): string {
    const v = this.values[this.#at++] ?? "";
    if (typeof v !== "string") throw this.#wrong("a str", v);
    return v;
  }

  #wrong(want: string, got: unknown): ProtocolError {
    return new ProtocolError(`field ${this.#at - 1} of message type ${String(this.values[0])} is not ${want} but ${typeof got}`);
  }
}
