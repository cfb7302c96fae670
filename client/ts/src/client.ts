import { Allowance } from "./allowance.js";
import { Attempts } from "./attempts.js";
import { consoleLog, Emitter, type Log } from "./emitter.js";
import { closedError, Gap, ProtocolError, Refusal } from "./errors.js";
import { Heartbeat } from "./heartbeat.js";
import { KeepsakeStore } from "./keepsake.js";
import { Link, type SocketConstructor } from "./link.js";
import type { ClientEvents, ClientOptions, ConnectionStatus, CreateOptions } from "./options.js";
import * as protocol from "./protocol.js";
import { isInSection, JoinMode, type ServerMessage } from "./protocol.js";
import { Pulse } from "./pulse.js";
import { afterClose, GOOD_AFTER_MS, OwnClose, waitMs, wakeMs } from "./reconnect.js";
import { Requests } from "./requests.js";
import { type AnyRoom, type LeftInfo, Room, type RoomHost } from "./room.js";

/** Beyond this many unsent bytes nothing more is handed to the socket: what waits here can still be replaced by something newer. */
const BACKLOG_BYTES = 64 * 1024;
/** How long resume() waits for a seat that it expects and the server says nothing of. */
const RESUME_MS = 5_000;

/**
 * Client is one player's presence on a server: one session over one connection at a time, made anew as often as it breaks.
 *
 *	 idle ──► connecting ──► open ──► waiting ──► connecting …
 *	              └───────────┴─────────┴──► closed   (by close(), or a close code that forbids coming back)
 *
 * It connects when it is first needed.
 */
export class Client {
  readonly url: string;
  /** The player's id and name as the server knows them; "" before the first welcome. */
  player = "";
  name = "";
  /** The node that the newest connection leads to, as it calls itself; "" if it does not say. */
  node = "";
  /** How often a lost connection was replaced by a working one. */
  reconnects = 0;
  status: ConnectionStatus = { is: "idle" };

  readonly #options: ClientOptions;
  readonly #log: Log;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #store: KeepsakeStore;
  readonly #pulse = new Pulse({ beat: () => this.#beat(), wake: () => this.#wake() });
  readonly #run = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly #host: RoomHost;
  readonly #requests = new Requests<Room | undefined>();
  readonly #attempts = new Attempts();
  readonly #rooms = new Map<string, Room>(); // by id
  #session = "";
  #secret = "";
  #expected = new Set<string>(); // rooms of the keepsake that were neither joined nor gone yet
  #resumes: { until: number; resolve(rooms: AnyRoom[]): void; reject(error: Error): void }[] = [];

  // Of the present connection.
  #link: Link | undefined;
  #heartbeat = new Heartbeat(0);
  #allowance = new Allowance(0);
  readonly #numbers = new Map<number, Room>(); // by the connection's short number
  #welcomedAt: number | undefined;

  #everOpen = false;
  #attempt = 0;
  #retryAt = 0;
  #flushing = false;

  /** Does no I/O yet. */
  constructor(url: string, options: ClientOptions = {}) {
    this.url = url;
    this.#options = options;
    this.#log = options.log ?? consoleLog;
    this.#store = new KeepsakeStore(url, options.storage);
    const kept = this.#store.load();
    if (kept) {
      this.#session = kept.session;
      this.#secret = kept.secret;
      this.#expected = new Set(kept.rooms);
    }
    this.#host = {
      run: this.#run,
      log: this.#log,
      flush: () => this.#flushSoon(),
      leave: async (room) => void (await this.#ask(() => this.#requests.leave(room.id, () => room.number))),
    };
  }

  on<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /** The last round trip in ms; 0 before the first one was measured. */
  get ping(): number {
    return this.#heartbeat.rttMs;
  }

  /** The server's clock in Unix milliseconds, estimated from pings; the local clock before the first welcome. */
  serverNow(): number {
    const offset = this.#heartbeat.offsetMs;
    return offset === undefined ? Date.now() : performance.now() + offset;
  }

