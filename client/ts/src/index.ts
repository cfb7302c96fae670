export { Client } from "./client.js";
export type { ClientEvents, ClientOptions, ConnectionStatus, CreateOptions } from "./options.js";
export type { Log } from "./emitter.js";
export { Backpressure, Interrupted, ProtocolError, Refusal, TickoverError } from "./errors.js";
export type { InterruptedWhy } from "./errors.js";
export type { StorageLike } from "./keepsake.js";
export type { SocketConstructor, SocketLike } from "./link.js";
export { Room } from "./room.js";
export type { AnyRoom, LeftInfo, RoomEvents, RoomNotice, RoomStatus, SendOptions } from "./room.js";
