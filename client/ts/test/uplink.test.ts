import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMulti, encode } from "@msgpack/msgpack";
import { Client, type Room, type SocketConstructor, type SocketLike } from "../src/index.js";
import { eventually, joined } from "./fakeserver.js";

/** A socket without a network, whose backlog the test sets. */
class StuckSocket implements SocketLike {
  static last: StuckSocket;
  binaryType = "";
  bufferedAmount = 0;
  readyState = 1;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: Uint8Array }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly sent: unknown[][] = [];

  constructor() {
    StuckSocket.last = this;
    queueMicrotask(() => this.onopen?.());
  }

  send(data: Uint8Array): void {
    for (const message of decodeMulti(data)) this.sent.push(message as unknown[]);
  }

  close(): void {
    this.readyState = 3;
  }

  say(...messages: unknown[][]): void {
    this.onmessage?.({ data: Buffer.concat(messages.map((m) => encode(m))) });
  }

  inputs(): unknown[][] {
    return this.sent.filter((m) => m[0] === 4);
  }
}

async function play(): Promise<{ client: Client; socket: StuckSocket; room: Room<unknown, number> }> {
  const client = new Client("ws://nowhere/", { storage: null, log: () => {}, WebSocket: StuckSocket as unknown as SocketConstructor });
  const joining = client.join<unknown, number>("r1");
  const socket = StuckSocket.last;
  await eventually("the hello", () => socket.sent.length === 1);
  socket.say([16, 1, "s", "k", "p", "ann", 0, 0]);
  await eventually("the join", () => socket.sent.length >= 2);
  socket.say(joined({ request: 1 }));
  return { client, socket, room: await joining };
}

test("while the network takes nothing, only the newest input waits", async () => {
  // A slow uplink otherwise queues seconds of old steering in front of the newest and of every pong.
  const { client, socket, room } = await play();
  socket.bufferedAmount = 70_000;
  room.send(1);
  for (let i = 2; i <= 40; i++) room.send(i, { latest: true });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(socket.inputs(), []);
  socket.bufferedAmount = 0;
  await eventually("the inputs", () => socket.inputs().length === 2);
  assert.deepEqual(socket.inputs().map((m) => [m[2], m[5]]), [[1, 1], [2, 40]]);
  client.close();
});

test("two seconds without an acknowledgement send the inputs again", async () => {
  const { client, socket, room } = await play();
  room.send(7);
  await eventually("the first sending", () => socket.inputs().length === 1);
  await eventually("the second", () => socket.inputs().length === 2);
  assert.deepEqual(socket.inputs()[0], socket.inputs()[1]);
  client.close();
});

test("nothing is sent or called after close", async () => {
  const { client, socket, room } = await play();
  const handler = socket.onmessage;
  let states = 0;
  room.on("state", () => states++);
  client.close();
  const sent = socket.sent.length;
  handler?.({ data: Buffer.concat([encode([19, 1, 100, 9, 0]), encode([20, 1])]) });
  room.send(1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([states, socket.sent.length, client.status.is], [0, sent, "closed"]);
});
