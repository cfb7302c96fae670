/** Enough for the longest delay at the highest rate, with slack for a burst after a stall. */
const KEPT = 32;
const LEAST_DELAY_MS = 80;
const MOST_DELAY_MS = 250;
/** A clock that is off by more than this did not drift: the room paused and went on. */
const JUMP_MS = 300;

export interface Sample<S> {
  from: S;
  to: S;
  /** 0 at `from`, 1 at `to`; above 1 where the caller allows looking ahead. */
  t: number;
}

/**
 * Timeline turns states that arrive in jerks into motion: it shows the room a little in the past, so that there is nearly
 * always a state before and one behind the moment shown. Times are the caller's monotonic milliseconds.
 *
 * It learns when ticks arrive (a low-pass of arrival minus tick time that trusts early ones more: nothing arrives too
 * early) and how unevenly (a mean deviation); the delay is one and a half ticks plus three deviations.
 */
export class Timeline<S> {
  #states: { tick: number; state: S }[] = [];
  #offset = 0; // local time of tick 0
  #jitter = 0;

  constructor(private readonly tickMs: number) {}

  /** How far behind the newest arrivals the room is shown. */
  get delayMs(): number {
    return Math.min(MOST_DELAY_MS, Math.max(LEAST_DELAY_MS, 1.5 * this.tickMs + 3 * this.#jitter));
  }

  get newest(): S | undefined {
    return this.#states.at(-1)?.state;
  }

  push(tick: number, state: S, now: number): void {
    const last = this.#states.at(-1);
    if (last && tick < last.tick) this.#states = []; // another room's ticks, or one that started anew
    if (last && tick === last.tick) this.#states.pop();
    const seen = now - tick * this.tickMs;
    const error = seen - this.#offset;
    if (this.#states.length === 0 || Math.abs(error) > JUMP_MS) this.#offset = seen;
    else {
      this.#offset += error * (error < 0 ? 0.2 : 0.04);
      this.#jitter += (Math.abs(error) - this.#jitter) * 0.05;
    }
    this.#states.push({ tick, state });
    if (this.#states.length > KEPT) this.#states.shift();
  }

  /** The two states around the moment shown at `now`. `ahead` is by how many ticks it may be guessed beyond the newest state. */
  sample(now: number, delayMs = this.delayMs, ahead = 0): Sample<S> | undefined {
    const tick = (now - delayMs - this.#offset) / this.tickMs;
    const last = this.#states.length - 1;
    if (last < 0) return undefined;
    let i = last;
    while (i > 0 && this.#states[i]!.tick > tick) i--;
    const from = this.#states[Math.min(i, Math.max(0, last - 1))]!;
    const to = this.#states[Math.min(i + 1, last)]!;
    if (from === to) return { from: from.state, to: to.state, t: 1 };
    const t = (tick - from.tick) / (to.tick - from.tick);
    return { from: from.state, to: to.state, t: Math.min(1 + ahead / (to.tick - from.tick), Math.max(0, t)) };
  }
}
