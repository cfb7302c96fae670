import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox, STALL_MS, WINDOW } from "../src/outbox.js";

const value = (n: number): Uint8Array => Uint8Array.of(n & 0xff);
const numbers = (entries: { number: number }[]): number[] => entries.map((e) => e.number);

test("inputs are numbered from one and sent once", () => {
  const box = new Outbox();
  assert.equal(box.push(value(1)), 1);
  assert.equal(box.push(value(2)), 2);
  assert.deepEqual(numbers(box.take(0, 100)), [1, 2]);
  assert.deepEqual(numbers(box.take(1, 100)), []);
});

test("an input is kept until it is acknowledged and resent after a resume", () => {
  // Without it an input on its way when the node died would be lost.
  const box = new Outbox();
  for (let i = 1; i <= 3; i++) box.push(value(i));
  box.take(0, 100);
  box.acknowledge(2, 10);
  box.resendAll(20);
  assert.deepEqual(numbers(box.take(20, 100)), [3]);
  assert.equal(box.size, 1);
});

test("two seconds without progress send everything again, progress does not", () => {
  const box = new Outbox();
  box.push(value(1));
  box.push(value(2));
  box.take(0, 100);
  assert.deepEqual(numbers(box.take(STALL_MS - 1, 100)), []);
  box.acknowledge(1, STALL_MS - 1);
  assert.deepEqual(numbers(box.take(STALL_MS, 100)), []);
  assert.deepEqual(numbers(box.take(2 * STALL_MS - 1, 100)), [2]);
});

test("an idle outbox does not count idleness as a stall", () => {
  const box = new Outbox();
  box.push(value(1));
  box.take(0, 100);
  box.acknowledge(1, 10);
  box.push(value(2));
  assert.deepEqual(numbers(box.take(60_000, 100)), [2]);
  assert.deepEqual(numbers(box.take(60_100, 100)), []);
});

test("the 257th unacknowledged input is refused", () => {
  const box = new Outbox();
  for (let i = 1; i <= WINDOW; i++) assert.equal(box.push(value(i)), i);
  assert.equal(box.push(value(0)), 0);
  box.acknowledge(1, 0);
  assert.equal(box.push(value(0)), WINDOW + 1);
});

test("a resend request goes back to its number, and to a forgotten one it cannot", () => {
  const box = new Outbox();
  for (let i = 1; i <= 5; i++) box.push(value(i));
  box.take(0, 100);
  box.acknowledge(2, 0);
  assert.equal(box.resendFrom(4, 1), true);
  assert.deepEqual(numbers(box.take(1, 100)), [4, 5]);
  assert.equal(box.resendFrom(2, 2), false);
});

test("of newest-only inputs that could not be sent only the last gets a number", () => {
  // Otherwise a second of steering would queue behind a slow uplink and be played late.
  const box = new Outbox();
  for (let i = 0; i < 50; i++) box.pushLatest(value(i));
  assert.equal(box.size, 0);
  const sent = box.take(0, 100);
  assert.deepEqual(sent.map((e) => [e.number, e.value[0]]), [[1, 49]]);
});

test("a reliable input does not overtake the newest-only one before it", () => {
  const box = new Outbox();
  box.pushLatest(value(10));
  assert.equal(box.push(value(11)), 2);
  assert.deepEqual(box.take(0, 100).map((e) => e.value[0]), [10, 11]);
});

test("newest-only inputs leave most of the window to reliable ones", () => {
  const box = new Outbox();
  for (let i = 0; i < 500; i++) {
    box.pushLatest(value(i));
    box.take(0, 100);
  }
  assert.equal(box.size, WINDOW / 4);
  assert.ok(box.push(value(1)) > 0);
});

test("take keeps to its limit and goes on where it stopped", () => {
  const box = new Outbox();
  for (let i = 1; i <= 5; i++) box.push(value(i));
  assert.deepEqual(numbers(box.take(0, 2)), [1, 2]);
  assert.deepEqual(numbers(box.take(0, 0)), []);
  assert.deepEqual(numbers(box.take(0, 9)), [3, 4, 5]);
});

test("acknowledgements of the past and of the future change nothing", () => {
  const box = new Outbox();
  box.push(value(1));
  assert.equal(box.acknowledge(0, 0), true);
  assert.equal(box.acknowledge(9, 0), false);
  assert.equal(box.size, 1);
});

test("whatever is lost, the server applies every reliable input once and in order", () => {
  // A random walk of losses, resends and reconnects against the server's rule "exactly last+1 is applied".
  let seed = 20261122;
  const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 200; round++) {
    const box = new Outbox();
    const applied: number[] = [];
    let given = 0;
    for (let now = 0; given < 60 || box.size > 0; now += 50) {
      if (given < 60 && box.push(value(given + 1)) > 0) given++;
      for (const e of box.take(now, 1 + random(8))) {
        if (random(5) === 0) continue; // lost on the way
        if (e.number === applied.length + 1) applied.push(e.value[0]!);
        else if (e.number > applied.length && random(2) === 0) assert.ok(box.resendFrom(applied.length + 1, now));
      }
      if (random(3) === 0) box.acknowledge(applied.length, now);
      if (random(40) === 0) box.resendAll(now);
      assert.ok(now < 600_000, "no progress");
    }
    assert.deepEqual(applied, Array.from({ length: 60 }, (_, i) => i + 1));
  }
});
