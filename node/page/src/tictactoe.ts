import { type Client, Refusal, type Room } from "tickover";
import { byId, make, setText } from "./dom.js";
import type { BoardInput, BoardState } from "./games.js";
import { Stats } from "./hud.js";
import { shownName } from "./names.js";

export type BoardRoom = Room<BoardState, BoardInput>;

const NS_PER_MS = 1e6;

const SAYS: Record<string, string> = { not_your_turn: "It is not your turn.", bad_cell: "That cell is taken." };

/** Board plays one room of tic-tac-toe: nine buttons, and a reply or refusal for each click. */
export class Board {
  readonly #cells: HTMLButtonElement[];
  readonly #stats = new Stats();
  readonly #off: () => void;
  readonly #timer = setInterval(() => this.#clock(), 200);
  #marks: number[] = Array<number>(9).fill(0);
  #arrivedAt = performance.now();
  #note = "";
  #asking = false;

  constructor(
    private readonly client: Client,
    private readonly room: BoardRoom,
  ) {
    this.#cells = Array.from({ length: 9 }, (_, cell) => this.#cell(cell));
    byId("board").replaceChildren(...this.#cells);
    byId("ttt").hidden = false;
    byId("world").hidden = true;
    this.#off = room.on("state", () => {
      this.#arrivedAt = performance.now();
      this.#draw();
    });
  }

  /** Whether the game has been played to its end. */
  get over(): boolean {
    return this.room.state?.over ?? false;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#off();
    byId("ttt").hidden = true;
    byId("world").hidden = false;
  }

  #cell(cell: number): HTMLButtonElement {
    const button = make("button", "cell") as HTMLButtonElement;
    button.type = "button";
    button.dataset["testid"] = `cell-${cell}`;
    button.addEventListener("click", () => void this.#play(cell));
    button.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 }[e.key];
      if (step) this.#cells[(cell + step + 9) % 9]!.focus();
    });
    return button;
  }

  async #play(cell: number): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#note = "";
    try {
      await this.room.request({ cell });
    } catch (error) {
      if (error instanceof Refusal) this.#note = SAYS[error.code] ?? error.message;
    }
    this.#asking = false;
    this.#draw();
  }

  #draw(): void {
    const state = this.room.state;
    if (!state) return;
    const seats = state.seats ?? [];
    const mine = state.turn === this.room.seat && !state.over && seats.length === 2;
    this.#cells.forEach((button, cell) => {
      const seat = state.board[cell] ?? 0;
      const mark = this.#mark(seat);
      if (this.#marks[cell] !== seat) button.replaceChildren(...(mark ? [drawn(mark)] : []));
      button.setAttribute("aria-label", `row ${Math.floor(cell / 3) + 1}, column ${(cell % 3) + 1}: ${mark ? mark.toUpperCase() : "empty"}`);
      button.setAttribute("aria-disabled", String(!mine || seat !== 0));
      button.disabled = seat !== 0 || !mine;
      button.classList.toggle("won", state.line?.includes(cell) ?? false);
    });
    this.#marks = [...state.board];
    const rival = seats.find((seat) => seat !== this.room.seat);
    this.#player(byId("me"), this.room.seat, "You", state);
    this.#player(byId("them"), rival, rival === undefined ? "nobody yet" : this.#name(state, rival, "opponent"), state);
    setText(byId("ttt-says"), this.#says(state, mine, rival));
    byId("again").hidden = !state.over;
    this.#clock();
  }

  #says(state: BoardState, mine: boolean, rival: number | undefined): string {
    if (state.over) return state.winner === 0 ? "A draw." : state.winner === this.room.seat ? "You win." : `${this.#name(state, state.winner)} wins.`;
    if (this.#note) return this.#note;
    if (rival === undefined) return "Copy the link and send it to somebody: who opens it plays against you.";
    return mine ? "Your turn." : `${this.#name(state, rival)} is thinking.`;
  }

  #name(state: BoardState, seat: number, otherwise = "Your opponent"): string {
    return shownName(state.names[seat] ?? otherwise, seat);
  }

  #player(element: HTMLElement, seat: number | undefined, name: string, state: BoardState): void {
    const mark = seat === undefined ? undefined : this.#mark(seat);
    element.replaceChildren(...(mark ? [drawn(mark)] : []), make("span", "", name));
    element.classList.toggle("on", seat !== undefined && !state.over && state.turn === seat);
  }

  // The first seat plays X wherever it is looked at from.
  #mark(seat: number): "x" | "o" | undefined {
    const place = seat === 0 ? -1 : (this.room.state?.seats?.indexOf(seat) ?? -1);
    return place === 0 ? "x" : place > 0 ? "o" : undefined;
  }

  #clock(): void {
    const state = this.room.state;
    this.#stats.update(this.client, this.room, { result: state && resultOf(state, this.room.seat) });
    const clock = byId("clock");
    const running = state && !state.over && state.deadline > 0;
    const left = running ? Math.max(0, (state.deadline - state.now) / NS_PER_MS - (performance.now() - this.#arrivedAt)) : 0;
    setText(clock, running ? `${Math.ceil(left / 1000)}` : "");
    clock.classList.toggle("low", Boolean(running) && left < 5_000);
  }
}

/** How a game went for a seat, in the words of the strip at the bottom; "" while it is played. */
export function resultOf(state: BoardState, seat: number): string {
  if (!state.over) return "";
  return state.winner === 0 ? "draw" : state.winner === seat ? "you won" : "you lost";
}

function drawn(mark: "x" | "o"): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("class", `mark ${mark}`);
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(space, mark === "x" ? "path" : "circle");
  const attributes = mark === "x" ? { d: "M16 16 84 84M84 16 16 84" } : { cx: "50", cy: "50", r: "36" };
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  svg.append(shape);
  return svg;
}
