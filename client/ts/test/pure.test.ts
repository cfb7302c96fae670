import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../src/allowance.js";
import { Attempts } from "../src/attempts.js";
import { Heartbeat } from "../src/heartbeat.js";
import { KeepsakeStore } from "../src/keepsake.js";
import { Receipts } from "../src/receipts.js";
import { afterClose, backoffMs, waitMs, wakeMs } from "../src/reconnect.js";
import { memoryStorage } from "./fakeserver.js";

test("back-off doubles up to twenty seconds with full jitter, or to five while a seat is held", () => {
  const bounds = (seated: boolean): number[] => [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, seated, 0.999999) + 1);
  assert.deepEqual(bounds(false), [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
  assert.deepEqual(bounds(true), [500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
  assert.equal(backoffMs(9, true, 0), 0);
  assert.ok(wakeMs(0) === 0 && wakeMs(0.999999) < 250);
});

test("close codes are taken by their ranges", () => {
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1014, 4000, 4009, 4013, 4499, 3002]) assert.equal(afterClose(code), "reconnect", String(code));
  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4500, 4503, 4999]) assert.equal(afterClose(code), "stop", String(code));
  assert.equal(afterClose(4504), "new_session");
  assert.ok(waitMs(4504, 0, false, 0.99) < 100 && waitMs(4504, 3, false, 0.99) > 1000, "a second one in a row waits like any other");
});

test("numbers of hellos follow the clock, and grow when it does not", () => {
  const a = new Attempts();
  assert.deepEqual([50, 50, 20, 70, -1].map((ms) => a.next(ms)), [50, 51, 52, 70, 71]);
});

test("reliable messages pass once and in order", () => {
  const r = new Receipts(3);
  assert.equal(r.take(3), "duplicate");
  assert.equal(r.take(4), "next");
  assert.equal(r.take(6), "gap");
  assert.equal(r.reliable, 4);
});

test("after a snapshot the stream goes on behind its number, higher or lower", () => {
  const r = new Receipts(9);
  assert.equal(r.resume(12, true), true);
  assert.equal(r.take(13), "next");
  assert.equal(r.resume(4, true), false);
  assert.equal(r.take(5), "next");
});

test("an acknowledgement is due once for something new, and at most every 100 ms", () => {
  const r = new Receipts();
  assert.equal(r.due(0), false);
  r.sawState(5);
  assert.equal(r.due(0), true);
  r.sent(0);
  assert.equal(r.due(1000), false);
  r.sawState(6);
  assert.equal(r.due(99), false);
  assert.equal(r.due(100), true);
});

test("pings come after five seconds of own silence, or every two seconds in a room", () => {
  const h = new Heartbeat(0);
  assert.equal(h.check(50, true), "ping"); // the first is due at once
  assert.equal(h.check(1900, true), "fine");
  assert.equal(h.check(2060, true), "ping");
  h.heard(2100);
  assert.equal(h.check(6900, false), "fine");
  assert.equal(h.check(7070, false), "ping");
});

test("fifteen seconds without a message are a dead connection", () => {
  const h = new Heartbeat(0);
  for (let now = 0; now < 15_000; now += 100) assert.notEqual(h.check(now, true), "dead");
  assert.equal(h.check(15_000, true), "dead");
});

test("a page that slept asks before it gives the connection up", () => {
  // Timers of hidden pages come once a minute; killing a good connection each time would lose the game.
  const h = new Heartbeat(0);
  h.check(0, false);
  assert.equal(h.check(60_000, false), "ping");
  assert.equal(h.check(62_000, false), "fine");
  for (let now = 62_100; now < 65_000; now += 100) assert.notEqual(h.check(now, false), "dead");
  assert.equal(h.check(65_000, false), "dead");
});

test("the server's clock is taken from the quickest recent ping", () => {
  const h = new Heartbeat(0);
  h.welcome(1_000_000, 10);
  assert.equal(h.offsetMs, 999_990);
  h.pong(Heartbeat.stamp(100), 1_000_150, 200); // 100 ms there and back
  assert.equal(h.rttMs, 100);
  assert.equal(h.offsetMs, 1_000_000);
  h.pong(Heartbeat.stamp(300), 1_000_400, 800); // a slow one teaches nothing
  assert.equal(h.offsetMs, 1_000_000);
});

test("a burst is spread below the server's rate limit", () => {
  const a = new Allowance(0);
  let sent = 0;
  for (let now = 0; now <= 1000; now += 50) {
    const n = a.left(now);
    a.spend(n);
    sent += n;
  }
  assert.ok(sent <= 180, `${sent} in the first second`);
  assert.ok(sent > 100);
});

test("a broken, full or missing storage costs the resume, not the game", () => {
  const broken = { getItem: () => "{", setItem: () => { throw new Error("full"); }, removeItem: () => { throw new Error("no"); } };
  const store = new KeepsakeStore("ws://x/", broken);
  assert.equal(store.load(), undefined);
  store.save({ session: "s", secret: "k", rooms: [] });
  store.forget();
  assert.equal(new KeepsakeStore("ws://x/", null).load(), undefined);
  const storage = memoryStorage();
  new KeepsakeStore("ws://x/", storage).save({ session: "s", secret: "k", rooms: ["r"] });
  assert.deepEqual(new KeepsakeStore("ws://x/", storage).load(), { session: "s", secret: "k", rooms: ["r"] });
  assert.equal(new KeepsakeStore("ws://y/", storage).load(), undefined); // another server's secret stays there
});
