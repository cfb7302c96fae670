import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Backpressure, Client, Interrupted, Refusal, type Room } from "../src/index.js";
import { bounded, eventually, FakeServer, joined, memoryStorage, newClient, type Peer } from "./fakeserver.js";

type State = { x: number };
type Input = { dx: number };
type Events = { down: { seat: number }; late: number };
type Game = Room<State, Input, Events, string>;

let server: FakeServer;
let clients: Client[] = [];

beforeEach(async () => {
  server = await FakeServer.listen();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
});

function connect(options = {}): Client {
  const client = newClient(server, options);
  clients.push(client);
  return client;
}

async function play(client = connect(), fields = {}): Promise<{ client: Client; peer: Peer; room: Game }> {
  const joining = client.joinOrCreate<State, Input, Events, string>("arena", "lobby", { bots: 3 });
  const peer = await server.welcome();
  const [, request] = (await peer.expect(2)) as [number, number];
  peer.say(joined({ request, ...fields }), [19, 1, 100, 5, 0], [20, { x: 1 }]);
  return { client, peer, room: await joining };
}

/** Cuts the connection and plays the server's side of the resume. */
async function resume(peer: Peer, fields: Parameters<typeof joined>[0]): Promise<Peer> {
  peer.drop();
  const next = await server.welcome("s1", "k2", 1);
  next.say(joined({ outcome: 1, ...fields }));
  return next;
}

test("joining gives a room with its seat and first state", async () => {
  const { client, peer, room } = await play();
  assert.deepEqual(peer.hello.slice(0, 2), [1, 1]);
  assert.deepEqual(peer.hello.slice(3, 7), ["ann", "", "", []]);
  assert.deepEqual([room.id, room.seat, room.rate, room.tick, room.epoch, room.state], ["r1", 7, 20, 5, 100, { x: 1 }]);
  assert.equal(client.status.is, "open");
  assert.deepEqual(client.rooms, [room]);
});

test("a refused join rejects with the code and the wait", async () => {
  const joining = connect().create("arena", { key: "k" });
  const peer = await server.welcome();
  assert.deepEqual(await peer.expect(2), [2, 1, 1, "arena", "k", null]);
  peer.say([25, 1, "key_taken", "there is one", 250]);
  await assert.rejects(joining, (e: Refusal) => e instanceof Refusal && e.code === "key_taken" && e.retryAfterMs === 250);
});

test("a request resolves with its reply, with undefined, or rejects with its refusal", async () => {
  const { peer, room } = await play();
  const [a, b, c] = [room.request({ dx: 1 }), room.request({ dx: 2 }), room.request({ dx: 3 })];
  c.catch(() => {});
  const run = peer.hello[2];
  assert.deepEqual(await peer.expect(4), [4, 1, 1, 0, 5, { dx: 1 }]);
  peer.say([19, 1, 100, 6, 3], [23, 1, run, 1, "yes"], [24, 2, run, 3, "bad_cell", "taken"]);
  assert.equal(await a, "yes");
  assert.equal(await b, undefined);
  await assert.rejects(c, (e: Refusal) => e.code === "bad_cell" && e.message === "taken");
  assert.equal(room.unacknowledged, 0);
});

test("the answers of another run are not taken for this one's", async () => {
  // After a reload the old page's answers still arrive; its input numbers are the same as ours.
  const { peer, room } = await play();
  const answer = room.request({ dx: 1 });
  await peer.expect(4);
  peer.say([19, 1, 100, 6, 0], [23, 1, ((peer.hello[2] as number) ^ 1) >>> 0, 1, "not yours"]);
  peer.say([19, 1, 100, 7, 1], [23, 2, peer.hello[2], 1, "yours"]);
  assert.equal(await answer, "yours");
});

test("events of the joining message wait for the first listener", async () => {
  const client = connect();
  const joining = client.joinOrCreate<State, Input, Events>("arena", "lobby");
  const peer = await server.welcome();
  await peer.expect(2);
  peer.say(joined({ request: 1 }), [19, 1, 100, 5, 0], [22, 1, "down", { seat: 3 }], [22, 2, "late", 9]);
  const room = await joining;
  const heard: unknown[] = [];
  room.onEvent("down", (v) => heard.push(v.seat));
  room.on("event", (name, v) => heard.push([name, v]));
  await eventually("the events", () => heard.length === 3);
  assert.deepEqual(heard, [["down", { seat: 3 }], 3, ["late", 9]]);
});

