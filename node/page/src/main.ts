import { Client, Refusal, TickoverError, type AnyRoom } from "tickover";
import { Arena } from "./arena.js";
import { Attract } from "./attract.js";
import { ClusterPanel } from "./cluster.js";
import { byId, setText } from "./dom.js";
import type { ArenaState } from "./games.js";
import { Overlay } from "./overlay.js";
import { clusterToken } from "./picture.js";
import { complaintOf, hashOf, placeOf, preset, randomKey, socketURL, type Place } from "./place.js";
import { servedKinds, showCards } from "./served.js";
import { Board } from "./tictactoe.js";

const NAME = "tickover:name";
const FULL = new Set(["room_full", "room_locked"]);

/** What tests and the curious may look at: `tickover` in the browser's console. */
interface Handle {
  readonly client: Client;
  readonly room: AnyRoom | undefined;
  readonly seat: number | undefined;
  readonly tick: number | undefined;
  readonly position: { x: number; y: number } | undefined;
  readonly reconnects: number;
  readonly status: string;
}

declare global {
  interface Window { tickover: Handle }
}

/** App is the page: the start screen, or one room. */
class App {
  readonly #overlay = new Overlay();
  readonly #attract = new Attract();
  readonly #name = byId<HTMLInputElement>("name");
  readonly #cluster = clusterToken() ? new ClusterPanel(() => this.#client, clusterToken()) : undefined;
  #client: Client;
  #room: AnyRoom | undefined;
  #game: Arena | Board | undefined;
  #place = placeOf(location.hash);
  #refused: string | undefined; // the key of the board that did not take us
  #busy = false;