  /** The rooms this client has a seat in. */
  get rooms(): AnyRoom[] {
    return [...this.#rooms.values()];
  }

  /** Enters the room of this kind and key, or creates it. Rejects with Refusal or Interrupted; a lost connection only delays it. */
  joinOrCreate<S = unknown, I = unknown, E extends object = Record<string, unknown>, P = unknown>(kind: string, key: string, options?: unknown): Promise<Room<S, I, E, P>> {
    return this.#join(JoinMode.JoinOrCreate, kind, key, options);
  }

  /** Creates a room and enters it. */
  create<S = unknown, I = unknown, E extends object = Record<string, unknown>, P = unknown>(kind: string, how: CreateOptions = {}): Promise<Room<S, I, E, P>> {
    return this.#join(JoinMode.Create, kind, how.key ?? "", how.options);
  }

  /** Enters the room with this id. */
  join<S = unknown, I = unknown, E extends object = Record<string, unknown>, P = unknown>(id: string, options?: unknown): Promise<Room<S, I, E, P>> {
    return this.#join(JoinMode.Room, "", id, options);
  }

  /** Enters the room of this kind and key, which must exist. */
  joinKey<S = unknown, I = unknown, E extends object = Record<string, unknown>, P = unknown>(kind: string, key: string, options?: unknown): Promise<Room<S, I, E, P>> {
    return this.#join(JoinMode.Key, kind, key, options);
  }

  /**
   * After a reload: connects with the kept session and resolves with the rooms it still has seats in.
   * Resolves with none, without connecting, when nothing was kept.
   */
  resume(): Promise<AnyRoom[]> {
    if (!this.#session && this.#rooms.size === 0) return Promise.resolve([]);
    if (this.status.is === "closed") return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#resumes.push({ until: performance.now() + RESUME_MS, resolve, reject });
      if (this.status.is === "idle") this.#dial();
      this.#settleResumes(performance.now());
    });
  }

  /** Connects now instead of when it is needed or when the back-off has passed; joining and losses do it by themselves. */
  connect(): void {
    if (this.status.is === "idle" || this.status.is === "waiting") this.#dial();
  }

  /**
   * Ends this client. The server keeps its seats for their grace, and a later client with the same storage may resume them,
   * unless the session is to be forgotten: then the next client is another player.
   */
  close(how: { forget?: boolean } = {}): void {
    if (how.forget) this.#store.forget();
    if (this.status.is === "closed") return;
    this.#drop(1000, "closed by the client");
    this.#end(1000, "closed by the client");
  }

  async #join<R>(mode: JoinMode, kind: string, target: string, options: unknown): Promise<R> {
    return (await this.#ask(() => this.#requests.join(mode, kind, target, options))) as R;
  }