test("a new listener is called at once with the newest state and private value, and only once", async () => {
  // A board that nobody moves on sends nothing: without this a late listener would draw an empty page.
  const { peer, room } = await play();
  peer.say([19, 1, 100, 6, 0], [20, { x: 2 }], [21, "yours"]);
  await eventually("the private value", () => room.private === "yours");
  const heard: unknown[] = [];
  room.on("state", (state, tick) => heard.push(state.x, tick));
  room.on("private", (value, tick) => heard.push(value, tick));
  room.on("state", () => heard.push("never"))();
  assert.deepEqual(heard, [], "not before on() has returned");
  await Promise.resolve();
  assert.deepEqual(heard, [2, 6, "yours", 6]);
  // Added while one state is handed out, with a newer one in the same message: it hears the newer one alone.
  const late: number[] = [];
  let added = false;
  room.on("state", ({ x }) => {
    if (x === 3 && !added) added = Boolean(room.on("state", (state) => late.push(state.x)));
  });
  peer.say([19, 1, 100, 7, 0], [20, { x: 3 }], [19, 1, 100, 8, 0], [20, { x: 4 }]);
  await eventually("the newest state", () => late.length > 0);
  peer.say([19, 1, 100, 9, 0], [20, { x: 5 }]);
  await eventually("the next state", () => room.tick === 9);
  assert.deepEqual(late, [4, 5]);
});

test("connect() cuts the back-off short", async (t) => {
  t.mock.method(Math, "random", () => 0.999); // the first wait is half a second then; a second one is longer than the test's patience
  const { client, peer, room } = await play();
  for (const wait of [500, 1_000, 2_000]) {
    (wait === 500 ? peer : await server.accept()).drop();
    await eventually("the wait", () => client.status.is === "waiting" && client.status.inMs > wait * 0.9);
    client.connect();
    assert.equal(client.status.is, "connecting");
  }
  const next = await server.welcome("s1", "k2", 1);
  next.say(joined({ outcome: 1 }));
  await eventually("the seat", () => room.status === "playing");
});

test("the network's or the page's return ends the wait", async (t) => {
  // A laptop that wakes up should not sit out the back-off of its sleep.
  t.mock.method(Math, "random", () => 0.999);
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const window = new EventTarget();
  Object.assign(globalThis, { document: page, window });
  t.after(() => { Object.assign(globalThis, { document: undefined, window: undefined }); });
  const { client, peer } = await play();
  let last = peer;
  for (const back of [() => window.dispatchEvent(new Event("online")), () => page.dispatchEvent(new Event("visibilitychange"))]) {
    for (;;) {
      last.drop();
      await eventually("the wait", () => client.status.is === "waiting");
      if (client.status.is === "waiting" && client.status.inMs > 900) break;
      client.connect();
      last = await server.accept();
    }
    const at = performance.now();
    back();
    last = await server.accept();
    assert.ok(performance.now() - at < 700, "the whole back-off was waited for");
  }
});

test("a lost connection is resumed with the seat, and nothing is applied or heard twice", async () => {
  const { client, peer, room } = await play();
  const heard: unknown[] = [];
  const notices: string[] = [];
  room.on("event", (_, value) => heard.push(value));
  room.on("status", (notice) => notices.push(notice));
  peer.say([19, 1, 100, 6, 0], [22, 1, "late", 1], [22, 2, "late", 2]);
  await eventually("two events", () => heard.length === 2);
  for (const dx of [1, 2, 3]) assert.equal(room.send({ dx }), true);
  await peer.expect(4);
  peer.say([19, 1, 100, 7, 1]);
  await eventually("the acknowledgement", () => room.unacknowledged === 2);

  const next = await resume(peer, { room: 9, reliable: 1, applied: 2, tick: 8 });
  assert.deepEqual(next.hello.slice(3, 7), ["ann", "s1", "k1", [["r1", 7, 2]]]);
  assert.equal(next.hello[2], peer.hello[2], "the run stays");
  assert.deepEqual((await next.expect(4)).slice(0, 3), [4, 9, 3]);
  next.say([19, 9, 101, 8, 3], [20, { x: 2 }], [22, 2, "late", 2], [22, 3, "late", 3]);
  await eventually("the third event", () => heard.length === 3);
  assert.deepEqual(heard, [1, 2, 3]);
  assert.deepEqual(notices, ["reconnecting", "resumed"]);
  assert.deepEqual([client.reconnects, room.epoch, room.unacknowledged, room.state], [1, 101, 0, { x: 2 }]);
});

