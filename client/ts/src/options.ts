import type { Log } from "./emitter.js";
import type { Refusal } from "./errors.js";
import type { StorageLike } from "./keepsake.js";
import type { SocketConstructor } from "./link.js";
import type { AnyRoom, LeftInfo } from "./room.js";

export interface ClientOptions {
  /** A guest's name: the token of servers that let guests in. */
  name?: string;
  /** What the server's authentication wants; before `name`. */
  token?: string;
  /** Where session and secret are kept for a reload; sessionStorage by default, null: nowhere. */
  storage?: StorageLike | null;
  /** The WebSocket to use; the global one by default. */
  WebSocket?: SocketConstructor;
  /** Hears of listeners that threw and of what the server does against the protocol; console.warn and console.error by default. */
  log?: Log;
}

export interface CreateOptions {
  /** A human name for the room, unique within its kind; none by default. */
  key?: string;
  /** The game's own. */
  options?: unknown;
}

/** "waiting": the next attempt comes in `inMs`. "closed" is final. */
export type ConnectionStatus =
  | { is: "idle" }
  | { is: "connecting"; attempt: number }
  | { is: "open" }
  | { is: "waiting"; attempt: number; inMs: number }
  | { is: "closed"; code: number; reason: string };

export type ClientEvents = {
  status: [status: ConnectionStatus];
  /** The server kept a seat that nobody asked for here, for instance one that came back after resume() had returned. */
  room: [room: AnyRoom];
  /** A kept seat is no more. The room itself hears it as "left"; after a reload there is only this. */
  gone: [gone: { id: string } & LeftInfo];
  /** The server could not make sense of a message. */
  error: [error: Refusal];
};
