import type { Controls } from "./controls.js";
import { Effects } from "./effects.js";
import type { ArenaState, Ship } from "./games.js";
import { View } from "./view.js";
import { byId } from "./dom.js";

const SIZE: [number, number] = [1500, 1000];
const SHIPS = 30;
const NO_HANDS = { left: undefined, right: undefined, angle: 0 } as unknown as Controls;

/** Attract flies a few nameless ships behind the start screen; with reduced motion they stand still. */
export class Attract {
  readonly #calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  readonly #view = new View(byId<HTMLCanvasElement>("world"), this.#calm);
  readonly #effects = new Effects(true);
  #frame = 0;
  #drawnAt = 0;

  start(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #draw(now: number): void {
    this.#frame = requestAnimationFrame((at) => this.#draw(at));
    const seconds = Math.min(0.1, (now - this.#drawnAt) / 1000);
    this.#drawnAt = now;
    const state = fleet(this.#calm ? 20 : 20 + now / 1000);
    const sample = { from: state, to: state, t: 1 };
    this.#view.draw(now, seconds, sample, sample, 0, this.#effects, NO_HANDS);
  }
}

/** Every ship follows a slow curve of its own: a pure function of the time. */
function fleet(t: number): ArenaState {
  const ships: Record<number, Ship> = {};
  for (let i = 1; i <= SHIPS; i++) {
    const [u, v] = [0.06 + 0.013 * (i % 7), 0.05 + 0.017 * (i % 5)];
    const at = (s: number): [number, number] => [SIZE[0] * (0.5 + 0.46 * Math.sin(u * s + i * 1.7)), SIZE[1] * (0.5 + 0.44 * Math.sin(v * s + i * 2.9))];
    const [x, y] = at(t);
    const [x2, y2] = at(t + 0.1);
    ships[i] = { name: "", x, y, a: (Math.atan2(y2 - y, x2 - x) * 180) / Math.PI, hp: 100, score: 0, bot: i % 3 !== 0, up: true };
  }
  return { size: SIZE, ships, shots: [] };
}