test("a snapshot outcome tells the game and ends requests whose answers were lost", async () => {
  const { peer, room } = await play();
  const answer = room.request({ dx: 1 });
  answer.catch(() => {});
  await peer.expect(4);
  const notices: string[] = [];
  room.on("status", (notice) => notices.push(notice));
  const next = await resume(peer, { outcome: 2, reliable: 40, applied: 1 });
  await assert.rejects(answer, (e: Interrupted) => e.why === "answer_lost");
  const heard: unknown[] = [];
  room.on("event", (_, value) => heard.push(value));
  next.say([19, 1, 100, 9, 1], [22, 41, "late", 41]);
  await eventually("the stream to go on", () => heard.length === 1);
  assert.deepEqual(notices, ["reconnecting", "snapshot"]);
});

test("an answer that is resent after the resume still reaches its request", async () => {
  // The joined already covers the input: resolving at once would turn the reply into undefined.
  const { peer, room } = await play();
  const answer = room.request({ dx: 1 });
  await peer.expect(4);
  const next = await resume(peer, { reliable: 0, applied: 1 });
  next.say([19, 1, 100, 9, 1], [20, { x: 1 }], [23, 1, peer.hello[2], 1, "late but yours"]);
  assert.equal(await answer, "late but yours");
});

test("an unanswered join is sent again under the same number", async () => {
  const joining = connect().joinOrCreate("arena", "lobby");
  const peer = await server.welcome();
  assert.deepEqual(await peer.expect(2), [2, 1, 2, "arena", "lobby", null]);
  peer.drop();
  const next = await server.welcome("s1", "k2", 1);
  next.say(joined({ room: 1 }));
  assert.deepEqual(await next.expect(2), [2, 1, 2, "arena", "lobby", null]);
  next.say(joined({ room: 1, request: 1 }));
  assert.equal((await joining).seat, 7);
});

test("an unanswered leave is sent again with the room's new number", async () => {
  const { client, peer, room } = await play();
  const leaving = room.leave();
  assert.deepEqual(await peer.expect(3), [3, 2, 1]);
  const next = await resume(peer, { room: 4 });
  assert.deepEqual(await next.expect(3), [3, 2, 4]);
  next.say([18, 2, 4, "left", null]);
  await leaving;
  assert.deepEqual([room.status, client.rooms.length, room.send({ dx: 1 })], ["left", 0, false]);
});

test("a reliable gap makes the client reconnect instead of going on", async () => {
  const { peer, room } = await play();
  const heard: unknown[] = [];
  room.on("event", (_, value) => heard.push(value));
  peer.say([19, 1, 100, 6, 0], [22, 2, "late", 2]);
  assert.equal(await bounded("the close", peer.closed), 3003);
  const next = await server.welcome("s1", "k2", 1);
  assert.deepEqual(next.hello[6], [["r1", 7, 0]]);
  assert.deepEqual(heard, []);
});

test("malformed messages of every sort lead to a reconnect and to no exception", async () => {
  const { peer, client } = await play();
  let last = peer;
  for (const bad of [Buffer.from([0xc1]), "text", Buffer.from([0x92, 20])]) {
    last.raw(bad);
    assert.equal(await bounded("the close", last.closed), 3002);
    last = await server.welcome("s1", "k", 1);
    last.say(joined({ outcome: 1 }));
  }
  await eventually("three reconnects", () => client.reconnects === 3);
});

test("a listener that throws does not cost the connection", async () => {
  const { peer, room } = await play();
  room.on("state", () => { throw new Error("a bug of the game"); });
  const seen: number[] = [];
  room.on("state", (_, tick) => seen.push(tick));
  peer.say([19, 1, 100, 6, 0], [20, { x: 2 }]);
  await eventually("the state", () => seen.includes(6));
  assert.equal(room.state?.x, 2);
});

test("states older than the one shown are not shown", async () => {
  // Two nodes may overlap for a moment at a fail-over; a room must not jump back in time.
  const { peer, room } = await play();
  peer.say([19, 1, 101, 6, 0], [20, { x: 6 }], [19, 1, 100, 9, 0], [20, { x: 9 }], [19, 1, 101, 7, 0], [21, "mine"]);
  await eventually("tick 7", () => room.tick === 7);
  assert.deepEqual([room.state, room.private, room.epoch], [{ x: 6 }, "mine", 101]);
});