  async #ask<R>(request: () => Promise<R>): Promise<R> {
    if (this.status.is === "closed") throw closedError();
    if (this.status.is === "idle") this.#dial(); // a request does not cut a back-off short
    this.#flushSoon();
    return await request();
  }

  // ---- connection ----

  #dial(): void {
    const Socket = this.#options.WebSocket ?? (globalThis.WebSocket as unknown as SocketConstructor | undefined);
    if (!Socket) throw new TypeError("there is no WebSocket here: pass one in ClientOptions.WebSocket");
    const link = new Link(new Socket(this.url, protocol.SUBPROTOCOL), {
      opened: () => this.#hello(link),
      received: (bytes) => this.#link === link && this.#received(bytes),
      lost: (code, reason) => this.#link === link && this.#lost(code, reason),
    });
    const now = performance.now();
    this.#link = link;
    this.#heartbeat = new Heartbeat(now, this.ping);
    this.#allowance = new Allowance(now);
    this.#pulse.start();
    this.#setStatus({ is: "connecting", attempt: this.#attempt });
  }

  #hello(link: Link): void {
    this.#requests.resendAll();
    link.send([protocol.encodeHello({
      run: this.#run,
      token: this.#options.token ?? this.#options.name ?? "",
      session: this.#session,
      secret: this.#secret,
      rooms: this.#session ? this.rooms.map((r) => [r.id, r.seat, r.reliable] as const) : [],
      attempt: this.#attempts.next(Date.now()),
    })], protocol.MAX_MESSAGE_BYTES);
    this.#heartbeat.said(performance.now());
  }

  /** Forgets the connection, not the session. */
  #drop(code: number, reason: string): void {
    this.#link?.abandon(code, reason);
    this.#link = undefined;
    this.#welcomedAt = undefined;
    this.#numbers.clear();
    for (const room of this.rooms) room.detach();
  }

  #lost(code: number, reason: string): void {
    const now = performance.now();
    if (this.#welcomedAt !== undefined && now - this.#welcomedAt >= GOOD_AFTER_MS) this.#attempt = 0;
    this.#drop(code, reason);
    this.#attempts.lost(code);
    const next = afterClose(code);
    if (next === "stop") return this.#end(code, reason);
    if (next === "new_session") this.#loseSession();
    const inMs = waitMs(code, this.#attempt, this.#rooms.size + this.#expected.size > 0, Math.random());
    this.#attempt++;
    this.#retryAt = now + inMs;
    this.#setStatus({ is: "waiting", attempt: this.#attempt, inMs });
  }

  /** The server does what the protocol forbids, or nothing at all: a new connection is the only cure. */
  #giveUp(code: number, reason: string): void {
    this.#log("warn", "the connection is given up", { code, reason });
    this.#lost(code, reason);
  }

  #end(code: number, reason: string): void {
    this.#pulse.stop();
    this.#setStatus({ is: "closed", code, reason });
    this.#requests.rejectAll(closedError());
    for (const resume of this.#resumes.splice(0)) resume.reject(closedError());
    for (const room of this.rooms) room.abandon();
  }

  #loseSession(): void {
    this.#session = this.#secret = "";
    this.#expected.clear();
    this.#store.forget();
    for (const room of this.rooms) this.#finish(room.id, { why: "session_lost", result: null });
  }

  // ---- time ----

  #beat(): void {
    const now = performance.now();
    if (this.status.is === "waiting") {
      if (now >= this.#retryAt) this.#dial();
      return;
    }
    if (!this.#link) return;
    const due = this.#heartbeat.check(now, this.#numbers.size > 0);
    if (due === "dead") return this.#giveUp(OwnClose.Silence, "nothing heard for 15 s");
    this.#settleResumes(now);
    this.#flush(now, due === "ping");
  }

  #wake(): void {
    if (this.status.is === "waiting") this.#retryAt = Math.min(this.#retryAt, performance.now() + wakeMs(Math.random()));
    this.#beat();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush(performance.now(), false);
    });
  }

  /** Sends what is due in one go: requests, then each room's inputs or acknowledgement, then a ping. */
  #flush(now: number, ping: boolean): void {
    if (!this.#link || this.#welcomedAt === undefined || this.#link.backlogBytes > BACKLOG_BYTES) return;
    const parts = this.#requests.collect();
    for (const room of this.#numbers.values()) parts.push(...room.collect(now, this.#allowance.left(now) - parts.length));
    if (ping) parts.push(protocol.encodePing(Heartbeat.stamp(now)));
    if (parts.length === 0) return;
    this.#allowance.spend(parts.length);
    this.#heartbeat.said(now);
    this.#link.send(parts, protocol.MAX_MESSAGE_BYTES);
  }

  // ---- what the server says ----

  #received(bytes: Uint8Array): void {
    const link = this.#link;
    const now = performance.now();
    this.#heartbeat.heard(now);
    let section: Room | undefined;
    try {
      for (const message of protocol.decodeServer(bytes)) {
        if (message.type === "tick") {
          section?.closeSection();
          section = this.#numbers.get(message.room);
          section?.openSection(message, now);
        } else if (isInSection(message)) {
          if (section && !section.inSection(message)) throw new Gap();
        } else {
          this.#handle(message, now);
        }
        if (this.#link !== link) return; // a listener closed the client, or the message was the connection's last
      }
      section?.closeSection();
    } catch (error) {
      if (error instanceof Gap) return this.#giveUp(OwnClose.Gap, "a reliable message is missing");
      if (!(error instanceof ProtocolError)) this.#log("error", "a message broke the client", error);
      return this.#giveUp(OwnClose.BadMessage, error instanceof Error ? error.message : "bad message");
    }
    this.#settleResumes(now);
    this.#flushSoon();
  }

  #handle(m: Exclude<ServerMessage, protocol.TickHead | protocol.InSection>, now: number): void {
    switch (m.type) {
      case "welcome": return this.#welcome(m, now);
      case "joined": return this.#joined(m, now);
      case "left": {
        const room = this.#numbers.get(m.room);
        if (room) this.#finish(room.id, { why: m.why || "left", result: m.result });
        if (m.request !== 0) this.#requests.resolve(m.request, undefined);
        return;
      }
      case "gone": {
        const info = { why: m.why, result: m.result };
        this.#finish(m.id, info);
        return this.#emitter.emit(this.#log, "gone", { id: m.id, ...info });
      }
      case "error": {
        const refusal = new Refusal(m.code, m.message, m.retry);
        if (m.request !== 0 && this.#requests.reject(m.request, refusal)) return;
        this.#log("debug", "the server reports an error", refusal);
        return this.#emitter.emit(this.#log, "error", refusal);
      }
      case "pong": return this.#heartbeat.pong(m.time, m.now, now);
      case "resend": {
        if (this.#numbers.get(m.room)?.resendFrom(m.number, now) === false) throw new Gap();
        return;
      }
      case "status": return this.#numbers.get(m.room)?.serverStatus(m, now);
      case "clock": return this.#numbers.get(m.room)?.serverClock(m);
    }
  }

  #welcome(m: protocol.Welcome, now: number): void {
    if (m.outcome === 0 && this.#session) this.#loseSession();
    this.#session = m.session;
    this.#secret = m.secret;
    this.player = m.player;
    this.name = m.name;
    this.node = m.node;
    this.#welcomedAt = now;
    this.#attempts.welcomed();
    this.#heartbeat.welcome(m.time, now);
    for (const resume of this.#resumes) resume.until = now + RESUME_MS;
    this.#save();
    if (this.#everOpen) this.reconnects++;
    this.#everOpen = true;
    this.#setStatus({ is: "open" });
  }

  #joined(m: protocol.Joined, now: number): void {
    let room = this.#rooms.get(m.id);
    const found = room !== undefined;
    if (room) {
      if (room.number !== undefined) this.#numbers.delete(room.number);
      room.attach(m, now);
    } else {
      room = new Room(this.#host, m);
      this.#rooms.set(m.id, room);
    }
    this.#numbers.set(m.room, room);
    const wanted = this.#expected.delete(m.id) && this.#resumes.length > 0;
    const answered = m.request !== 0 && this.#requests.resolve(m.request, room);
    this.#save();
    if (!found && !wanted && !answered) this.#emitter.emit(this.#log, "room", room);
  }

  #finish(id: string, info: LeftInfo): void {
    this.#expected.delete(id);
    const room = this.#rooms.get(id);
    if (room) {
      this.#rooms.delete(id);
      if (room.number !== undefined) this.#numbers.delete(room.number);
      room.finish(info);
    }
    this.#requests.resolveLeaves(id, undefined);
    if (this.#session) this.#save();
  }

  #settleResumes(now: number): void {
    if (this.#welcomedAt === undefined || this.#resumes.length === 0) return;
    this.#resumes = this.#resumes.filter((resume) => {
      const done = this.#expected.size === 0 || now >= resume.until;
      if (done) resume.resolve(this.rooms);
      return !done;
    });
  }

  #save(): void {
    const rooms = [...new Set([...this.#rooms.keys(), ...this.#expected])];
    this.#store.save({ session: this.#session, secret: this.#secret, rooms });
  }

  #setStatus(status: ConnectionStatus): void {
    this.status = status;
    this.#emitter.emit(this.#log, "status", status);
  }
}
