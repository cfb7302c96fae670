/** A room with a rate shows that it goes on at least every 500 ms, even when nothing changes. Beyond this it does not. */
const STALLED_MS = 700;

/** Silence measures for how long no tick of a room came. It has no clock of its own: times are the caller's monotonic milliseconds. */
export class Silence {
  #tick = 0;
  #epoch = 0;

  constructor(private at: number) {}

  /** This is the newest tick now, as often as one likes. Gives how long nothing had come, if it is the first one of another server. */
  heard(now: number, tick: number, epoch: number): number | undefined {
    if (tick === this.#tick && epoch === this.#epoch) return undefined;
    const pause = this.#epoch !== 0 && epoch > this.#epoch ? now - this.at : undefined;
    [this.at, this.#tick, this.#epoch] = [now, tick, epoch];
    return pause;
  }

  /** Whether something is wrong with the room, or with the way to it. */
  stalled(now: number): boolean {
    return now - this.at > STALLED_MS;
  }
}

/** How long a pause was, for people. */
export function lengthOf(ms: number): string {
  return ms < 995 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
