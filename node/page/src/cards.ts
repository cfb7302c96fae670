import { byId, make, setText } from "./dom.js";
import type { NodePicture, Picture } from "./picture.js";

type Fault = "kill" | "freeze" | "thaw" | "drain";

const BUTTONS: { fault: Fault; text: string; title: string }[] = [
  { fault: "kill", text: "Kill −9", title: "SIGKILL: the process is gone at once, like in a crash" },
  { fault: "freeze", text: "Freeze", title: "SIGSTOP: the process stands still, and its sockets stay open" },
  { fault: "thaw", text: "Thaw", title: "SIGCONT: the process goes on where it stood, and finds its rooms elsewhere" },
  { fault: "drain", text: "Drain", title: "SIGTERM: the process hands over its rooms, and ends" },
];

const WORDS: Record<string, string> = { alive: "alive", frozen: "frozen", dead: "dead", draining: "draining", starting: "starting…" };

/** One node's card. */
class Card {
  readonly element = make("li", "node");
  readonly badges = make("div", "badges");
  readonly #word = make("span", "word");
  readonly #load = make("span", "load");
  readonly #pid = make("span", "pid");
  readonly #bar = make("i", "back");
  readonly #buttons = new Map<Fault, HTMLButtonElement>();

  constructor(readonly name: string, token: string) {
    this.element.dataset["testid"] = name;
    const head = make("div", "head");
    head.append(make("i", "dot"), make("b", "", name), this.#word, this.#load);
    const foot = make("div", "foot");
    foot.append(this.badges, this.#pid);
    this.element.append(head, foot, this.#bar);
    if (token === "view") return;
    const row = make("div", "faults");
    for (const { fault, text, title } of BUTTONS) {
      const button = make("button", fault, text) as HTMLButtonElement;
      button.type = "button";
      button.title = title;
      button.setAttribute("aria-label", `${text} ${name}`);
      button.dataset["testid"] = `${fault}-${name}`;
      button.addEventListener("pointerdown", (e) => e.preventDefault()); // the keys go on steering the ship
      button.addEventListener("click", () => void press(name, fault, token));
      this.#buttons.set(fault, button);
      row.append(button);
    }
    this.element.append(row);
  }

  update(node: NodePicture, restartMs: number): void {
    const was = this.element.dataset["state"];
    this.element.dataset["state"] = node.state;
    setText(this.#word, WORDS[node.state] ?? node.state);
    setText(this.#pid, node.pid > 0 ? `pid ${node.pid}` : "");
    setText(this.#load, loadText(node));
    if (node.state === "dead" && was !== "dead" && restartMs > 0) {
      this.#bar.getAnimations().forEach((a) => a.cancel());
      this.#bar.animate([{ transform: "scaleX(0)" }, { transform: "none" }], { duration: restartMs });
    }
    const can: Record<Fault, boolean> = { kill: node.pid > 0, freeze: node.state === "alive" || node.state === "draining", thaw: node.state === "frozen", drain: node.state === "alive" };
    for (const [fault, button] of this.#buttons) {
      button.disabled = !can[fault];
      if (fault === "thaw") button.hidden = node.state !== "frozen";
      if (fault === "freeze") button.hidden = node.state === "frozen";
    }
  }
}

/** Cards are the nodes side by side, with two badges that move between them: where the own room is, and where the own socket. */
export class Cards {
  readonly #list = byId("cluster-nodes");
  readonly #cards = new Map<string, Card>();
  readonly #room = make("span", "badge room", "your room");
  readonly #socket = make("span", "badge socket", "your socket");
  readonly #calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  constructor(private readonly token: string) {
    this.#room.title = "This node runs the room that you play in";
    this.#socket.title = "This node holds your connection";
  }

  update(picture: Picture): void {
    for (const node of picture.nodes) {
      let card = this.#cards.get(node.name);
      if (!card) {
        this.#cards.set(node.name, (card = new Card(node.name, this.token)));
        this.#list.append(card.element);
      }
      card.update(node, picture.restart_ms);
    }
  }

  /** Puts the badges where they belong; undefined: nowhere. */
  place(room: string | undefined, socket: string | undefined): void {
    this.#put(this.#room, room);
    this.#put(this.#socket, socket);
    for (const [name, card] of this.#cards) card.element.classList.toggle("mine", name === room);
  }

  #put(badge: HTMLElement, name: string | undefined): void {
    const home = name === undefined ? undefined : this.#cards.get(name)?.badges;
    if (!home) return badge.remove();
    if (badge.parentElement === home) return;
    const before = badge.isConnected ? badge.getBoundingClientRect() : undefined;
    if (badge === this.#room) home.prepend(badge);
    else home.append(badge);
    const after = badge.getBoundingClientRect();
    const from = before ? { transform: `translate(${before.x - after.x}px, ${before.y - after.y}px)` } : { opacity: 0, transform: "scale(.8)" };
    if (!this.#calm) badge.animate([from, { opacity: 1, transform: "none" }], { duration: 420, easing: "cubic-bezier(.2,.9,.25,1)" });
  }
}

export function loadText({ state, rooms, players, sockets }: NodePicture): string {
  if (state === "dead" || state === "starting") return "";
  const people = players ?? sockets;
  const count = (n: number, one: string): string => `${n} ${one}${n === 1 ? "" : "s"}`;
  return (rooms === null ? "" : `${count(rooms, "room")} · `) + count(people, "player");
}

async function press(name: string, fault: Fault, token: string): Promise<void> {
  await fetch(`cluster/nodes/${encodeURIComponent(name)}/${fault}`, { method: "POST", headers: { "X-Tickover-Token": token } }).catch(() => {});
}
