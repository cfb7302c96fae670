import type { Client, Room } from "tickover";
import { colorOf } from "./colors.js";
import { Controls } from "./controls.js";
import { byId, setText } from "./dom.js";
import { Effects } from "./effects.js";
import type { ArenaEvents, ArenaInput, ArenaState } from "./games.js";
import { Hud, Stats } from "./hud.js";
import { shownName } from "./names.js";
import { lengthOf, Silence } from "./silence.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

export type ArenaRoom = Room<ArenaState, ArenaInput, ArenaEvents>;

/** The own ship is guessed this many ticks beyond the newest state: enough to hide a late one, too little to be seen wrong. */
const OWN_AHEAD_TICKS = 1.5;
const HUD_EVERY_MS = 200;

/** Arena plays one room: its states into pictures, the player's hands into inputs. `stop` takes every listener off again. */
export class Arena {
  readonly #calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  readonly #canvas = byId<HTMLCanvasElement>("world");
  readonly #controls = new Controls(this.#canvas);
  readonly #effects = new Effects(this.#calm);
  readonly #view = new View(this.#canvas, this.#calm);
  readonly #hud = new Hud();
  readonly #stats = new Stats();
  readonly #timeline: Timeline<ArenaState>;
  readonly #offs: (() => void)[];
  #frame = 0;
  #drawnAt = performance.now();
  #hudAt = 0;
  #downBy: string | undefined;
  readonly #silence = new Silence(performance.now());
  #stalled = false;
  #condition = "";

  constructor(
    private readonly client: Client,
    private readonly room: ArenaRoom,
    private readonly stalls: (is: boolean) => void,
  ) {
    this.#timeline = new Timeline(1000 / (room.rate || 20));
    this.#offs = [
      room.on("state", (state, tick) => this.#arrived(state, tick)),
      room.onEvent("down", ({ seat, by }) => this.#down(seat, by)),
    ];
    this.#canvas.tabIndex = 0;
    this.#canvas.focus({ preventScroll: true });
    for (const id of ["scores", "feed", "map"]) byId(id).hidden = false;
    this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    for (const off of this.#offs) off();
    this.#controls.stop();
    this.stalls(false);
    this.#canvas.tabIndex = -1;
    for (const id of ["scores", "feed", "map", "down"]) byId(id).hidden = true;
  }

  #arrived(state: ArenaState, tick: number): void {
    const now = performance.now();
    this.#listen(now); // here too: hidden pages do not draw
    const before = this.#timeline.newest;
    this.#timeline.push(tick, state, now);
    if (!before) return;
    const own = this.room.seat;
    for (const [key, ship] of Object.entries(state.ships)) {
      const seat = Number(key);
      const was = before.ships[seat];
      if (!was?.up || ship.hp >= was.hp) continue;
      this.#effects.later(now + (seat === own ? 0 : this.#timeline.delayMs), () => {
        this.#effects.flash(seat, performance.now());
        this.#effects.spark(ship.x, ship.y, colorOf(seat, ship, own));
      });
    }
    if (state.ships[own]?.up) this.#downBy = undefined;
  }

  #down(seat: number, by: number): void {
    const state = this.#timeline.newest ?? this.room.state;
    const ship = state?.ships[seat];
    if (!state || !ship) return;
    const own = this.room.seat;
    if (seat === own) this.#downBy = shownName(state.ships[by]?.name ?? "", by);
    const { x, y } = ship; // where it fell, not where it will come back
    this.#effects.later(performance.now() + this.#timeline.delayMs, () => this.#effects.burst(x, y, colorOf(seat, ship, own)));
    this.#hud.killed(state, seat, by, own);
  }

  /** Tells when nothing comes from the room, and when another server goes on with it. */
  #listen(now: number): void {
    const pause = this.#silence.heard(now, this.room.tick, this.room.epoch);
    if (pause !== undefined) this.#hud.news(`after a pause of ${lengthOf(pause)} the room carries on at tick ${this.room.tick}`);
    const stalled = this.client.status.is === "open" && this.room.status === "playing" && this.#silence.stalled(now);
    if (stalled !== this.#stalled) this.stalls((this.#stalled = stalled));
  }

  #draw(now: number): void {
    this.#frame = requestAnimationFrame((at) => this.#draw(at));
    this.#listen(now);
    const seconds = Math.min(0.1, Math.max(0, now - this.#drawnAt) / 1000);
    this.#drawnAt = now;
    const own = this.room.seat;
    const sample = this.#timeline.sample(now);
    const ahead = this.#timeline.sample(now, this.#timeline.delayMs / 2, OWN_AHEAD_TICKS);
    if (!sample || !ahead) return;
    this.#effects.step(now, seconds);
    this.#view.draw(now, seconds, sample, ahead, own, this.#effects, this.#controls);
    const input = this.#controls.due(now, this.#view.ownOnScreen);
    if (input && this.room.status !== "left") this.room.send(input, { latest: true });
    const condition = `${this.client.status.is} ${this.room.status} ${this.#stalled}`;
    if (now - this.#hudAt < HUD_EVERY_MS && condition === this.#condition) return;
    this.#condition = condition; // told at once: a green light beside "Connection lost" is a lie
    this.#write(now);
  }

  #write(now: number): void {
    this.#hudAt = now;
    const state = this.#timeline.newest!;
    const own = this.room.seat;
    this.#hud.scores(state, own);
    this.#hud.map(state, own);
    this.#stats.update(this.client, this.room, { stalled: this.#stalled });
    const down = byId("down");
    down.hidden = state.ships[own]?.up !== false;
    if (!down.hidden) setText(down, this.#downBy ? `Shot down by ${this.#downBy}. Back in a moment.` : "Back in a moment.");
  }
}
