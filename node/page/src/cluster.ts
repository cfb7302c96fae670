import type { AnyRoom, Client } from "tickover";
import { Cards } from "./cards.js";
import { byId, make, setText } from "./dom.js";
import { type Pause, Pauses, pauseText } from "./pauses.js";
import { type Happening, ownerOf, type Picture, Pictures } from "./picture.js";
import { drawStrip } from "./strip.js";

const DRAW_EVERY_MS = 100;
const ASK_EVERY_MS = 1_000;
/** While a room may be on its way to another node, its owner is asked for this often, for so long after a fault. */
const ASK_SOON_MS = 150;
const MOVING_MS = 4_000;
const MOVED_MS = 8_000;
/** What happened longer ago cannot be measured any more. */
const FRESH_MS = 1_500;
const LOG = 4;
/** A silence is spoken of from here on. */
const LONG_MS = 300;
/** What is worth a line: the rest shows on the cards. */
const FAULTS: Record<string, string> = { killed: "killed", ended: "crashed", frozen: "frozen", draining: "drained" };

/** ClusterPanel shows the nodes behind the page, lets them be killed, and tells what the player noticed of it. */
export class ClusterPanel {
  readonly #cards: Cards;
  readonly #pauses = new Pauses();
  readonly #strip = byId<HTMLCanvasElement>("cluster-strip");
  #picture: Picture | undefined;
  #seen: number | undefined; // the newest thing that happened
  #room: AnyRoom | undefined;
  #offs: (() => void)[] = [];
  #owner: string | undefined;
  #asking = false;
  #askedAt = -Infinity;
  #faultAt = -Infinity;
  #logText = "";

  constructor(private readonly client: () => Client, private readonly token: string) {
    this.#cards = new Cards(token);
    document.body.classList.add("clustered");
    setText(byId("promise"), "Rooms that carry on. Play, then kill the server that runs your room: another one goes on from what you saw last, and you keep your seat.");
    byId("cluster").hidden = false;
    byId("cluster-fold").addEventListener("click", () => this.#fold());
    new Pictures((p) => this.#show(p));
    setInterval(() => this.#tick(), DRAW_EVERY_MS);
  }

  /** Watches this room's frames; undefined: none. */
  watch(room: AnyRoom | undefined): void {
    for (const off of this.#offs.splice(0)) off();
    this.#pauses.forget();
    this.#room = room;
    this.#owner = undefined;
    this.#askedAt = -Infinity;
    if (!room) return;
    this.#offs = [
      room.on("state", (_, tick) => {
        const before = this.#pauses.takeovers.length;
        if (room.rate > 0) this.#pauses.frame(performance.now(), tick, room.epoch);
        if (this.#pauses.takeovers.length > before) this.#askedAt = -Infinity;
      }),
    ];
  }

  #show(p: Picture | undefined): void {
    byId("cluster").classList.toggle("away", p === undefined);
    if (!p) return;
    this.#picture = p;
    const newest = p.history.at(-1)?.id ?? 0;
    const seen = this.#seen;
    this.#seen = newest;
    this.#cards.update(p);
    if (seen === undefined) return; // what was before the page came
    for (const h of p.history) if (h.id > seen) this.#happened(h, p.now - h.at);
    this.#tick();
  }

  #happened(h: Happening, ageMs: number): void {
    if (!FAULTS[h.what] || ageMs > FRESH_MS) return;
    this.#faultAt = performance.now();
    this.#pauses.fault(this.#faultAt - Math.max(0, ageMs), h.node, h.what);
  }

  #tick(): void {
    const now = performance.now();
    this.#pauses.pass(now);
    void this.#ask(now);
    const client = this.client();
    const socket = client.status.is === "open" ? this.#picture?.nodes.find((n) => client.node !== "" && (n.name === client.node || n.boot === client.node))?.name : undefined;
    this.#cards.place(this.#owner, socket);
    const tickMs = this.#tickMs();
    drawStrip(this.#strip, this.#pauses, now, tickMs);
    this.#log(tickMs);
    setText(byId("cluster-says"), this.#says(socket, now));
    setText(byId("cluster-unknown"), this.#unknown(socket));
  }

  #tickMs(): number {
    return 1000 / (this.#room?.rate || 20);
  }

  async #ask(now: number): Promise<void> {
    const room = this.#room;
    const every = now - this.#faultAt < MOVING_MS ? ASK_SOON_MS : ASK_EVERY_MS;
    if (!room || this.#asking || now - this.#askedAt < every) return;
    this.#asking = true;
    this.#askedAt = now;
    const owner = await ownerOf(room.id);
    this.#asking = false;
    if (room === this.#room) this.#owner = owner ?? this.#owner;
  }

  #log(tickMs: number): void {
    const lines = this.#pauses.faults.slice(-LOG).reverse();
    const text = JSON.stringify(lines.map((p) => [p.at, pauseText(p, tickMs).text]));
    if (text === this.#logText) return;
    this.#logText = text;
    byId("cluster-log").replaceChildren(...lines.map((p) => this.#line(p, tickMs)));
  }

  #line(p: Pause, tickMs: number): HTMLElement {
    const { text, level } = pauseText(p, tickMs);
    const line = make("li", p.what);
    line.append(make("b", "", p.node), make("span", "", FAULTS[p.what]), make("span", "tick", p.tick === undefined ? "" : `tick ${p.tick}`), make("em", level, text));
    line.title = "The longest time without a state of the room, around this";
    return line;
  }

  #says(socket: string | undefined, now: number): string {
    const room = this.#room;
    if (this.#picture?.redis_away) return "Redis is away: rooms wait for it.";
    if (!room) return "Play, then kill the node that runs your room.";
    const stuck = this.#picture?.nodes.find((n) => n.name === socket && n.state === "frozen");
    if (stuck) return `Your socket is at ${stuck.name}, which is frozen. A reload finds a living one.`;
    if (this.client().status.is !== "open") return "Your socket went with its node. Any other one will know you.";
    if (room.rate > 0 && this.#pauses.silentFor(now) > LONG_MS) return now - this.#faultAt < MOVED_MS ? "Another node is taking your room over." : "Nothing comes from your room.";
    if (room.rate === 0) return "This room steps only when somebody moves: there are no pauses to see.";
    if (this.token === "view") return "The buttons are on the page of the machine itself: open it at localhost there.";
    if (this.#pauses.faults.length === 0) return this.#owner ? `${this.#owner} runs your room. Kill it.` : "Kill a node while you play.";
    return "Same room, same seat. It goes on from what you saw last.";
  }

  /** What a badge would show, if somebody could tell. */
  #unknown(socket: string | undefined): string {
    if (!this.#room || this.client().status.is !== "open") return "";
    const missing = [this.#owner ? "" : "your room", socket ? "" : "your socket"].filter(Boolean);
    return missing.length > 0 ? `unknown: the node of ${missing.join(" and of ")}` : "";
  }

  #fold(): void {
    const open = byId("cluster").classList.toggle("open");
    byId("cluster-fold").setAttribute("aria-expanded", String(open));
  }
}
