import { colorOf, OWN } from "./colors.js";
import { STICK_RADIUS, type Controls, type Stick } from "./controls.js";
import type { Effects } from "./effects.js";
import type { ArenaState, Ship, Shot } from "./games.js";
import { shownName } from "./names.js";
import type { Sample } from "./timeline.js";

const GROUND = "#090c11";
const INSIDE = "#10171f";
/** How many world units fit into the shorter side of the window. */
const SIGHT = 640;
const TRAIL = 14;
/** A ship that moved further than this between two states did not fly there. */
const JUMP = 220;

export interface Pose { x: number; y: number; a: number }

/** View draws one frame of the arena. It keeps the camera and the ships' trails, nothing of the game. */
export class View {
  readonly #g: CanvasRenderingContext2D;
  readonly #trails = new Map<number, { x: number; y: number }[]>();
  #camera: { x: number; y: number } | undefined;
  #scale = 1;
  #trailAt = 0;
  /** Where the own ship is on the screen, in CSS pixels. */
  ownOnScreen = { x: innerWidth / 2, y: innerHeight / 2 };

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly calm: boolean,
  ) {
    this.#g = canvas.getContext("2d", { alpha: false })!;
  }

  draw(now: number, seconds: number, sample: Sample<ArenaState>, ahead: Sample<ArenaState>, own: number, effects: Effects, controls: Controls): void {
    const g = this.#g;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [innerWidth, innerHeight];
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const state = sample.to;
    const ownPose = pose(ahead, own);
    this.#follow(ownPose, state, width, height, seconds);
    const camera = this.#camera!;
    const scale = this.#scale;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.fillStyle = GROUND;
    g.fillRect(0, 0, width, height);
    g.translate(width / 2, height / 2);
    g.scale(scale, scale);
    g.translate(-camera.x, -camera.y);
    this.#ground(state.size, camera, width / 2 / scale, height / 2 / scale);

    const poses = new Map<number, Pose>();
    for (const seat of Object.keys(state.ships).map(Number)) {
      const p = seat === own ? ownPose : pose(sample, seat);
      if (p && state.ships[seat]!.up) poses.set(seat, p);
    }
    this.#trail(now, poses);
    this.#trailLines(state, own);
    this.#shots(sample, own);
    // Bots below players, the own ship on top of all.
    const rank = (seat: number): number => (seat === own ? 2 : state.ships[seat]!.bot ? 0 : 1);
    for (const [seat, p] of [...poses].sort((a, b) => rank(a[0]) - rank(b[0]))) {
      this.#ship(seat, state.ships[seat]!, p, own, effects.flashing(seat, now), seat === own ? controls.angle : undefined);
    }
    effects.draw(g);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (effects.flashing(own, now)) this.#edge(width, height);
    for (const stick of [controls.left, controls.right]) if (stick) this.#stick(stick);
    const p = ownPose ?? camera;
    this.ownOnScreen = { x: width / 2 + (p.x - camera.x) * scale, y: height / 2 + (p.y - camera.y) * scale };
  }

  /** The camera stays with the own ship, and at the world's edges shows no more emptiness than it must. */
  #follow(ownPose: Pose | undefined, state: ArenaState, width: number, height: number, seconds: number): void {
    this.#scale = Math.min(1.7, Math.max(0.5, Math.min(width, height) / SIGHT));
    const clamp = (v: number, size: number, view: number): number => {
      const half = view / 2 / this.#scale - 60;
      return half * 2 >= size ? size / 2 : Math.min(size - half, Math.max(half, v));
    };
    const aim = ownPose ?? this.#camera ?? { x: state.size[0] / 2, y: state.size[1] / 2 };
    const target = { x: clamp(aim.x, state.size[0], width), y: clamp(aim.y, state.size[1], height) };
    const camera = this.#camera;
    if (!camera || this.calm || Math.hypot(target.x - camera.x, target.y - camera.y) > 600) this.#camera = target;
    else {
      const k = 1 - Math.exp(-14 * seconds);
      camera.x += (target.x - camera.x) * k;
      camera.y += (target.y - camera.y) * k;
    }
  }

  #ground([w, h]: [number, number], camera: { x: number; y: number }, halfX: number, halfY: number): void {
    const g = this.#g;
    g.fillStyle = INSIDE;
    g.fillRect(0, 0, w, h);
    const step = 50;
    const x0 = Math.max(step, Math.ceil((camera.x - halfX) / step) * step);
    const y0 = Math.max(step, Math.ceil((camera.y - halfY) / step) * step);
    const [x1, y1] = [Math.min(w - 1, camera.x + halfX), Math.min(h - 1, camera.y + halfY)];
    for (let x = x0; x <= x1; x += step) {
      for (let y = y0; y <= y1; y += step) {
        const major = x % 200 === 0 && y % 200 === 0;
        g.fillStyle = major ? "#33455a" : "#212d3a";
        if (major) {
          g.fillRect(x - 5, y - 0.6, 10, 1.2);
          g.fillRect(x - 0.6, y - 5, 1.2, 10);
        } else g.fillRect(x - 1, y - 1, 2, 2);
      }
    }
    g.strokeStyle = "#2b3a49";
    g.lineWidth = 2;
    g.strokeRect(0, 0, w, h);
    g.strokeStyle = "#61758a";
    g.lineWidth = 3;
    g.beginPath();
    for (const [x, y, sx, sy] of [[0, 0, 1, 1], [w, 0, -1, 1], [w, h, -1, -1], [0, h, 1, -1]] as const) {
      g.moveTo(x + 34 * sx, y);
      g.lineTo(x, y);
      g.lineTo(x, y + 34 * sy);
    }
    g.stroke();
  }

  /** Keeps a point of each ship's way about every 33 ms. */
  #trail(now: number, poses: ReadonlyMap<number, Pose>): void {
    if (now - this.#trailAt < 33) return;
    this.#trailAt = now;
    for (const seat of this.#trails.keys()) if (!poses.has(seat)) this.#trails.delete(seat);
    for (const [seat, { x, y }] of poses) {
      const trail = this.#trails.get(seat) ?? [];
      this.#trails.set(seat, trail);
      const last = trail.at(-1);
      if (last && Math.hypot(x - last.x, y - last.y) > 45) trail.length = 0;
      trail.push({ x, y });
      if (trail.length > TRAIL) trail.shift();
    }
  }

  #trailLines(state: ArenaState, own: number): void {
    const g = this.#g;
    g.lineCap = "butt";
    for (const [seat, trail] of this.#trails) {
      const ship = state.ships[seat];
      if (!ship || trail.length < 3) continue;
      g.strokeStyle = colorOf(seat, ship, own);
      const strength = seat === own ? 0.4 : ship.bot ? 0.14 : 0.28;
      for (let i = 1; i < trail.length; i++) {
        const k = i / trail.length;
        g.globalAlpha = strength * k * k;
        g.lineWidth = 7 * k;
        g.beginPath();
        g.moveTo(trail[i - 1]!.x, trail[i - 1]!.y);
        g.lineTo(trail[i]!.x, trail[i]!.y);
        g.stroke();
      }
    }
    g.globalAlpha = 1;
  }

  #shots(sample: Sample<ArenaState>, own: number): void {
    const g = this.#g;
    const before = new Map((sample.from.shots ?? []).map((s) => [s.id, s]));
    const k = Math.min(1, sample.t);
    for (const shot of sample.to.shots ?? []) {
      const from: Pick<Shot, "x" | "y"> | undefined = before.get(shot.id) ?? sample.from.ships[shot.by];
      if (!from) continue;
      const [x, y] = [from.x + (shot.x - from.x) * k, from.y + (shot.y - from.y) * k];
      const angle = (shot.a * Math.PI) / 180;
      const [cx, cy] = [Math.cos(angle), Math.sin(angle)];
      const ship = sample.to.ships[shot.by];
      const color = colorOf(shot.by, ship, own);
      g.strokeStyle = color;
      g.globalAlpha = ship?.bot ? 0.35 : 0.5;
      g.lineWidth = 2.4;
      g.beginPath();
      g.moveTo(x - cx * 17, y - cy * 17);
      g.lineTo(x, y);
      g.stroke();
      g.globalAlpha = 1;
      g.strokeStyle = ship?.bot ? "#a9b9c8" : shot.by === own ? "#ffe3b3" : "#eef5fb";
      g.beginPath();
      g.moveTo(x - cx * 5, y - cy * 5);
      g.lineTo(x, y);
      g.stroke();
    }
  }

  #ship(seat: number, ship: Ship, p: Pose, own: number, hit: boolean, aim: number | undefined): void {
    const g = this.#g;
    const mine = seat === own;
    const color = colorOf(seat, ship, own);
    g.save();
    g.translate(p.x, p.y);
    if (mine) {
      g.strokeStyle = "#ffb45433";
      g.lineWidth = 1.5;
      g.beginPath();
      g.arc(0, 0, 27, 0, 2 * Math.PI);
      g.stroke();
    }
    if (mine || ship.hp < 100) this.#health(ship.hp, mine, color);
    g.rotate(aim ?? (p.a * Math.PI) / 180);
    g.beginPath();
    g.moveTo(17, 0);
    g.lineTo(-11, 11);
    g.lineTo(-6, 0);
    g.lineTo(-11, -11);
    g.closePath();
    g.lineJoin = "round";
    g.lineWidth = mine ? 2.5 : 2;
    g.fillStyle = hit ? "#ffffff" : ship.bot ? "#24313f" : mine ? OWN : `${color}55`;
    g.strokeStyle = hit ? "#ffffff" : mine ? "#ffe0b0" : color;
    g.fill();
    g.stroke();
    g.restore();
    if (!mine && ship.name) {
      g.font = `${ship.bot ? 400 : 560} ${11 / Math.max(0.8, this.#scale)}px system-ui, sans-serif`;
      g.textAlign = "center";
      g.fillStyle = ship.bot ? "#7c90a4b0" : color;
      g.fillText(shownName(ship.name, seat), p.x, p.y + 38);
    }
  }

  #health(hp: number, mine: boolean, color: string): void {
    const g = this.#g;
    g.lineCap = "butt";
    g.lineWidth = mine ? 3.5 : 2;
    g.globalAlpha = mine ? 1 : 0.75;
    g.strokeStyle = hp <= 30 ? "#f0736a" : color;
    g.beginPath();
    g.arc(0, 0, mine ? 27 : 22, -Math.PI / 2, -Math.PI / 2 + (2 * Math.PI * Math.max(0, hp)) / 100);
    g.stroke();
    g.globalAlpha = 1;
  }

  #edge(width: number, height: number): void {
    const g = this.#g;
    const shade = g.createRadialGradient(width / 2, height / 2, Math.min(width, height) * 0.42, width / 2, height / 2, Math.hypot(width, height) / 2);
    shade.addColorStop(0, "#f0736a00");
    shade.addColorStop(1, this.calm ? "#f0736a22" : "#f0736a55");
    g.fillStyle = shade;
    g.fillRect(0, 0, width, height);
  }

  #stick(s: Stick): void {
    const g = this.#g;
    const [dx, dy] = [s.x - s.x0, s.y - s.y0];
    const k = Math.min(1, STICK_RADIUS / (Math.hypot(dx, dy) || 1));
    g.lineWidth = 1.5;
    g.strokeStyle = "#dbe5ee40";
    g.beginPath();
    g.arc(s.x0, s.y0, STICK_RADIUS, 0, 2 * Math.PI);
    g.stroke();
    g.fillStyle = "#dbe5ee38";
    g.beginPath();
    g.arc(s.x0 + dx * k, s.y0 + dy * k, 22, 0, 2 * Math.PI);
    g.fill();
  }
}

/** Where a ship is at the moment shown; one that jumped or just came back is where it is. */
export function pose({ from, to, t }: Sample<ArenaState>, seat: number): Pose | undefined {
  const [a, b] = [from.ships[seat], to.ships[seat]];
  if (!b) return undefined;
  if (!a || a.up !== b.up || Math.hypot(b.x - a.x, b.y - a.y) > JUMP) return b;
  const turn = ((b.a - a.a + 540) % 360) - 180;
  return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t, a: a.a + turn * Math.min(1, t) };
}
