// Checked by `npm run check`, never run: what a game's types allow, and the README's example.
import { Client, type Room } from "../src/index.js";

type State = { clicks: Record<number, number> };
type Input = { click: true };
type Events = { winner: { seat: number } };
type Clicker = Room<State, Input, Events>;

export async function typing(draw: (state: State, tick: number) => void, cheer: (seat: number) => void): Promise<void> {
  const client = new Client("ws://localhost:7777/", { name: "ann" });
  const [kept] = await client.resume();
  const room: Clicker = kept ?? (await client.joinOrCreate("clicker", "lobby"));
  room.on("state", (state, tick) => draw(state, tick));
  room.onEvent("winner", ({ seat }) => cheer(seat));
  room.send({ click: true });
  const score = await room.request<number>({ click: true });
  score.toFixed();
  // @ts-expect-error an input of another game
  room.send({ clack: true });
  // @ts-expect-error an event that there is not
  room.onEvent("loser", () => {});
  // @ts-expect-error the field is not in the state
  room.on("state", (state) => state.score);
  const typed = await client.create<State, Input, Events>("clicker", { key: "k" });
  // @ts-expect-error state may not have come yet
  typed.state.clicks;
  client.on("status", (s) => s.is === "waiting" && s.inMs.toFixed());
}
