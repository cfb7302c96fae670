/** How long this client may be silent before it pings: a third of the 15 s after which the server gives up. */
const SILENT_MS = 5_000;
/** While a room is open, pings also keep the displayed round trip fresh. */
const FRESH_MS = 2_000;
/** Nothing heard for this long: the connection is dead, whatever the socket says. */
const DEAD_MS = 15_000;
/** A check this late means that the page slept; what the server sent meanwhile may still wait to be delivered. */
const SLEPT_MS = 5_000;
const SAMPLES = 8;

/**
 * Heartbeat decides when to ping and when a connection is dead, and estimates the round trip and the server's clock.
 * `now` is always a monotonic clock in milliseconds. One per connection.
 */
export class Heartbeat {
  #heardAt: number;
  #saidAt: number;
  #pingedAt: number;
  #checkedAt: number;
  #samples: { rtt: number; offset: number }[] = [];

  /** The last round trip in ms; 0 before the first pong. */
  rttMs: number;

  /** `rttMs` is the previous connection's: the best guess until the first pong. */
  constructor(now: number, rttMs = 0) {
    this.rttMs = rttMs;
    this.#heardAt = this.#saidAt = this.#checkedAt = now;
    this.#pingedAt = now - FRESH_MS; // ping right away: the display should not start empty
  }

  heard(now: number): void {
    this.#heardAt = now;
  }

  said(now: number): void {
    this.#saidAt = now;
  }

  /** What is due. Call it often; "ping" is said once per ping due. */
  check(now: number, inRoom: boolean): "ping" | "dead" | "fine" {
    const slept = now - this.#checkedAt > SLEPT_MS;
    this.#checkedAt = now;
    // The waking page gives the server one more silent period to be heard, instead of killing a good connection.
    if (slept) this.#heardAt = Math.max(this.#heardAt, now - DEAD_MS + SILENT_MS);
    if (now - this.#heardAt >= DEAD_MS) return "dead";
    const due = slept || now - this.#saidAt >= SILENT_MS || (inRoom && now - this.#pingedAt >= FRESH_MS);
    if (!due) return "fine";
    this.#pingedAt = this.#saidAt = now;
    return "ping";
  }

  /** The opaque time of a ping, in whole microseconds: the protocol carries integers, a display wants fractions. */
  static stamp(now: number): number {
    return Math.round(now * 1000);
  }

  pong(stamp: number, serverNow: number, now: number): void {
    const rtt = now - stamp / 1000;
    if (!(rtt >= 0 && rtt < 10 * DEAD_MS)) return; // not one of our stamps
    this.rttMs = rtt;
    this.#samples.push({ rtt, offset: serverNow + rtt / 2 - now });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** The welcome's time: a first guess at the clock, worse than any ping. */
  welcome(serverNow: number, now: number): void {
    if (this.#samples.length === 0) this.#samples.push({ rtt: Infinity, offset: serverNow - now });
  }

  /** Add it to a monotonic `now` for the server's Unix milliseconds. The quickest recent ping is the least wrong one. */
  get offsetMs(): number | undefined {
    let best = this.#samples[0];
    for (const s of this.#samples) if (best && s.rtt < best.rtt) best = s;
    return best?.offset;
  }
}