  constructor() {
    this.#name.value = (preset("name") || read(NAME)).slice(0, 16);
    this.#client = this.#newClient();
    window.tickover = this.#handle();
    byId("arena-card").addEventListener("submit", (e) => this.#submit(e, () => (this.#place.kind === "arena" ? this.#place : { kind: "arena", key: "lobby" })));
    byId("ttt-card").addEventListener("submit", (e) => this.#submit(e, () => (this.#invited() ? this.#place : { kind: "tictactoe", key: randomKey() })));
    byId("leave").addEventListener("click", () => void this.#leave());
    byId("new-room").addEventListener("click", () => void this.#move({ kind: this.#place.kind, key: randomKey() }));
    byId("again").addEventListener("click", () => void this.#move({ kind: "tictactoe", key: randomKey() }));
    byId("copy").addEventListener("click", () => void this.#copy());
    addEventListener("hashchange", () => this.#hashChanged());
  }

  /** A reload goes straight back to the seat; everybody else gets the start screen. */
  async run(): Promise<void> {
    const kinds = servedKinds();
    try {
      const kept = await this.#client.resume();
      const room = kept.find((r) => r.kind === this.#place.kind && r.key === this.#place.key);
      for (const other of kept) if (other !== room) void other.leave();
      if (room) return this.#enter(room);
    } catch {
      // The overlay says why; the start screen waits behind it.
    }
    const served = await kinds;
    if (served) showCards(served);
    if (!this.#room) this.#showStart();
  }

  #newClient(): Client {
    const client = new Client(socketURL(), { name: this.#name.value });
    client.on("status", () => client === this.#client && this.#overlay.show(client, this.#room));
    return client;
  }

  #submit(e: Event, place: () => Place): void {
    e.preventDefault();
    const name = this.#name.value.trim() || "pilot";
    this.#name.value = name;
    write(NAME, name);
    // A session keeps its player's name: another name is another player.
    if (this.#client.status.is === "closed" || (this.#client.name || name) !== name || this.#client.status.is === "idle") {
      this.#client.close({ forget: true });
      this.#client = this.#newClient();
    }
    void this.#join(place());
  }

  async #join(place: Place): Promise<void> {
    if (this.#busy) return;
    this.#setBusy(true);
    setText(byId("start-error"), "");
    this.#goTo(place);
    try {
      const bots = Number.parseInt(preset("bots"), 10);
      const options = place.kind === "arena" && bots >= 0 ? { bots } : undefined; // without: as many as the server thinks right
      this.#enter(await this.#client.joinOrCreate(place.kind, place.key, options));
    } catch (error) {
      if (error instanceof Refusal && place.kind === "tictactoe") this.#refused = place.key;
      this.#showStart();
      if (error instanceof TickoverError) setText(byId("start-error"), error instanceof Refusal && FULL.has(error.code) ? "That room is full: try another one." : error.message);
      else throw error;
    } finally {
      this.#setBusy(false);
    }
  }

  /** Whether the page's address is a board to sit down at. */
  #invited(): boolean {
    return this.#place.kind === "tictactoe" && this.#place.key !== this.#refused;
  }

  #setBusy(busy: boolean): void {
    this.#busy = busy;
    setText(byId("play"), busy ? "Connecting…" : "Play");
    for (const id of ["play", "ttt-play"]) byId(id).setAttribute("aria-disabled", String(busy));
  }

  #enter(room: AnyRoom): void {
    this.#room = room;
    this.#cluster?.watch(room);
    this.#goTo({ kind: room.kind === "tictactoe" ? "tictactoe" : "arena", key: room.key });
    room.on("status", () => room === this.#room && this.#overlay.show(this.#client, room));
    room.on("left", (info) => {
      if (room !== this.#room) return;
      if (info.why === "ended" && this.#game instanceof Board && this.#game.over) this.#overlay.hide(); // the board says who won
      else this.#overlay.left(info, () => this.#showStart());
    });
    byId("start").hidden = true;
    this.#attract.stop();
    byId("hud").hidden = false;
    setText(byId("room-key"), room.key);
    this.#game = room.kind === "tictactoe" ? new Board(this.#client, room) : new Arena(this.#client, room, (is) => this.#overlay.stalled(is));
    for (const id of ["scores", "feed", "map"]) byId(id).hidden = room.kind === "tictactoe";
    this.#overlay.show(this.#client, room);
  }

  async #leave(): Promise<void> {
    await this.#quit();
    this.#showStart();
  }

  async #move(place: Place): Promise<void> {
    await this.#quit();
    await this.#join(place);
  }

  /** Leaves without waiting for the server: what is not connected now is told later. */
  async #quit(): Promise<void> {
    const room = this.#room;
    this.#room = undefined;
    this.#stopGame();
    if (room && this.#client.status.is === "open") await room.leave().catch(() => {});
    else void room?.leave().catch(() => {});
  }

  #stopGame(): void {
    this.#game?.stop();
    this.#game = undefined;
    this.#cluster?.watch(undefined);
  }

  #showStart(): void {
    this.#room = undefined;
    this.#stopGame();
    if (this.#client.status.is !== "closed") this.#overlay.hide();
    byId("hud").hidden = true;
    byId("start").hidden = false;
    setText(byId("start-error"), complaintOf(location.hash));
    this.#attract.start();
    setText(byId("start-room"), this.#place.kind === "arena" ? this.#place.key : "lobby");
    setText(byId("ttt-play"), this.#invited() ? `Join ${this.#place.key}` : "Open a board");
    (this.#place.kind === "tictactoe" && this.#name.value ? byId("ttt-play") : this.#name).focus();
  }

  #goTo(place: Place): void {
    this.#place = place;
    if (location.hash !== hashOf(place)) history.replaceState(null, "", hashOf(place));
  }

  #hashChanged(): void {
    const place = placeOf(location.hash);
    const impossible = complaintOf(location.hash) !== "";
    if (!impossible && place.kind === this.#place.kind && place.key === this.#place.key) return;
    this.#place = place;
    if (!this.#room) this.#showStart();
    else void (impossible ? this.#leave() : this.#move(place));
  }

  async #copy(): Promise<void> {
    const button = byId("copy");
    const link = new URL(location.href);
    link.searchParams.delete("name");
    try {
      await navigator.clipboard.writeText(link.href);
      setText(button, "Copied");
    } catch {
      prompt("The link to this room:", link.href); // clipboards are closed to pages without TLS
    }
    setTimeout(() => setText(button, "Copy link"), 1_500);
  }

  #handle(): Handle {
    const app = this;
    return {
      get client() { return app.#client; },
      get room() { return app.#room; },
      get seat() { return app.#room?.seat; },
      get tick() { return app.#room?.tick; },
      get position() {
        const ship = app.#room?.kind === "arena" ? (app.#room.state as ArenaState | undefined)?.ships[app.#room.seat] : undefined;
        return ship && { x: ship.x, y: ship.y };
      },
      get reconnects() { return app.#client.reconnects; },
      get status() { return app.#room?.status === "reconnecting" ? "reconnecting" : app.#client.status.is; },
    };
  }
}

function read(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The name is then asked for again.
  }
}

void new App().run();
