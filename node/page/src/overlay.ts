import type { Client, LeftInfo, AnyRoom } from "tickover";
import { byId, setText } from "./dom.js";

const WHY: Record<string, string> = {
  left: "You left the room.",
  kicked: "You were removed from the room.",
  ended: "The room has come to its end.",
  grace: "You were away for too long, and the seat was given up.",
  closed: "The room was closed.",
  unknown: "The room is no more.",
  session_lost: "The server does not know this session any more.",
};

const CLOSED: Record<number, string> = {
  4500: "The server did not let you in.",
  4501: "The server speaks another version: reload the page.",
  4503: "You play in another window now.",
};

/** "waiting": goes by itself, the button only makes it quicker. */
interface Card { title: string; text: string; button?: string; act?: () => void; waiting?: boolean }

/** Overlay says what is wrong with the connection, and that nothing is lost. It is the only thing that covers the game. */
export class Overlay {
  #act: (() => void) | undefined;
  #until = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #paused = false;
  #stalled = false;

  constructor() {
    byId("overlay-button").addEventListener("click", () => this.#act?.());
  }

  /** Shows what client and room are up to, or nothing when all is well. */
  show(client: Client, room: AnyRoom | undefined): void {
    if (room?.status === "left") return; // the card about that stays until it is answered
    const status = client.status;
    this.#paused = status.is === "open" && room?.status === "paused";
    this.#announce();
    if (status.is === "waiting") {
      this.#until = performance.now() + status.inMs;
      this.#timer ??= setInterval(() => this.#count(client, room !== undefined), 200);
      return this.#count(client, room !== undefined);
    }
    this.#endCount();
    if (status.is === "closed" && status.code !== 1000) {
      return this.#card({ title: "Disconnected", text: CLOSED[status.code] ?? (status.reason || `The server closed the connection (${status.code}).`), button: status.code === 4503 ? "Play here" : "Try again", act: () => location.reload() });
    }
    if (room?.status === "reconnecting") return this.#card({ title: "Connection lost", text: "Your seat is kept. Reconnecting…" });
    byId("overlay").hidden = true;
    setText(byId("live"), status.is === "open" && room ? "Connected." : "");
  }

  /** Nothing comes from the room, or it does again. */
  stalled(is: boolean): void {
    this.#stalled = is;
    this.#announce();
  }

  #announce(): void {
    byId("banner").hidden = !this.#paused && !this.#stalled;
    setText(byId("banner"), this.#paused ? "The room waits for its journal. What you do is kept and nothing is lost." : "Nothing comes from the room’s server. If it is gone, another one carries on.");
  }

  left(info: LeftInfo, back: () => void): void {
    this.#card({ title: info.why === "ended" ? "The game is over" : "You are out of the room", text: WHY[info.why] ?? info.why, button: "Back to the start", act: back });
  }

  hide(): void {
    this.#endCount();
    byId("overlay").hidden = true;
  }

  #count(client: Client, seated: boolean): void {
    const seconds = Math.ceil((this.#until - performance.now()) / 1000);
    const when = seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting…";
    const said = seated ? { title: "Connection lost", text: `Your seat is kept. ${when}` } : { title: "The server does not answer", text: when };
    this.#card({ ...said, button: "Try now", act: () => client.connect(), waiting: true });
  }

  #endCount(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #card({ title, text, button, act, waiting }: Card): void {
    this.#act = act;
    byId("overlay").hidden = false;
    byId("overlay").classList.toggle("final", act !== undefined && !waiting);
    setText(byId("overlay-title"), title);
    setText(byId("overlay-text"), text);
    // Announced once per change of what happened, not every second of the countdown.
    setText(byId("live"), `${title}. ${text.replace(/ Reconnecting in .*/, "")}`);
    const element = byId("overlay-button");
    element.hidden = !button;
    setText(element, button ?? "");
    if (button && !waiting) element.focus(); // the keys that steer should not press "Try now"
  }
}
