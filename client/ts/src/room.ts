import { Backpressure, Interrupted, Refusal } from "./errors.js";
import { Emitter, type Log } from "./emitter.js";
import { Outbox, WINDOW } from "./outbox.js";
import { encodeAck, encodeInput, encodeValue, Outcome } from "./protocol.js";
import type { Clock, InSection, Joined, Reliable, StatusMessage, TickHead } from "./protocol.js";
import { Receipts } from "./receipts.js";

/** Events of a room that nobody listens to yet are kept up to this number; then the oldest go. */
const HELD_EVENTS = 256;

/** What a room is doing. "reconnecting": this client has no connection, the seat is kept. "paused": the room waits for its journal. */
export type RoomStatus = "playing" | "paused" | "reconnecting" | "faulted" | "left";
/**
 * "resumed", "snapshot" and "rolledback" are moments, not states: play goes on, with nothing lost, with some events lost, or from an
 * older state, so that what was shown behind `tick` is void.
 */
export type RoomNotice = RoomStatus | "resumed" | "snapshot" | "rolledback";

export interface LeftInfo {
  /** "left" (asked for), "kicked", "ended", "grace", "closed", "unknown" or "session_lost". */
  why: string;
  /** The room's result if it ended, else null. */
  result: unknown;
}

export type RoomEvents<State, Private> = {
  state: [state: State, tick: number];
  private: [value: Private, tick: number];
  event: [name: string, value: unknown];
  /** A reply to, or the refusal of, an input given to `send`; those of `request` go to its promise. */
  reply: [value: unknown, input: number];
  refusal: [refusal: Refusal, input: number];
  status: [notice: RoomNotice];
  left: [info: LeftInfo];
};

export interface SendOptions {
  /** Only worth sending while it is the newest: the next one replaces it as long as the network has not taken it. */
  latest?: boolean;
}

/** @internal What a room needs of its client. */
export interface RoomHost {
  readonly run: number;
  readonly log: Log;
  flush(): void;
  leave(room: AnyRoom): Promise<void>;
}

