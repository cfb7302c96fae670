import { byId, setText } from "./dom.js";
import { socketURL } from "./place.js";

/** The start screen waits this long for the list of kinds, in ms: cards that change under the hand are worse than one too many. */
const PATIENCE_MS = 1_000;

/** Kind is a game as its server lists it. */
export interface Kind { name: string; seats: number; hidden?: boolean }

/** The kinds this page's server has; undefined when it does not say. */
export async function servedKinds(): Promise<Kind[] | undefined> {
  try {
    const response = await fetch("/v1/kinds", { signal: AbortSignal.timeout(PATIENCE_MS) });
    const { kinds } = (await response.json()) as { kinds?: unknown };
    return response.ok && Array.isArray(kinds) ? (kinds as Kind[]) : undefined;
  } catch {
    return undefined;
  }
}

/** Shows the cards of the games that are served; with neither of them, what is there instead and how to join it. */
export function showCards(kinds: Kind[]): void {
  const has = (name: string): boolean => kinds.some((kind) => kind.name === name);
  byId("arena-card").hidden = !has("arena");
  byId("ttt-card").hidden = !has("tictactoe");
  const other = byId("other-card");
  other.hidden = has("arena") || has("tictactoe");
  if (other.hidden) return;
  const listed = kinds.filter((kind) => !kind.hidden);
  setText(byId("served"), listed.length > 0 ? `This server has: ${listText(listed)}.` : "This server lists no games.");
  setText(byId("snippet"), snippet(listed[0]?.name ?? "your-kind", socketURL()));
}

export function listText(kinds: Kind[]): string {
  return kinds.map(({ name, seats }) => `${name} (${seats} ${seats === 1 ? "seat" : "seats"})`).join(", ");
}

/** Three lines that join a room of this kind. */
export function snippet(kind: string, url: string): string {
  return [
    'import { Client } from "tickover";',
    `const room = await new Client(${JSON.stringify(url)}).joinOrCreate(${JSON.stringify(kind)}, "lobby");`,
    'room.on("state", (state, tick) => console.log(tick, state));',
  ].join("\n");
}
