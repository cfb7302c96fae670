import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "@msgpack/msgpack";
import { ProtocolError } from "../src/index.js";
import * as protocol from "../src/protocol.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const back = (...messages: unknown[][]): Uint8Array => Buffer.concat(messages.map((m) => encode(m)));

test("an input is an array of six whose last field is the value's own bytes", () => {
  // The header byte is patched by hand: a wrong count would shift every message behind it.
  const bytes = protocol.encodeInput(1, 2, 3, 4, protocol.encodeValue({ fire: true }));
  assert.equal(hex(bytes), "960401020304" + "81a466697265c3");
});

test("every client message decodes to the fields of the table", () => {
  assert.deepEqual(decode(protocol.encodeHello({ run: 9, token: "ann", session: "s", secret: "k", rooms: [["r", 3, 8]], attempt: 2 ** 53 - 1 })), [1, 1, 9, "ann", "s", "k", [["r", 3, 8]], 2 ** 53 - 1]);
  assert.deepEqual(decode(protocol.encodeJoin(1, protocol.JoinMode.JoinOrCreate, "arena", "lobby", { bots: 50 })), [2, 1, 2, "arena", "lobby", { bots: 50 }]);
  assert.deepEqual(decode(protocol.encodeJoin(1, protocol.JoinMode.Room, "", "id", undefined)), [2, 1, 0, "", "id", null]);
  assert.deepEqual(decode(protocol.encodeLeave(2, 1)), [3, 2, 1]);
  assert.deepEqual(decode(protocol.encodeAck(1, 2, 3)), [5, 1, 2, 3]);
  assert.deepEqual(decode(protocol.encodePing(123456789)), [6, 123456789]);
});

test("missing fields read as zero and unknown ones are ignored", () => {
  // Without this, client and server could never be upgraded one after the other.
  assert.deepEqual(protocol.decodeServer(back([18, 1, 2])), [{ type: "left", request: 1, room: 2, why: "", result: null }]);
  assert.deepEqual(protocol.decodeServer(back([26, 1, 2, "new", { more: 1 }])), [{ type: "pong", time: 1, now: 2 }]);
});

test("one WebSocket message may hold many messages", () => {
  const list = protocol.decodeServer(back([19, 1, 100, 5, 3], [20, { x: 1 }], [22, 1, "down", [1, 2]]));
  assert.deepEqual(list.map((m) => m.type), ["tick", "state", "event"]);
});

test("64-bit unsigned numbers up to 2^53-1 are numbers", () => {
  // A Go server writes epochs as uint64 whatever their size.
  const bytes = Buffer.concat([Buffer.from([0x95, 19, 1, 0xcf]), Buffer.from("0000019aa0000000", "hex"), Buffer.from([5, 0])]);
  assert.deepEqual(protocol.decodeServer(bytes), [{ type: "tick", room: 1, epoch: 0x19aa0000000, tick: 5, applied: 0 }]);
  const tooLarge = Buffer.concat([Buffer.from([0x95, 19, 1, 0xcf]), Buffer.from("0020000000000000", "hex"), Buffer.from([5, 0])]);
  assert.throws(() => protocol.decodeServer(tooLarge), ProtocolError);
});

test("a message cut at any byte is a ProtocolError, never another exception and never half a message", () => {
  const whole = back([17, 1, 1, "r1", "arena", "lobby", 7, 20, 1700000000000, 5, 0, 0, 0]);
  for (let length = 0; length < whole.length; length++) assert.throws(() => protocol.decodeServer(whole.subarray(0, length)), ProtocolError);
});

test("garbage, wrong types and unknown types are ProtocolErrors", () => {
  const bad: Uint8Array[] = [back([99]), back([16, "one"]), back([19, 1, -5]), back([19, 1, 1.5]), encode({ a: 1 }), Buffer.from([0xc1]), Buffer.from([0x91, 0xd4, 5, 1]), encode("text")];
  for (const bytes of bad) assert.throws(() => protocol.decodeServer(bytes), ProtocolError, hex(bytes));
  let seed = 1;
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from({ length: 1 + (round % 40) }, () => (seed = (seed * 48271) % 2147483647) & 0xff);
    try {
      protocol.decodeServer(bytes);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, `${hex(bytes)}: ${String(error)}`);
    }
  }
});

test("a value that the server could not take is refused before it gets a number", () => {
  assert.throws(() => protocol.encodeValue("x".repeat(17_000)), RangeError);
  let deep: unknown = 1;
  for (let i = 0; i < 14; i++) deep = [deep];
  assert.throws(() => protocol.encodeValue(deep));
});
