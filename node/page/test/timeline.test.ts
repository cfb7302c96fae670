import assert from "node:assert/strict";
import { test } from "node:test";
import { hashOf, placeOf, randomKey } from "../src/place.js";
import { Timeline } from "../src/timeline.js";

const at = (s: { from: number; to: number; t: number } | undefined): number => s!.from + (s!.to - s!.from) * s!.t;

test("even arrivals give even motion, a delay behind", () => {
  const line = new Timeline<number>(50);
  for (let tick = 0; tick < 20; tick++) line.push(tick, tick * 10, tick * 50);
  const positions = [0, 10, 20, 30].map((ms) => at(line.sample(900 + ms)));
  for (let i = 1; i < positions.length; i++) assert.ok(Math.abs(positions[i]! - positions[i - 1]! - 2) < 1e-6, String(positions));
  assert.ok(Math.abs(positions[0]! - (900 - line.delayMs) / 5) < 1e-6);
});

test("uneven arrivals widen the delay within its bounds", () => {
  const line = new Timeline<number>(50);
  for (let tick = 0; tick < 200; tick++) line.push(tick, tick, tick * 50 + (tick % 4) * 40);
  assert.ok(line.delayMs > 90 && line.delayMs <= 250, String(line.delayMs));
});

test("skipped states are bridged", () => {
  const line = new Timeline<number>(50);
  for (const tick of [0, 1, 2, 6]) line.push(tick, tick * 10, tick * 50);
  assert.ok(Math.abs(at(line.sample(4 * 50 + line.delayMs)) - 40) < 1e-6);
});

test("after a pause the room goes on at once instead of catching up for seconds", () => {
  const line = new Timeline<number>(50);
  for (let tick = 0; tick < 20; tick++) line.push(tick, tick, tick * 50);
  for (let tick = 20; tick < 24; tick++) line.push(tick, tick, tick * 50 + 2000);
  const shown = at(line.sample(23 * 50 + 2000));
  assert.ok(shown > 20 && shown < 23, String(shown));
});

test("looking ahead is bounded", () => {
  const line = new Timeline<number>(50);
  for (let tick = 0; tick < 5; tick++) line.push(tick, tick * 10, tick * 50);
  assert.equal(at(line.sample(10_000)), 40);
  assert.equal(at(line.sample(10_000, 40, 2)), 60);
});

test("a room's key survives the way through the URL", () => {
  for (const hash of ["#lobby", "#ttt-calm-fern-42", "#swift-otter-10"]) assert.equal(hashOf(placeOf(hash)), hash);
  assert.deepEqual(placeOf(""), { kind: "arena", key: "lobby" });
  assert.deepEqual(placeOf("#%"), { kind: "arena", key: "lobby" });
  assert.deepEqual(placeOf(hashOf({ kind: "arena", key: randomKey() })).kind, "arena");
});
