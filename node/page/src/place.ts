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

/** What servers take as a room's key. */
const KEY = /^[A-Za-z0-9._-]{1,64}$/;
const SHOWN = 40;

/** `#lobby` is an arena, `#ttt-lobby` a board. What cannot be a key is the lobby: see complaintOf. */
export function placeOf(hash: string): Place {
  const { kind, key } = written(hash);
  return KEY.test(key) ? { kind, key } : { kind: "arena", key: "lobby" };
}

/** Says why the room that is named in the address cannot be, for people; "" if it can. */
export function complaintOf(hash: string): string {
  const { key } = written(hash);
  if (key === "" || KEY.test(key)) return "";
  const what = key.length > SHOWN ? `${key.slice(0, SHOWN)}…` : key;
  return `There can be no room “${what}”: a room’s name in the link has 1 to 64 of the letters A to Z and a to z, digits, “-”, “_” and “.”.`;
}

function written(hash: string): Place {
  let key = hash.replace(/^#/, "");
  try {
    key = decodeURIComponent(key);
  } catch {
    // A stray percent sign is part of the name then.
  }
  if (key.startsWith(BOARD) && key.length > BOARD.length) return { kind: "tictactoe", key: key.slice(BOARD.length) };
  return { kind: "arena", key };
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
