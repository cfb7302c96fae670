import type { Ship } from "./games.js";

export const OWN = "#ffb454";
const BOT = "#73879b";
/** Far enough from each other and from amber, equally bright. */
const PLAYERS = ["#6fb7e9", "#7fd19b", "#e58ab8", "#b79cf0", "#63cfc6", "#ef8f7a", "#c3d36a", "#8fa8ff"];

/** A seat keeps its colour on every screen; one's own is amber. */
export function colorOf(seat: number, ship: Pick<Ship, "bot"> | undefined, own: number): string {
  if (seat === own) return OWN;
  return ship?.bot ? BOT : PLAYERS[seat % PLAYERS.length]!;
}