/** A room whose game the client cannot know: after a reload only the caller knows its types, and assigns it to the right ones. */
export type AnyRoom = Room<any, any, any, any>;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * Room is one seat in one room. It outlives connections: after a loss it goes on where it was, with the same seat,
 * every event once and in order, and every input applied once. Only `left` ends it.
 *
 *	 playing ◄──► paused        (the room's doing)
 *	    │ ▲
 *	    ▼ │ resumed | snapshot
 *	 reconnecting ──► left      (also from every other state)
 */
export class Room<State = unknown, Input = unknown, Events extends object = Record<string, unknown>, Private = unknown> {
  readonly id: string;
  readonly kind: string;
  readonly key: string;
  /** Ticks per second; 0: the room steps on events. */
  readonly rate: number;
  /** This player's number in the room. */
  seat: number;
  /** Grows when another node takes the room over; the history goes on. */
  epoch: number;
  /** The newest tick heard of. */
  tick: number;
  status: RoomStatus = "playing";
  /** What everybody sees; undefined until the first state arrived. */
  state: State | undefined;
  /** What only this seat sees. */
  private: Private | undefined;

  readonly #host: RoomHost;
  readonly #emitter = new Emitter<RoomEvents<State, Private>>();
  readonly #named = new Emitter<{ [name: string]: [value: unknown] }>();
  readonly #requests = new Map<number, Waiting>(); // by input number; at most WINDOW
  readonly #newest: { [K in keyof RoomEvents<State, Private>]?: RoomEvents<State, Private>[K] } = {}; // of "state" and "private": for new listeners
  #heldEvents: { name: string; value: unknown }[] = [];
  #outbox: Outbox;
  #receipts: Receipts;
  #number: number | undefined; // this connection's short number of the room
  #shown = { epoch: 0, tick: 0 }; // of the newest state; older ones are not shown
  #clock: Clock | undefined; // newest
  #stale = false; // the open section is older than what was shown

  /** @internal */
  constructor(host: RoomHost, m: Joined) {
    this.#host = host;
    this.id = m.id;
    this.kind = m.kind;
    this.key = m.key;
    this.rate = m.rate;
    this.seat = m.seat;
    this.epoch = m.epoch;
    this.tick = m.tick;
    this.#outbox = new Outbox(m.applied);
    this.#receipts = new Receipts(m.reliable);
    this.#number = m.room;
  }

  /**
   * Calls `listener` at every such event; returns the function that stops it. A listener of "state" or "private" is called at once
   * with the newest (in a microtask) if there is one. Events before the first listener are kept (up to 256) and delivered to it.
   */
  on<K extends keyof RoomEvents<State, Private>>(name: K, listener: (...args: RoomEvents<State, Private>[K]) => void): () => void {
    const off = this.#emitter.on(name, listener);
    if (name === "event") queueMicrotask(() => this.#releaseEvents());
    this.#repeat(name, listener);
    return off;
  }

  /** Like `on("event")` for the events of one name. */
  onEvent<K extends keyof Events & string>(name: K, listener: (value: Events[K]) => void): () => void {
    const off = this.#named.on(name, listener as (value: unknown) => void);
    queueMicrotask(() => this.#releaseEvents());
    return off;
  }

  /**
   * Sends an input that will be applied exactly once, now or after a reconnect. False when it was not taken, because the room
   * was left or 256 inputs wait for acknowledgement. With `latest` it is always taken, and replaced by the next one if it cannot go out.
   * Throws when msgpack or the 16 KiB limit cannot take the value.
   */
  send(input: Input, options: SendOptions = {}): boolean {
    const value = encodeValue(input);
    if (this.status === "left") return false;
    if (options.latest) this.#outbox.pushLatest(value);
    else if (this.#outbox.push(value) === 0) return false;
    this.#host.flush();
    return true;
  }

  /**
   * Sends an input and resolves with the game's reply, or with undefined when the input was applied without one.
   * Rejects with Refusal, Backpressure or Interrupted.
   */
  async request<Answer = unknown>(input: Input): Promise<Answer> {
    const value = encodeValue(input);
    if (this.status === "left") throw new Interrupted("left", "the seat was given up");
    const number = this.#outbox.push(value);
    if (number === 0) throw new Backpressure(`${WINDOW} inputs wait for acknowledgement`);
    this.#host.flush();
    return await new Promise<Answer>((resolve, reject) => {
      this.#requests.set(number, { resolve: resolve as (value: unknown) => void, reject });
    });
  }

  /** How many inputs are not acknowledged yet. */
  get unacknowledged(): number {
    return this.#outbox.size;
  }

  /** Gives the seat up for good; resolves when the server has said so, which may be after a reconnect. */
  leave(): Promise<void> {
    return this.status === "left" ? Promise.resolve() : this.#host.leave(this);
  }

  /** @internal */
  get number(): number | undefined {
    return this.#number;
  }

  /** @internal The last reliable message seen, for hello. */
  get reliable(): number {
    return this.#receipts.reliable;
  }

  /** @internal The seat is back on a new connection, or the same room was entered anew. */
  attach(m: Joined, now: number): void {
    this.#number = m.room;
    this.epoch = Math.max(this.epoch, m.epoch);
    if (m.seat !== this.seat) {
      this.seat = m.seat;
      delete this.#newest.private; // it was the old seat's
      this.#interrupt("left", "a new seat was taken in the room");
      this.#outbox = new Outbox(m.applied);
      this.#receipts = new Receipts(m.reliable);
      return this.#notice("playing");
    }
    this.#acknowledge(m.applied, now);
    this.#outbox.resendAll(now);
    const lost = this.#receipts.resume(m.reliable, m.outcome === Outcome.Snapshot);
    if (lost) this.#interrupt("answer_lost", "the answer was lost with the connection", this.#outbox.applied);
    this.#setStatus("playing", lost ? "snapshot" : "resumed");
  }

  /**
   * When a tick was or is due, in Unix milliseconds of the server's clock (see `Client.serverNow`), if the room goes on as it does now;
   * undefined as long as that is not known, and in rooms of rate 0.
   */
  timeOf(tick: number): number | undefined {
    return this.#clock && this.rate > 0 ? this.#clock.time + ((tick - this.#clock.tick) * 1000) / this.rate : undefined;
  }

  /** @internal The connection is gone; everything is kept. */
  detach(): void {
    if (this.status === "left") return;
    this.#number = undefined;
    this.#notice("reconnecting");
  }

  /** @internal A tick opens this room's section of a message. */
  openSection(m: TickHead, now: number): void {
    this.#stale = m.epoch < this.#shown.epoch || (m.epoch === this.#shown.epoch && m.tick < this.#shown.tick);
    if (!this.#stale) {
      this.epoch = m.epoch;
      this.tick = m.tick;
    }
    this.#acknowledge(m.applied, now);
  }

  /** @internal False when a reliable message is missing, which only a new connection can mend. */
  inSection(m: InSection): boolean {
    switch (m.type) {
      case "state":
        if (!this.#show()) return true;
        this.state = m.value as State;
        this.#receipts.sawState(this.tick);
        this.#newest.state = [this.state, this.tick];
        this.#emit("state", ...this.#newest.state);
        return true;
      case "private":
        if (this.#stale) return true;
        this.private = m.value as Private;
        this.#newest.private = [this.private, this.tick];
        this.#emit("private", ...this.#newest.private);
        return true;
      default:
        return this.#reliable(m);
    }
  }

  /** @internal A reply comes in the section of the tick that applied its input: what has none by now was applied without. */
  closeSection(): void {
    for (const [number, waiting] of this.#requests) {
      if (number > this.#outbox.applied) break; // numbers were added in order
      this.#requests.delete(number);
      waiting.resolve(undefined);
    }
  }

  /** @internal */
  serverStatus(m: StatusMessage, now: number): void {
    this.epoch = Math.max(this.epoch, m.epoch);
    if (m.status === 2 || m.status === 4) this.#outbox.resendAll(now);
    if (m.status === 4) this.tick = m.tick;
    if (m.status === 2) this.#setStatus("playing", "resumed");
    else if (m.status === 4) this.#setStatus("playing", "rolledback");
    else if (m.status === 0) this.#notice("playing");
    else if (m.status === 1) this.#notice("paused");
    else if (m.status === 3) this.#notice("faulted");
  }

  /** @internal */
  serverClock(m: Clock): void {
    this.#clock = m;
  }

  /** @internal False when the server asks for an input that it had already acknowledged. */
  resendFrom(number: number, now: number): boolean {
    return this.#outbox.resendFrom(number, now);
  }

  /** @internal Encoded messages that are due, at most `limit` inputs among them. */
  collect(now: number, limit: number): Uint8Array[] {
    const room = this.#number;
    if (room === undefined) return [];
    const { reliable, state } = this.#receipts;
    const out = this.#outbox.take(now, limit).map((e) => encodeInput(room, e.number, reliable, state, e.value));
    if (out.length === 0 && this.#receipts.due(now)) out.push(encodeAck(room, reliable, state));
    if (out.length > 0) this.#receipts.sent(now);
    return out;
  }

  /** @internal The seat is no more. */
  finish(info: LeftInfo): void {
    if (this.status === "left") return;
    this.#number = undefined;
    this.#interrupt("left", `the seat was given up: ${info.why}`);
    this.#notice("left");
    this.#emit("left", info);
  }

  /** @internal The client was closed: requests end, the server keeps the seat. */
  abandon(): void {
    this.#number = undefined;
    this.#interrupt("closed", "the client was closed");
  }

  #show(): boolean {
    if (this.#stale) return false;
    this.#shown = { epoch: this.epoch, tick: this.tick };
    return true;
  }

  #acknowledge(applied: number, now: number): void {
    if (!this.#outbox.acknowledge(applied, now)) this.#host.log("warn", "an input that was never sent is acknowledged", { room: this.id, applied });
  }

  #reliable(m: Reliable): boolean {
    const order = this.#receipts.take(m.number);
    if (order !== "next") return order === "duplicate";
    if (m.type === "event") {
      this.#heldEvents.push({ name: m.name, value: m.value });
      if (this.#heldEvents.length > HELD_EVENTS) this.#heldEvents.shift();
      if (this.#listensToEvents()) this.#releaseEvents();
    } else if (m.run === this.#host.run) {
      this.#answer(m);
    }
    return true;
  }

  #answer(m: Exclude<Reliable, { type: "event" }>): void {
    const waiting = this.#requests.get(m.input);
    this.#requests.delete(m.input);
    if (m.type === "reply") {
      if (waiting) waiting.resolve(m.value);
      else this.#emit("reply", m.value, m.input);
      return;
    }
    const refusal = new Refusal(m.code, m.message);
    if (waiting) waiting.reject(refusal);
    else this.#emit("refusal", refusal, m.input);
  }

  /** One that arrived before the microtask has reached the listener by itself. */
  #repeat<K extends keyof RoomEvents<State, Private>>(name: K, listener: (...args: RoomEvents<State, Private>[K]) => void): void {
    const newest: RoomEvents<State, Private>[K] | undefined = this.#newest[name];
    if (newest) queueMicrotask(() => this.#newest[name] === newest && this.#emitter.emitTo(this.#host.log, name, listener, ...newest));
  }

  #listensToEvents(): boolean {
    return this.#emitter.has("event") || this.#named.has();
  }

  #releaseEvents(): void {
    const events = this.#heldEvents;
    this.#heldEvents = [];
    for (const { name, value } of events) {
      this.#emit("event", name, value);
      this.#named.emit(this.#host.log, name, value);
    }
  }

  #interrupt(why: Interrupted["why"], message: string, upTo = Infinity): void {
    for (const [number, waiting] of this.#requests) {
      if (number > upTo) break;
      this.#requests.delete(number);
      waiting.reject(new Interrupted(why, message));
    }
  }

  #setStatus(status: RoomStatus, notice: RoomNotice): void {
    this.status = status;
    this.#emit("status", notice);
  }

  #notice(status: RoomStatus): void {
    if (this.status !== status) this.#setStatus(status, status);
  }

  #emit<K extends keyof RoomEvents<State, Private>>(name: K, ...args: RoomEvents<State, Private>[K]): void {
    this.#emitter.emit(this.#host.log, name, ...args);
  }
}
