/** The part of a WebSocket that is used: the browser's, Node's own and the one of the "ws" package all fit. */
export interface SocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols?: string | string[]) => SocketLike;

export interface LinkHandlers {
  opened(): void;
  received(bytes: Uint8Array): void;
  /** Called at most once, and never after abandon. */
  lost(code: number, reason: string): void;
}

const OPEN = 1;

/** Link is one WebSocket connection: no protocol, no retry. When it is over, it is over; the client makes a new one. */
export class Link {
  readonly #socket: SocketLike;

  constructor(socket: SocketLike, handlers: LinkHandlers) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => handlers.opened();
    socket.onmessage = (event: { data: unknown }) => handlers.received(bytesOf(event.data));
    socket.onerror = () => {}; // an error says nothing that the close behind it does not say; "ws" throws without a handler
    socket.onclose = (event: { code: number; reason: unknown }) => {
      this.#detach();
      handlers.lost(event.code, String(event.reason ?? ""));
    };
  }

  /** Bytes that wait in this process because the network does not take them. */
  get backlogBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Sends encoded messages back to back, in as few WebSocket messages of at most `limitBytes` as they fit in. */
  send(parts: readonly Uint8Array[], limitBytes: number): void {
    if (this.#socket.readyState !== OPEN) return; // its close is about to be reported
    for (let from = 0; from < parts.length; ) {
      let to = from;
      let size = 0;
      while (to < parts.length && (to === from || size + parts[to]!.length <= limitBytes)) size += parts[to++]!.length;
      const message = new Uint8Array(size);
      let at = 0;
      for (const part of parts.slice(from, to)) {
        message.set(part, at);
        at += part.length;
      }
      this.#socket.send(message);
      from = to;
    }
  }

  /** Closes without waiting for the peer, which may be dead; nothing is reported afterwards. */
  abandon(code: number, reason: string): void {
    this.#detach();
    try {
      this.#socket.close(code, reason.slice(0, 100));
    } catch {
      // "ws" throws while connecting, browsers on codes they do not like: it is given up all the same.
    }
  }

  #detach(): void {
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
  }
}

function bytesOf(data: unknown): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new Uint8Array(0); // a text message: the decoder refuses an empty one
}
