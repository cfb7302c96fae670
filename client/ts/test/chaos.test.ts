import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { decodeMulti, encode } from "@msgpack/msgpack";
import { WebSocket, WebSocketServer } from "ws";
import { Client, type SocketConstructor } from "../src/index.js";
import { eventually } from "./fakeserver.js";

const INPUTS = 400;

/**
 * The server's rules for one room, and a bad network: exactly the next input is applied, every applied input gives a numbered
 * event and a reply, what is not acknowledged is kept and said again after a resume, and connections break in mid-message.
 */
class Room {
  readonly applied: number[] = [];
  cuts = 0;
  #run = 0;
  #last = 0;
  #number = 0;
  #ring: unknown[][] = [];
  #tick = 0;
  #socket: WebSocket | undefined;
  #seed = 7;

  serve(socket: WebSocket): void {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      for (const m of decodeMulti(data)) if (socket === this.#socket) this.#take(socket, m as unknown[]);
    });
  }

  #take(socket: WebSocket, m: unknown[]): void {
    if (m[0] === 1) return this.#hello(socket, m);
    if (m[0] === 2) return this.#say(socket, this.#joined(m[1] as number, 0));
    const [reliable, room] = m[0] === 4 ? [m[3] as number, m[1]] : [m[2] as number, m[1]];
    if ((m[0] !== 4 && m[0] !== 5) || room !== 1) return;
    this.#ring = this.#ring.filter((held) => (held[1] as number) > reliable);
    if (m[0] === 4) this.#input(socket, m[2] as number, m[5] as number);
  }

  #hello(socket: WebSocket, m: unknown[]): void {
    this.#run = m[2] as number;
    this.#say(socket, [16, 1, "s", `k${this.cuts}`, "p", "ann", 0, m[4] ? 1 : 0]);
    const held = (m[6] as [string, number, number][])[0];
    if (!held) return;
    this.#ring = this.#ring.filter((kept) => (kept[1] as number) > held[2]);
    this.#say(socket, this.#joined(0, 1), [19, 1, 100, this.#tick, this.#last], ...this.#ring);
  }

  #joined(request: number, outcome: number): unknown[] {
    const reliable = this.#number - this.#ring.length;
    return [17, request, 1, "r", "k", "", 7, 20, 100, this.#tick, outcome, reliable, this.#last];
  }

  #input(socket: WebSocket, number: number, value: number): void {
    if (number > this.#last + 1) return this.#say(socket, [27, 1, this.#last + 1]);
    if (number <= this.#last) return;
    if (this.#random(30) === 0) return; // overloaded: dropped, as an error would say
    this.#last = number;
    this.applied.push(value);
    const said = [[22, ++this.#number, "applied", value], [23, ++this.#number, this.#run, number, -value]];
    this.#ring.push(...said);
    if (this.#random(25) === 0) return this.#cut(socket);
    this.#say(socket, [19, 1, 100, ++this.#tick, this.#last], [20, value], ...said);
    if (this.#random(25) === 0) this.#cut(socket);
  }

  #cut(socket: WebSocket): void {
    this.cuts++;
    this.#socket = undefined;
    socket.terminate();
  }

  #say(socket: WebSocket, ...messages: unknown[][]): void {
    if (socket === this.#socket) socket.send(Buffer.concat(messages.map((m) => encode(m))));
  }

  #random(n: number): number {
    return (this.#seed = (this.#seed * 48271) % 2147483647) % n;
  }
}

test("over a breaking network every input is applied once, and every event and answer arrives once and in order", async (t) => {
  t.mock.method(Math, "random", () => 0.001); // the back-off is not what is tried here
  const room = new Room();
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  server.on("connection", (socket) => room.serve(socket));
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const client = new Client(url, { storage: null, log: () => {}, WebSocket: WebSocket as unknown as SocketConstructor });

  const seat = await client.join<number, number, { applied: number }>("r");
  const events: number[] = [];
  const answers: unknown[] = [];
  seat.onEvent("applied", (value) => events.push(value));
  for (let i = 1; i <= INPUTS; i++) {
    await eventually("room in the window", () => seat.unacknowledged < 60);
    void seat.request(i).then((answer) => answers.push(answer));
  }
  await eventually("the last answer", () => answers.length === INPUTS);
  client.close();
  for (const socket of server.clients) socket.terminate();
  server.close();

  const all = Array.from({ length: INPUTS }, (_, i) => i + 1);
  assert.deepEqual(room.applied, all);
  assert.deepEqual(events, all);
  assert.deepEqual(answers, all.map((i) => -i));
  assert.ok(room.cuts > 10, `only ${room.cuts} cuts: this tried nothing`);
  t.diagnostic(`${room.cuts} cuts, ${client.reconnects} reconnects`);
});