test("status messages pause, resume and resend", async () => {
  const { peer, room } = await play();
  const notices: string[] = [];
  room.on("status", (notice) => notices.push(notice));
  room.send({ dx: 1 });
  await peer.expect(4);
  peer.say([28, 1, 1, 100, 6]);
  await eventually("the pause", () => room.status === "paused");
  peer.say([28, 1, 2, 101, 6]);
  assert.deepEqual((await peer.expect(4)).slice(0, 3), [4, 1, 1]);
  assert.deepEqual([notices, room.status, room.epoch], [["paused", "resumed"], "playing", 101]);
});

test("a room that is rolled back says so, and goes on with older ticks", async () => {
  const { peer, room } = await play();
  const notices: string[] = [];
  room.on("status", (notice) => notices.push(notice));
  room.send({ dx: 1 });
  await peer.expect(4);
  peer.say([28, 1, 4, 101, 3]);
  assert.deepEqual((await peer.expect(4)).slice(0, 3), [4, 1, 1]);
  assert.deepEqual([notices, room.status, room.epoch, room.tick], [["rolledback"], "playing", 101, 3]);
  peer.say([19, 1, 101, 4, 0], [20, { x: 9 }]);
  await eventually("the older tick", () => room.tick === 4);
  assert.deepEqual(room.state, { x: 9 });
});

test("ticks have a time once the server has told it, also in its newest words", async () => {
  const { peer, room } = await play();
  assert.equal(room.timeOf(5), undefined);
  peer.say([30, 1, 5, 1_795_000_000_000], [30, 9, 5, 1]);
  await eventually("the time", () => room.timeOf(5) !== undefined);
  assert.deepEqual([5, 6, 25, 0].map((tick) => room.timeOf(tick)! - 1_795_000_000_000), [0, 50, 1000, -250]);
  peer.say([30, 1, 6, 1_795_000_000_470]);
  await eventually("the new time", () => room.timeOf(6) === 1_795_000_000_470);
});

test("a resend request is honoured from its number", async () => {
  const { peer, room } = await play();
  for (const dx of [1, 2, 3]) room.send({ dx });
  for (let i = 0; i < 3; i++) await peer.expect(4);
  peer.say([27, 1, 2]);
  assert.equal((await peer.expect(4))[2], 2);
  assert.equal((await peer.expect(4))[2], 3);
});

test("what was seen is acknowledged without any input", async () => {
  const { peer } = await play();
  assert.deepEqual(await peer.expect(5), [5, 1, 0, 5]);
  peer.say([19, 1, 100, 8, 0], [20, { x: 3 }], [22, 1, "late", 1]);
  assert.deepEqual(await peer.expect(5), [5, 1, 1, 8]);
});

test("too many unacknowledged inputs are refused to the caller", async () => {
  const { room } = await play();
  for (let i = 0; i < 256; i++) assert.equal(room.send({ dx: i }), true);
  assert.equal(room.send({ dx: 0 }), false);
  await assert.rejects(room.request({ dx: 0 }), Backpressure);
});

test("a close that forbids coming back is final", async () => {
  const { client, peer, room } = await play();
  const answer = room.request({ dx: 1 });
  answer.catch(() => {});
  peer.close(4503, "a newer connection");
  await eventually("the end", () => client.status.is === "closed");
  assert.deepEqual(client.status, { is: "closed", code: 4503, reason: "a newer connection" });
  await assert.rejects(answer, (e: Interrupted) => e.why === "closed");
  await assert.rejects(client.join("r1"), (e: Interrupted) => e.why === "closed");
});

test("an old secret is forgotten, the rooms are left and a new session starts", async () => {
  const storage = memoryStorage();
  const { peer, room } = await play(connect({ storage }));
  let why = "";
  room.on("left", (info) => (why = info.why));
  peer.close(4504);
  const next = await server.accept();
  assert.deepEqual((await next.expect(1)).slice(4, 7), ["", "", []]);
  assert.deepEqual([why, storage.items.size], ["session_lost", 0]);
});

test("a new session where the old one was asked for ends the rooms", async () => {
  const { peer, room } = await play();
  peer.drop();
  await server.welcome("s2", "k9", 0);
  await eventually("the room to end", () => room.status === "left");
});

