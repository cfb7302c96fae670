import { decodeMulti, encode } from "@msgpack/msgpack";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { Client, type ClientOptions, type SocketConstructor, type StorageLike } from "../src/index.js";

type Message = unknown[];
const PATIENCE_MS = 4_000;

/** FakeServer speaks the wire format and nothing else: every test scripts what the server says. */
export class FakeServer {
  readonly #waiting: Peer[] = [];
  readonly #acceptors: ((peer: Peer) => void)[] = [];

  private constructor(private readonly server: WebSocketServer) {
    server.on("connection", (socket) => {
      const peer = new Peer(socket);
      const acceptor = this.#acceptors.shift();
      if (acceptor) acceptor(peer);
      else this.#waiting.push(peer);
    });
  }

  static async listen(): Promise<FakeServer> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    return new FakeServer(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  /** The next connection, in order of arrival. */
  accept(): Promise<Peer> {
    const peer = this.#waiting.shift();
    return bounded("a connection", peer ? Promise.resolve(peer) : new Promise((resolve) => this.#acceptors.push(resolve)));
  }

  /** Accepts, checks the hello and welcomes. */
  async welcome(session = "s1", secret = "k1", outcome = 0): Promise<Peer> {
    const peer = await this.accept();
    peer.hello = await peer.expect(1);
    peer.say([16, 1, session, secret, "p1", "ann", 1_700_000_000_000, outcome]);
    return peer;
  }

  async close(): Promise<void> {
    for (const socket of this.server.clients) socket.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Peer is the server's side of one connection. */
export class Peer {
  hello: Message = [];
  /** The largest WebSocket message so far, in bytes. */
  largest = 0;
  readonly closed: Promise<number>;
  readonly #inbox: Message[] = [];
  #arrived: () => void = () => {};

  constructor(private readonly socket: WebSocket) {
    this.closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => {
      this.largest = Math.max(this.largest, data.length);
      for (const message of decodeMulti(data)) this.#inbox.push(message as Message);
      this.#arrived();
    });
  }

  /** The next message of this type; earlier ones of other types stay for later. */
  async expect(type: number): Promise<Message> {
    return await bounded(`a message of type ${type}`, this.#find(type));
  }

  /** Messages of this type that have arrived so far and were not expected yet. */
  arrived(type: number): Message[] {
    return this.#inbox.filter((m) => m[0] === type);
  }

  say(...messages: Message[]): void {
    this.raw(Buffer.concat(messages.map((m) => encode(m))));
  }

  raw(bytes: Uint8Array | string): void {
    this.socket.send(bytes);
  }

  /** Cuts the connection as a dying node does. */
  drop(): void {
    this.socket.terminate();
  }

  close(code: number, reason = ""): void {
    this.socket.close(code, reason);
  }

  async #find(type: number): Promise<Message> {
    for (;;) {
      const at = this.#inbox.findIndex((m) => m[0] === type);
      if (at >= 0) return this.#inbox.splice(at, 1)[0]!;
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }
}

/** Fails with a name instead of hanging. */
export async function bounded<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until `claim` holds. */
export async function eventually(what: string, claim: () => boolean): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  while (!claim()) {
    if (Date.now() > until) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function newClient(server: FakeServer, options: ClientOptions = {}): Client {
  return new Client(server.url, { name: "ann", storage: null, log: () => {}, WebSocket: WebSocket as unknown as SocketConstructor, ...options });
}

export function memoryStorage(): StorageLike & { readonly items: Map<string, string> } {
  const items = new Map<string, string>();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

interface JoinedFields { request?: number; room?: number; id?: string; seat?: number; rate?: number; epoch?: number; tick?: number; outcome?: number; reliable?: number; applied?: number }

export function joined(f: JoinedFields = {}): Message {
  return [17, f.request ?? 0, f.room ?? 1, f.id ?? "r1", "arena", "lobby", f.seat ?? 7, f.rate ?? 20, f.epoch ?? 100, f.tick ?? 5, f.outcome ?? 0, f.reliable ?? 0, f.applied ?? 0];
}
