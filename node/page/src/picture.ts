/** What the command `cluster` says of its nodes (GET /cluster/state). What is not known is null. */

export type NodeState = "starting" | "alive" | "frozen" | "draining" | "dead";

export interface NodePicture {
  name: string;
  state: NodeState;
  pid: number;
  starts: number;
  boot: string | null;
  rooms: number | null;
  players: number | null;
  sockets: number;
}

export interface Happening { id: number; at: number; node: string; what: string; pid: number }

export interface Picture {
  /** The server's clock, as in `at` of what happened: Unix milliseconds. */
  now: number;
  restart_ms: number;
  nodes: NodePicture[];
  history: Happening[];
  redis_away: boolean;
}

/** What the page was given when it came from such a command: "" from a lone node, "view" without buttons, else the buttons' token. */
export function clusterToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="tickover:cluster"]')?.content ?? "";
}

/** Pictures gives one at every change. In hidden pages it stops: a browser has six connections to a server for all of its tabs. */
export class Pictures {
  #source: EventSource | undefined;

  constructor(private readonly shown: (p: Picture | undefined) => void) {
    document.addEventListener("visibilitychange", () => this.#follow());
    this.#follow();
  }

  #follow(): void {
    if (document.visibilityState === "hidden") {
      this.#source?.close();
      this.#source = undefined;
      return;
    }
    if (this.#source) return;
    const source = new EventSource("cluster/state");
    this.#source = source;
    source.onmessage = (e) => this.shown(JSON.parse(String(e.data)) as Picture);
    source.onerror = () => {
      this.shown(undefined);
      if (source.readyState !== EventSource.CLOSED || this.#source !== source) return;
      this.#source = undefined;
      setTimeout(() => this.#follow(), 1_000); // refused outright: the browser does not try again by itself
    };
  }
}

const ASK_WITHIN_MS = 1_000;

/** The name of the node that owns a room; undefined if nobody can tell. */
export async function ownerOf(room: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`/v1/rooms/${encodeURIComponent(room)}`, { signal: AbortSignal.timeout(ASK_WITHIN_MS) });
    const { node } = (await answer.json()) as { node?: unknown };
    return answer.ok && typeof node === "string" && node !== "" ? node : undefined;
  } catch {
    return undefined;
  }
}
