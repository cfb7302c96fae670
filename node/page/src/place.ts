/** Where the page is: which server, which game, which room. Read from the document and the URL, written to the hash. */

export interface Place {
  kind: "arena" | "tictactoe";
  key: string;
}

const BOARD = "ttt-";

/** `?socket=` wins, then what the server wrote into the page, then the default port on this host. */
export function socketURL(): string {
  const asked = new URLSearchParams(location.search).get("socket");
  const written = document.querySelector<HTMLMetaElement>('meta[name="tickover:socket"]')?.content;
  return asked || written || `ws://${location.hostname || "localhost"}:7777/`;
}

export function preset(name: string): string {
  return new URLSearchParams(location.search).get(name) ?? "";
}

/** `#lobby` is an arena, `#ttt-lobby` a board. */
export function placeOf(hash: string): Place {
  let key = hash.replace(/^#/, "");
  try {
    key = decodeURIComponent(key);
  } catch {
    // A stray percent sign is part of the name then.
  }
  key = key.replace(/[^\p{L}\p{N}_-]/gu, "").slice(0, 32);
  if (key.startsWith(BOARD) && key.length > BOARD.length) return { kind: "tictactoe", key: key.slice(BOARD.length) };
  return { kind: "arena", key: key || "lobby" };
}

export function hashOf(place: Place): string {
  return `#${place.kind === "tictactoe" ? BOARD : ""}${encodeURIComponent(place.key)}`;
}

const FIRST = ["amber", "brisk", "calm", "clear", "deep", "early", "fair", "fine", "high", "keen", "late", "loud", "north", "quick", "silver", "still", "swift", "tall", "warm", "wild"];
const SECOND = ["bay", "birch", "brook", "cliff", "cloud", "comet", "delta", "dune", "ember", "fern", "field", "harbor", "heron", "maple", "mesa", "orbit", "otter", "pine", "raven", "ridge"];

/** A key that can be read out on the phone: two words and two digits, one in 36,000. */
export function randomKey(random: () => number = Math.random): string {
  const pick = (words: string[]): string => words[Math.floor(random() * words.length)]!;
  return `${pick(FIRST)}-${pick(SECOND)}-${10 + Math.floor(random() * 90)}`;
}
