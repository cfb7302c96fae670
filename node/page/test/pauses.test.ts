import assert from "node:assert/strict";
import { test } from "node:test";
import { loadText } from "../src/cards.js";
import { Pauses, pauseText } from "../src/pauses.js";

const TICK = 50;

/** Frames every tick from one time to another. */
function play(p: Pauses, from: number, to: number, epoch: number): void {
  for (let at = from; at <= to; at += TICK) p.frame(at, at / TICK, epoch);
}

// A pause that is counted from when the fault is heard of is too short by what came before.
test("a pause is the longest silence around a fault, with the tick that ran", () => {
  const p = new Pauses();
  play(p, 0, 1000, 1);
  p.fault(1030, "node-1", "killed");
  play(p, 1400, 3000, 2);
  const [f] = p.faults;
  assert.deepEqual([f!.ms, f!.tick, f!.open], [400, 20, true]);
  assert.deepEqual(p.takeovers, [{ at: 1400, epoch: 2 }]);
  assert.deepEqual(pauseText(f!, TICK), { text: "400 ms", level: "warn" });
  assert.deepEqual(["good", "warn", "bad"], [150, 1499, 1500].map((ms) => pauseText({ ...f!, ms }, TICK).level));
});

test("a silence counts while it lasts, and later ones are another fault's", () => {
  const p = new Pauses();
  play(p, 0, 1000, 1);
  p.fault(1010, "node-2", "frozen");
  p.pass(3000);
  assert.equal(p.faults[0]!.ms, 2000);
  assert.equal(p.silentFor(3000), 2000);
  play(p, 3500, 9000, 2);
  p.fault(9010, "node-3", "killed");
  play(p, 9050, 20_000, 2);
  play(p, 26_000, 26_100, 2);
  assert.deepEqual(p.faults.map((f) => [f.ms, f.open]), [[2500, false], [50, false]]);
  assert.deepEqual(p.faults.map((f) => pauseText(f, TICK).text), ["2500 ms", "50 ms"]);
});

// Whoever kills three nodes in a row wants to know of each what it did.
test("a fault's pause is not that of the next one", () => {
  const p = new Pauses();
  play(p, 0, 1000, 1);
  p.fault(1010, "node-1", "killed");
  play(p, 1300, 4000, 2);
  p.fault(4010, "node-2", "killed");
  p.fault(4300, "node-3", "killed"); // while the last one is felt
  play(p, 4800, 6000, 3);
  assert.deepEqual(p.faults.map((f) => f.ms), [300, 800, 800]);
});

test("what happens outside a room, or before one, is no pause in it", () => {
  const p = new Pauses();
  p.fault(0, "node-1", "killed");
  play(p, 5000, 6000, 1);
  p.fault(6010, "node-1", "killed");
  p.forget();
  play(p, 9000, 9500, 1);
  assert.deepEqual(p.faults.map((f) => [f.tick, f.ms]), [[undefined, 0], [120, 0]]);
  assert.equal(pauseText(p.faults[0]!, TICK).text, "");
  assert.deepEqual(p.takeovers, []);
});

test("nothing grows for ever", () => {
  const p = new Pauses();
  for (let at = 0; at < 200_000; at += 8) p.frame(at, at, at);
  for (let i = 0; i < 50; i++) p.fault(200_000 + i, "node-1", "killed");
  p.pass(200_000);
  assert.ok(p.frames.length <= 4096 && p.takeovers.length < 4096 && p.faults.length === 8);
});

test("a card says what is known, and nothing of the dead", () => {
  const node = { name: "node-1", state: "alive", pid: 1, starts: 1, boot: null, rooms: null, players: null, sockets: 1 } as const;
  assert.equal(loadText(node), "1 player");
  assert.equal(loadText({ ...node, rooms: 1, players: 0 }), "1 room · 0 players");
  assert.equal(loadText({ ...node, state: "dead" }), "");
});
