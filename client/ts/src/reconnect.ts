/** When to connect again, and whether: pure decisions, no timers. */

/** The first bound; it doubles with every attempt. */
const FIRST_MS = 500;
const LONGEST_MS = 20_000;
/** With a seat the longest wait is a quarter of that: somebody is looking at a game that stands still, and its grace runs. */
const LONGEST_SEATED_MS = 5_000;
/** The longest wait after the network or the page came back: many come back at the same moment. */
const WAKE_MS = 250;
/** A connection that worked this long makes the next loss a first one again. */
export const GOOD_AFTER_MS = 5_000;

/**
 * How long to wait before attempt `attempt` (from 0), at most 5 s while a seat is held and 20 s otherwise. Full jitter: uniformly
 * between 0 and the bound, so that the clients of a node that died do not come back in one wave. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, seated: boolean, random: number): number {
  const bound = Math.min(seated ? LONGEST_SEATED_MS : LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.floor(random * bound);
}

/** A first refusal of the old session is an answer, not an outage: the new one is asked for nearly at once. */
const NEW_SESSION_MS = 100;

/** The wait after a close with this code. */
export function waitMs(code: number, attempt: number, seated: boolean, random: number): number {
  if (attempt === 0 && afterClose(code) === "new_session") return Math.floor(random * NEW_SESSION_MS);
  return backoffMs(attempt, seated, random);
}

/** The wait once waiting has lost its reason. */
export function wakeMs(random: number): number {
  return Math.floor(random * WAKE_MS);
}

/** This package's own close codes, in the range the RFC leaves to libraries. Browsers do not let a page close with 1002 or 1011. */
export const OwnClose = { BadMessage: 3002, Gap: 3003, Silence: 3009 } as const;

export type AfterClose = "reconnect" | "new_session" | "stop";

/** What the server's close code asks of a client. 4504 is the one refusal that a new session cures. */
export function afterClose(code: number): AfterClose {
  if (code === 4504) return "new_session";
  if (code >= 4500 && code <= 4999) return "stop";
  if (code === 1000 || code === 1002 || code === 1003 || (code >= 1007 && code <= 1010)) return "stop";
  return "reconnect";
}
