import type { ArenaInput } from "./games.js";

/** While something is held it is said again this often, in ms: once per tick at 20 Hz. */
const REPEAT_MS = 50;
/** Changes go out at once, but not more often than this. */
const LEAST_MS = 33;
/** How far a thumb moves a stick from its centre, in CSS pixels. */
export const STICK_RADIUS = 52;

export interface Stick { id: number; x0: number; y0: number; x: number; y: number }

const MOVES: Record<string, [number, number]> = {
  KeyW: [0, -1], ArrowUp: [0, -1], KeyS: [0, 1], ArrowDown: [0, 1],
  KeyA: [-1, 0], ArrowLeft: [-1, 0], KeyD: [1, 0], ArrowRight: [1, 0],
};

/** Controls turns keys, mouse and thumbs into inputs. The mouse aims from the ship's place on the screen, which the view tells. */
export class Controls {
  readonly #abort = new AbortController();
  readonly #keys = new Set<string>();
  #mouse: { x: number; y: number } | undefined;
  #button = false;
  #angle = 0;
  #last = "";
  #sentAt = -Infinity;
  /** The thumbs, for the view to draw. */
  left: Stick | undefined;
  right: Stick | undefined;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const { signal } = this.#abort;
    addEventListener("keydown", (e) => this.#key(e, true), { signal });
    addEventListener("keyup", (e) => this.#key(e, false), { signal });
    addEventListener("blur", () => this.#release(), { signal });
    document.addEventListener("visibilitychange", () => this.#release(), { signal });
    canvas.addEventListener("pointerdown", (e) => this.#down(e), { signal });
    canvas.addEventListener("pointermove", (e) => this.#move(e), { signal });
    for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, (e) => this.#up(e), { signal });
    canvas.addEventListener("contextmenu", (e) => e.preventDefault(), { signal });
  }

  stop(): void {
    this.#abort.abort();
  }

  /** The aim in radians: drawn at once, without waiting for the server. */
  get angle(): number {
    return this.#angle;
  }

  /** The input to send now, if one is due. `ship` is where the own ship is on the screen. */
  due(now: number, ship: { x: number; y: number }): ArenaInput | undefined {
    const input = this.#read(ship);
    const text = `${input.dx} ${input.dy} ${input.angle} ${input.fire}`;
    const active = input.dx !== 0 || input.dy !== 0 || input.fire;
    const wait = now - this.#sentAt;
    if (wait < (text === this.#last ? REPEAT_MS : LEAST_MS) || (text === this.#last && !active)) return undefined;
    this.#last = text;
    this.#sentAt = now;
    return input;
  }

  #read(ship: { x: number; y: number }): ArenaInput {
    let dx = 0;
    let dy = 0;
    for (const code of this.#keys) {
      dx += MOVES[code]?.[0] ?? 0;
      dy += MOVES[code]?.[1] ?? 0;
    }
    if (this.left) [dx, dy] = deflection(this.left);
    const length = Math.hypot(dx, dy);
    if (length > 1) [dx, dy] = [dx / length, dy / length];
    const aim = this.right && deflection(this.right);
    if (aim && Math.hypot(...aim) > 0.2) this.#angle = Math.atan2(aim[1], aim[0]);
    else if (this.#mouse) this.#angle = Math.atan2(this.#mouse.y - ship.y, this.#mouse.x - ship.x);
    else if (length > 0.2 && !this.right) this.#angle = Math.atan2(dy, dx);
    const fire = this.#button || this.#keys.has("Space") || (aim !== undefined && Math.hypot(...aim) > 0.35);
    const round = (v: number): number => Math.round(v * 100) / 100;
    return { dx: round(dx), dy: round(dy), angle: round(this.#angle), fire };
  }

  #key(e: KeyboardEvent, down: boolean): void {
    const known = e.code in MOVES || e.code === "Space";
    const elsewhere = e.target instanceof Element && e.target.closest("input, button, a");
    if (!known || e.ctrlKey || e.metaKey || e.altKey || (down && elsewhere)) return;
    if (!elsewhere) e.preventDefault();
    if (down) this.#keys.add(e.code);
    else this.#keys.delete(e.code);
  }

  #down(e: PointerEvent): void {
    this.canvas.focus({ preventScroll: true });
    e.preventDefault();
    if (e.pointerType !== "touch") {
      this.#mouse = { x: e.clientX, y: e.clientY };
      if (e.button === 0) this.#button = true;
      return;
    }
    this.canvas.setPointerCapture(e.pointerId);
    const stick = { id: e.pointerId, x0: e.clientX, y0: e.clientY, x: e.clientX, y: e.clientY };
    this.#mouse = undefined;
    if (e.clientX < innerWidth / 2) this.left ??= stick;
    else this.right ??= stick;
  }

  #move(e: PointerEvent): void {
    if (e.pointerType !== "touch") {
      this.#mouse = { x: e.clientX, y: e.clientY };
      return;
    }
    for (const stick of [this.left, this.right]) if (stick?.id === e.pointerId) [stick.x, stick.y] = [e.clientX, e.clientY];
  }

  #up(e: PointerEvent): void {
    if (e.pointerType !== "touch" && e.button === 0) this.#button = false;
    if (this.left?.id === e.pointerId) this.left = undefined;
    if (this.right?.id === e.pointerId) this.right = undefined;
  }

  // Keys that are let go elsewhere are never heard of: a ship must not fly on for ever.
  #release(): void {
    this.#keys.clear();
    this.#button = false;
    this.left = this.right = undefined;
  }
}

function deflection(stick: Stick): [number, number] {
  const [dx, dy] = [(stick.x - stick.x0) / STICK_RADIUS, (stick.y - stick.y0) / STICK_RADIUS];
  const length = Math.hypot(dx, dy);
  if (length < 0.15) return [0, 0];
  return length > 1 ? [dx / length, dy / length] : [dx, dy];
}
