/** A fault's pause is looked for this long after it, and after the last one found. */
const WATCH_MS = 5_000;
/** A node is judged dead, and its rooms taken over, well within this time; and frames that come this often flow. */
const FELT_MS = 2_000;
const FLOWING_MS = 250;
/** Frames, faults and take-overs older than this are forgotten: nobody looks at them. */
const KEPT_MS = 30_000;
const MOST_FRAMES = 4_096;

/** Pause is what a player noticed of one fault. Times are the caller's monotonic milliseconds. */
export interface Pause {
  readonly at: number;
  readonly node: string;
  readonly what: string;
  /** The newest tick shown when it happened; undefined outside a room. */
  readonly tick: number | undefined;
  /** The longest silence between two frames from the last one before it on; counted on while it lasts. */
  ms: number;
  open: boolean;
}

/** Pauses measures how long a room was silent around each fault, from when its frames arrive. It has no clock of its own. */
export class Pauses {
  frames: number[] = [];
  takeovers: { at: number; epoch: number }[] = [];
  faults: Pause[] = [];
  #last: { at: number; tick: number; epoch: number } | undefined;

  /** A frame arrived. */
  frame(now: number, tick: number, epoch: number): void {
    const last = this.#last;
    if (last) this.#silence(now, now - last.at);
    if (last && epoch > last.epoch) this.takeovers.push({ at: now, epoch });
    this.#last = { at: now, tick, epoch };
    this.frames.push(now);
    if (this.frames.length > MOST_FRAMES) this.frames.shift();
    for (const f of this.faults) if (f.open && now - f.at - f.ms > WATCH_MS) f.open = false;
  }

  /** Something befell a node; `at` may lie a little in the past. */
  fault(at: number, node: string, what: string): void {
    // What comes now is this fault's, unless an earlier one is still felt, or may be yet.
    if (this.silentFor(at) < FLOWING_MS) for (const f of this.faults) if (at - f.at > FELT_MS) f.open = false;
    this.faults.push({ at, node, what, tick: this.#last?.tick, ms: 0, open: this.#last !== undefined });
  }

  /** How long nothing has come from the room; 0 outside of one. */
  silentFor(now: number): number {
    return this.#last ? now - this.#last.at : 0;
  }

  /** Time passed: a silence that lasts counts, and what is old goes. */
  pass(now: number): void {
    if (this.#last) this.#silence(now, now - this.#last.at);
    const old = now - KEPT_MS;
    while (this.frames[0]! < old) this.frames.shift();
    while (this.takeovers[0] && this.takeovers[0].at < old) this.takeovers.shift();
    while (this.faults.length > 8) this.faults.shift();
  }

  /** The room was left, or another one entered: what comes next has nothing to do with what was. */
  forget(): void {
    this.#last = undefined;
    this.frames = [];
    this.takeovers = [];
    for (const f of this.faults) f.open = false;
  }

  #silence(now: number, ms: number): void {
    for (const f of this.faults) if (f.open && now > f.at) f.ms = Math.max(f.ms, ms);
  }
}

/** How a pause is told, and how bad it was. Up to three ticks nobody can tell from a busy network. */
export function pauseText(p: Pause, tickMs: number): { text: string; level: "" | "good" | "warn" | "bad" } {
  if (p.tick === undefined) return { text: "", level: "" };
  const text = p.ms < 9_950 ? `${Math.round(p.ms)} ms` : `${(p.ms / 1000).toFixed(0)} s`;
  return { text, level: p.ms <= 3 * tickMs ? "good" : p.ms < 1_500 ? "warn" : "bad" };
}
