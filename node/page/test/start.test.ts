import assert from "node:assert/strict";
import { test } from "node:test";
import { shownName } from "../src/names.js";
import { complaintOf, hashOf, placeOf } from "../src/place.js";
import { listText, snippet } from "../src/served.js";
import { resultOf } from "../src/tictactoe.js";

test("guests without a name are told apart by their seats", () => {
  assert.deepEqual([shownName("pilot", 3), shownName("guest", 4), shownName("ann", 5)], ["pilot 3", "pilot 4", "ann"]);
});

test("a server without the two games says what it has and how to join it", () => {
  assert.equal(listText([{ name: "clicker", seats: 20 }, { name: "solo", seats: 1 }]), "clicker (20 seats), solo (1 seat)");
  assert.equal(snippet('a"b', "ws://x/").split("\n")[1], 'const room = await new Client("ws://x/").joinOrCreate("a\\"b", "lobby");');
});

// A name that the server refuses must not become another room's by losing some of its letters.
test("a link to a room that no server takes says so, and leads to the lobby", () => {
  for (const place of [{ kind: "arena", key: "Amber-bay_1.2" }, { kind: "tictactoe", key: "x".repeat(64) }] as const) {
    assert.deepEqual(placeOf(hashOf(place)), place);
    assert.equal(complaintOf(hashOf(place)), "");
  }
  for (const hash of ["#gr%C3%BC%C3%9Fe", "#ttt-größe", "#two words", "#50%", "#<b>x", `#${"x".repeat(65)}`]) {
    assert.deepEqual(placeOf(hash), { kind: "arena", key: "lobby" });
    assert.match(complaintOf(hash), /no room “.{1,41}”.*1 to 64/);
  }
  assert.match(complaintOf("#gr%C3%BC%C3%9Fe"), /“grüße”/);
  assert.deepEqual([placeOf(""), complaintOf("")], [{ kind: "arena", key: "lobby" }, ""]);
});

// "left", as the room says when it has ended, sounds as if one had run away.
test("the strip tells how a finished board went", () => {
  const state = { board: [], seats: [1, 2], names: {}, turn: 0, winner: 2, over: true, line: null, deadline: 0, now: 0 };
  assert.deepEqual([resultOf(state, 1), resultOf(state, 2), resultOf({ ...state, winner: 0 }, 1)], ["you lost", "you won", "draw"]);
  assert.equal(resultOf({ ...state, winner: 0, over: false }, 1), "");
});