test("after a reload the kept seats come back", async () => {
  const storage = memoryStorage();
  const first = await play(connect({ storage }));
  first.client.close();
  const reloaded = connect({ storage });
  const resuming = reloaded.resume();
  const peer = await server.welcome("s1", "k2", 1);
  assert.notEqual(peer.hello[2], first.peer.hello[2], "a new object is a new run");
  assert.deepEqual(peer.hello.slice(4, 7), ["s1", "k1", []]);
  peer.say(joined({ outcome: 1, reliable: 12 }), [19, 1, 100, 30, 0], [20, { x: 30 }]);
  const [room] = await resuming;
  assert.deepEqual([room!.seat, room!.key, room!.state], [7, "lobby", { x: 30 }]);
  assert.equal(room!.send({ dx: 1 }), true);
  assert.deepEqual((await peer.expect(4)).slice(0, 5), [4, 1, 1, 12, 30]);
});

test("each hello has a higher number, however the one before ended, and after a reload", async () => {
  // Without it a server could not tell a hello that was given up from the one that counts.
  const storage = memoryStorage();
  const client = connect({ storage });
  client.connect();
  const numbers: number[] = [Date.now() - 60_000];
  const hello = async (peer: Peer): Promise<Peer> => {
    numbers.push((await peer.expect(1))[7] as number);
    return peer;
  };
  (await hello(await server.accept())).drop();
  (await hello(await server.accept())).close(4012, "sessions cannot be reached just now");
  const peer = await server.welcome();
  numbers.push(peer.hello[7] as number);
  await eventually("the session is kept", () => storage.items.size > 0);
  client.close();
  const reloaded = connect({ storage });
  reloaded.resume().catch(() => {}); // the seats are not this test's business
  const next = await server.welcome("s1", "k2", 1);
  numbers.push(next.hello[7] as number);
  assert.equal(next.hello[5], "k1");
  assert.equal(numbers.length, 5);
  for (let i = 1; i < numbers.length; i++) assert.ok(numbers[i]! > numbers[i - 1]!, String(numbers));
});

test("a page whose clock went back gets in without a number", async () => {
  // The page before may have had a higher number and no welcome: then none of this one's would do until the clock has caught up.
  const client = connect();
  client.connect();
  const first = await server.accept();
  assert.ok(((await first.expect(1))[7] as number) > 0);
  first.close(4013, "a later hello of this session was answered");
  const second = await server.welcome();
  assert.equal(second.hello[7], 0);
  second.drop();
  assert.ok(((await server.welcome("s1", "k2", 1)).hello[7] as number) > 0);
});

test("a kept seat that ended meanwhile is told, and resume does not wait for it", async () => {
  const storage = memoryStorage();
  (await play(connect({ storage }))).client.close();
  const reloaded = connect({ storage });
  let gone: unknown;
  reloaded.on("gone", (g) => (gone = g));
  const resuming = reloaded.resume();
  (await server.welcome("s1", "k2", 1)).say([29, "r1", "ended", { winner: 7 }]);
  assert.deepEqual(await resuming, []);
  assert.deepEqual(gone, { id: "r1", why: "ended", result: { winner: 7 } });
});

test("resume without anything kept does not even connect", async () => {
  const client = connect({ storage: memoryStorage() });
  assert.deepEqual(await client.resume(), []);
  assert.equal(client.status.is, "idle");
});

test("pongs set the ping and the server's clock", async () => {
  const { client, peer } = await play();
  const ping = await peer.expect(6);
  peer.say([26, ping[1], 1_700_000_100_000]);
  await eventually("a ping", () => client.ping > 0);
  assert.ok(Math.abs(client.serverNow() - 1_700_000_100_000) < 2_000);
});

test("a server that is away is tried again until it is there", async () => {
  const { client, peer } = await play();
  const statuses: string[] = [];
  client.on("status", (s) => statuses.push(s.is));
  peer.close(4000, "node stopping");
  (await server.accept()).drop();
  await server.welcome("s1", "k2", 1);
  await eventually("the connection", () => client.status.is === "open");
  assert.deepEqual(statuses, ["waiting", "connecting", "waiting", "connecting", "open"]);
});

test("a storm of inputs stays below the server's limits of rate and size", async () => {
  // 256 inputs of 500 bytes: more than one message may hold and more than the burst the server allows.
  const { peer, room } = await play();
  for (let i = 0; i < 256; i++) room.send({ dx: i, pad: "x".repeat(500) } as Input);
  await peer.expect(4);
  assert.ok(peer.arrived(4).length <= 120, String(peer.arrived(4).length));
  assert.ok(peer.largest > 8_000 && peer.largest <= 16 * 1024, String(peer.largest));
});
