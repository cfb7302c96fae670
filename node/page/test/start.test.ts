import assert from "node:assert/strict";
import { test } from "node:test";
import { shownName } from "../src/names.js";
import { listText, snippet } from "../src/served.js";

test("guests without a name are told apart by their seats", () => {
  assert.deepEqual([shownName("pilot", 3), shownName("guest", 4), shownName("ann", 5)], ["pilot 3", "pilot 4", "ann"]);
});

test("a server without the two games says what it has and how to join it", () => {
  assert.equal(listText([{ name: "clicker", seats: 20 }, { name: "solo", seats: 1 }]), "clicker (20 seats), solo (1 seat)");
  assert.equal(snippet('a"b', "ws://x/").split("\n")[1], 'const room = await new Client("ws://x/").joinOrCreate("a\\"b", "lobby");');
});
