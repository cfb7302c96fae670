import type { Client, AnyRoom } from "tickover";
import { colorOf } from "./colors.js";
import { byId, make, setText } from "./dom.js";
import type { ArenaState } from "./games.js";
import { shownName } from "./names.js";

const TOP = 8;
const FEED = 5;
const FEED_MS = 6_000;

/** Stats is the strip at the bottom: the same for both games. */
export class Stats {
  #epoch = 0;
  #moves = 0;

  /**
   * `stalled`: nothing comes from the room, and nobody says why. `result` is the game's, if it is over: then it is of no interest any
   * more what room and connection do.
   */
  update(client: Client, room: AnyRoom, { stalled = false, result = "" } = {}): void {
    if (this.#epoch !== 0 && room.epoch > this.#epoch) this.#moves++;
    this.#epoch = Math.max(this.#epoch, room.epoch);
    setText(byId("ping"), client.ping > 0 ? client.ping.toFixed(client.ping < 10 ? 1 : 0) : "–");
    setText(byId("tick"), String(room.tick));
    setText(byId("moves"), String(this.#moves));
    setText(byId("reconnects"), String(client.reconnects));
    const open = client.status.is === "open";
    const word = !open ? client.status.is : room.status === "reconnecting" ? "resuming" : stalled ? "waiting" : room.status;
    setText(byId("state"), result || word);
    byId("light").className = result || (open && room.status === "playing" && !stalled) ? "" : client.status.is === "closed" ? "bad" : "warn";
  }
}

/** Hud writes the arena's score board, kill feed and map. */
export class Hud {
  readonly #scores = byId("scores").querySelector("ol")!;
  readonly #feed = byId("feed");
  readonly #map = byId<HTMLCanvasElement>("map");
  #scoreText = "";

  constructor() {
    this.#feed.replaceChildren();
    this.#scores.replaceChildren();
  }

  scores(state: ArenaState, own: number): void {
    const all = Object.entries(state.ships).map(([seat, ship]) => ({ seat: Number(seat), ship }));
    all.sort((a, b) => b.ship.score - a.ship.score || a.seat - b.seat);
    const shown = all.slice(0, TOP);
    const me = all.findIndex((e) => e.seat === own);
    if (me >= TOP) shown.push(all[me]!);
    const text = JSON.stringify(shown.map(({ seat, ship }) => [seat, ship.name, ship.score])) + me;
    if (text === this.#scoreText) return;
    this.#scoreText = text;
    this.#scores.replaceChildren(...shown.map(({ seat, ship }, place) => {
      const mine = seat === own;
      const row = make("li", [mine ? "me" : ship.bot ? "bot" : "", place === TOP ? "gap" : ""].join(" ").trim());
      const mark = make("i");
      mark.style.background = colorOf(seat, ship, own);
      row.append(mark, make("span", "", `${mine && place === TOP ? `${me + 1}. ` : ""}${shownName(ship.name, seat)}`), make("b", "", String(ship.score)));
      return row;
    }));
  }

  /** Bots among themselves are no news. */
  killed(state: ArenaState, seat: number, by: number, own: number): void {
    if (state.ships[seat]?.bot && state.ships[by]?.bot) return;
    const name = (s: number): HTMLElement => make("b", s === own ? "me" : "", s === own ? "you" : shownName(state.ships[s]?.name ?? `seat ${s}`, s));
    this.#say("", name(by), make("span", "", " shot down "), name(seat));
  }

  news(text: string): void {
    this.#say("news", text);
  }

  #say(className: string, ...parts: (Node | string)[]): void {
    const line = make("li", className);
    line.append(...parts);
    this.#feed.prepend(line);
    while (this.#feed.children.length > FEED) this.#feed.lastElementChild!.remove();
    setTimeout(() => (line.style.opacity = "0"), FEED_MS);
    setTimeout(() => line.remove(), FEED_MS + 700);
  }

  map(state: ArenaState, own: number): void {
    const [w, h] = state.size;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(176 * ratio);
    const height = Math.round((width * h) / w);
    if (this.#map.width !== width || this.#map.height !== height) {
      this.#map.width = width;
      this.#map.height = height;
    }
    const g = this.#map.getContext("2d")!;
    g.clearRect(0, 0, width, height);
    const k = width / w;
    for (const [key, ship] of Object.entries(state.ships)) {
      const seat = Number(key);
      if (!ship.up || seat === own) continue;
      g.fillStyle = colorOf(seat, ship, own);
      g.globalAlpha = ship.bot ? 0.75 : 1;
      const r = (ship.bot ? 1.3 : 2) * ratio;
      g.fillRect(ship.x * k - r, ship.y * k - r, 2 * r, 2 * r);
    }
    g.globalAlpha = 1;
    const me = state.ships[own];
    if (!me?.up) return;
    g.fillStyle = colorOf(own, me, own);
    g.beginPath();
    g.arc(me.x * k, me.y * k, 3.2 * ratio, 0, 2 * Math.PI);
    g.fill();
  }
}
