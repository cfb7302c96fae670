import assert from "node:assert/strict";
import { test } from "node:test";
import { lengthOf, Silence } from "../src/silence.js";

// A page that looks well while nothing comes leaves its player to guess, and one that complains of each late tick is believed never.
test("a room has stalled when its ticks stay away for longer than a quiet one's may", () => {
  const s = new Silence(0);
  s.heard(10, 1, 7);
  s.heard(500, 1, 7);
  assert.deepEqual([710, 711].map((now) => s.stalled(now)), [false, true]);
  s.heard(720, 2, 7);
  assert.equal(s.stalled(1000), false);
});

// The pause that is told is the one that was felt: from the last tick of the old server to the first of the new one.
test("the first tick of another server tells how long the pause was", () => {
  const s = new Silence(0);
  assert.equal(s.heard(100, 40, 7), undefined);
  assert.equal(s.heard(400, 41, 7), undefined);
  assert.equal(s.heard(580, 41, 8), 180);
  assert.equal(s.heard(600, 41, 8), undefined);
  assert.equal(s.heard(650, 42, 8), undefined);
  assert.deepEqual([180.4, 994, 995, 1840].map(lengthOf), ["180 ms", "994 ms", "1.0 s", "1.8 s"]);
});
