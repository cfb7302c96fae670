// Checked by `npm run check`, never run: what a game's types allow, and the README's example.
import { Client, type Room } from "../src/index.js";

type State = { clicks: Record<number, number> };
type Input = Record<string, never>;
type Clicker = Room<State, Input>;
type Move = { cell: number };
type Events = { winner: { seat: number } };

export async function typing(draw: (state: State, tick: number) => void, goodbye: (why: string, result: unknown) => void): Promise<void> {
  const client = new Client("ws://localhost:7777/", { name: "ann" });
  const [kept] = await client.resume();
  const room: Clicker = kept ?? (await client.joinOrCreate("clicker", "lobby"));
  room.on("state", (state, tick) => draw(state, tick));
  room.send({});
  room.on("left", ({ why, result }) => goodbye(why, result));
  // @ts-expect-error an input of another game
  room.send({ clack: true });
  // @ts-expect-error the field is not in the state
  room.on("state", (state) => state.score);
  const typed = await client.create<State, Move, Events>("board", { key: "k" });
  typed.onEvent("winner", ({ seat }) => seat.toFixed());
  // @ts-expect-error an event that there is not
  typed.onEvent("loser", () => {});
  (await typed.request<number>({ cell: 4 })).toFixed();
  // @ts-expect-error state may not have come yet
  typed.state.clicks;
  client.on("status", (s) => s.is === "waiting" && s.inMs.toFixed());
}
