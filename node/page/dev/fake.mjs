// A stand-in for the server, to look at the page with: an arena of moving bots and a tic-tac-toe board, in one process.
// It keeps sessions and seats, numbers its events, and can cut connections; it checks nothing and fails over nothing.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const require = createRequire(join(here, "../../../client/ts/package.json"));
const { decodeMulti, encode } = require("@msgpack/msgpack");
const { WebSocketServer } = require("ws");

const SIZE = [1600, 1000];
const BOTS = ["Kestrel", "Mote", "Quill", "Sable", "Tern", "Vesper", "Wren", "Onyx", "Pike", "Rook", "Lark", "Flint"];
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css" };
const random = (n) => Math.random() * n;

class Arena {
  rate = 20;
  tick = 0;
  ships = {};
  shots = [];
  inputs = new Map();
  downs = [];
  ids = 0;

  constructor(bots) {
    for (let i = 1; i <= bots; i++) this.ships[1000 + i] = { ...this.place(), name: BOTS[i % BOTS.length], score: Math.floor(random(14)), bot: true, heading: random(6.3), turn: random(0.1) - 0.05, cool: random(30) };
  }

  place() {
    return { x: Math.round(100 + random(SIZE[0] - 200)), y: Math.round(100 + random(SIZE[1] - 200)), a: 0, hp: 100, up: true };
  }

  join(seat, name) {
    this.ships[seat] = { ...this.place(), name, score: 0, bot: false, cool: 0 };
  }

  input(seat, value) {
    this.inputs.set(seat, value);
  }

  leave(seat) {
    delete this.ships[seat];
  }

  step() {
    this.tick++;
    this.downs = [];
    for (const [key, s] of Object.entries(this.ships)) {
      if (!s.up) {
        if (--s.back <= 0) Object.assign(s, this.place());
        continue;
      }
      const seat = Number(key);
      const input = s.bot ? this.think(s) : (this.inputs.get(seat) ?? { dx: 0, dy: 0, angle: 0, fire: false });
      s.x = Math.round(Math.min(SIZE[0] - 15, Math.max(15, s.x + input.dx * 12)));
      s.y = Math.round(Math.min(SIZE[1] - 15, Math.max(15, s.y + input.dy * 12)));
      s.a = Math.round((input.angle * 180) / Math.PI + 360) % 360;
      if (input.fire && --s.cool <= 0) {
        s.cool = s.bot ? 14 + random(30) : 5;
        this.shots.push({ id: ++this.ids, x: s.x, y: s.y, a: s.a, by: seat, left: 24 });
      }
    }
    for (const shot of this.shots) this.fly(shot);
    this.shots = this.shots.filter((shot) => shot.left > 0);
  }

  think(s) {
    if (random(40) < 1) s.turn = random(0.12) - 0.06;
    if (s.x < 60 || s.y < 60 || s.x > SIZE[0] - 60 || s.y > SIZE[1] - 60) s.heading = Math.atan2(SIZE[1] / 2 - s.y, SIZE[0] / 2 - s.x);
    s.heading += s.turn;
    return { dx: Math.cos(s.heading) * 0.55, dy: Math.sin(s.heading) * 0.55, angle: s.heading, fire: true };
  }

  fly(shot) {
    const angle = (shot.a * Math.PI) / 180;
    shot.x = Math.round(shot.x + Math.cos(angle) * 32);
    shot.y = Math.round(shot.y + Math.sin(angle) * 32);
    shot.left--;
    for (const [key, s] of Object.entries(this.ships)) {
      const seat = Number(key);
      if (!s.up || seat === shot.by || Math.hypot(s.x - shot.x, s.y - shot.y) > 24) continue;
      shot.left = 0;
      s.hp -= 20;
      if (s.hp > 0) continue;
      Object.assign(s, { up: false, back: 40, hp: 0 });
      if (this.ships[shot.by]) this.ships[shot.by].score++;
      this.downs.push({ seat, by: shot.by });
    }
  }

  state() {
    const ships = {};
    for (const [seat, { name, x, y, a, hp, score, bot, up }] of Object.entries(this.ships)) ships[seat] = { name, x, y, a, hp, score, bot: bot && seat % 5 !== 0, up }; // a few bots pass for people, to see their colours
    return { size: SIZE, ships, shots: this.shots.map(({ id, x, y, a, by }) => ({ id, x, y, a, by })) };
  }
}

const LINES = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];

class Board {
  rate = 0;
  tick = 0;
  downs = [];
  s = { board: Array(9).fill(0), seats: [], names: {}, turn: 0, winner: 0, over: false, line: null, deadline: 0, now: 0 };

  join(seat, name) {
    this.s.seats.push(seat);
    this.s.names[seat] = name;
    if (this.s.seats.length === 2) this.turnTo(this.s.seats[0]);
  }

  turnTo(seat) {
    this.s.turn = seat;
    this.s.deadline = 1e6 * Math.round(performance.now() + 30_000);
  }

  input(seat, { cell }) {
    if (this.s.over || this.s.turn !== seat) return ["not_your_turn", "It is not your turn."];
    if (this.s.board[cell] !== 0) return ["bad_cell", "That cell is taken."];
    this.s.board[cell] = seat;
    const line = LINES.find((l) => l.every((c) => this.s.board[c] === seat));
    if (line) Object.assign(this.s, { over: true, winner: seat, line });
    else if (!this.s.board.includes(0)) this.s.over = true;
    else this.turnTo(this.s.seats.find((other) => other !== seat));
  }

  leave() {}

  state() {
    return { ...this.s, now: 1e6 * Math.round(performance.now()) };
  }
}

/** Starts both servers on free ports. `cut` ends all connections, `refuse` those to come as well; `serve` says what the list of kinds is. */
export async function startFake() {
  const rooms = new Map(); // key -> { id, kind, key, game, seats }
  const sessions = new Map(); // session -> { secret, name, seats: Map(room -> seat record) }
  const sockets = new Set();
  let refusing = false;
  let count = 0;
  let epoch = Date.now();
  let kinds; // undefined: the list is not to be had

  const files = createServer((request, response) => {
    const name = new URL(request.url, "http://x").pathname.slice(1) || "index.html";
    if (name === "v1/kinds") return kinds ? response.end(JSON.stringify({ kinds })) : response.writeHead(404).end();
    try {
      response.setHeader("content-type", TYPES[extname(name)] ?? "text/plain");
      response.end(readFileSync(join(here, "../dist", name)));
    } catch {
      response.writeHead(404).end();
    }
  });
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });

  function flush(room, ...reliable) {
    const state = encode([20, room.game.state()]);
    for (const seat of room.seats) {
      seat.held.push(...reliable.filter(([only]) => only === undefined || only === seat.seat).map(([, make]) => make(++seat.number)));
      if (!seat.socket) continue;
      const parts = [encode([19, seat.short, epoch, room.game.tick, seat.applied]), state, ...seat.held.splice(0).map((m) => encode(m))];
      seat.socket.send(Buffer.concat(parts));
    }
  }

  function attach(socket, seat, request, outcome) {
    seat.socket = socket;
    seat.short = ++socket.shorts;
    socket.seats.set(seat.short, seat);
    const { id, kind, key, game } = seat.room;
    socket.say([17, request, seat.short, id, kind, key, seat.seat, game.rate, epoch, game.tick, outcome, seat.number - seat.held.length, seat.applied]);
    flush(seat.room);
  }

  function enter(socket, request, kind, key, options) {
    let room = rooms.get(`${kind}/${key}`);
    if (!room) rooms.set(`${kind}/${key}`, (room = { id: `room${++count}`, kind, key, seats: [], last: 0, game: kind === "arena" ? new Arena(options?.bots ?? 12) : new Board() }));
    if (kind === "tictactoe" && room.seats.length === 2) return socket.say([25, request, "room_full", "The board has two players."]);
    const seat = { room, seat: ++room.last, number: 0, held: [], applied: 0, run: socket.run };
    room.seats.push(seat);
    socket.session.seats.set(room, seat);
    room.game.join(seat.seat, socket.session.name);
    room.game.tick++;
    attach(socket, seat, request, 0);
  }

  function end(room) {
    rooms.delete(`${room.kind}/${room.key}`);
    for (const session of sessions.values()) session.seats.delete(room);
    for (const seat of room.seats.splice(0)) seat.socket?.say([18, 0, seat.short, "ended", null]);
  }

  function hello(socket, [, , run, token, id, secret]) {
    socket.run = run;
    const known = sessions.get(id);
    if (id && known?.secret !== secret) return socket.close(4504, "unknown session");
    const session = known ?? { id: `s${++count}`, name: token || "guest", seats: new Map() };
    session.secret = `k${++count}`;
    sessions.set(session.id, session);
    socket.session = session;
    socket.say([16, 1, session.id, session.secret, session.id, session.name, Date.now(), known ? 1 : 0]);
    for (const seat of session.seats.values()) {
      if (seat.run !== run) Object.assign(seat, { run, applied: 0 });
      attach(socket, seat, 0, 1);
    }
  }

  function input(socket, [, short, number, , , value]) {
    const seat = socket.seats.get(short);
    if (!seat || number !== seat.applied + 1) return;
    seat.applied = number;
    const refused = seat.room.game.input(seat.seat, value);
    if (seat.room.game.rate > 0) return;
    seat.room.game.tick++;
    flush(seat.room, ...(refused ? [[seat.seat, (n) => [24, n, seat.run, number, ...refused]]] : []));
    if (seat.room.game.s.over) end(seat.room);
  }

  server.on("connection", (socket) => {
    if (refusing) return socket.terminate();
    Object.assign(socket, { seats: new Map(), shorts: 0, say: (...m) => socket.send(Buffer.concat(m.map((one) => encode(one)))) });
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      for (const seat of socket.seats.values()) if (seat.socket === socket) seat.socket = undefined;
    });
    socket.on("message", (data) => {
      for (const m of decodeMulti(data)) {
        if (m[0] === 1) hello(socket, m);
        else if (m[0] === 2) enter(socket, m[1], m[3], m[4], m[5]);
        else if (m[0] === 3) {
          const seat = socket.seats.get(m[2]);
          seat.room.seats = seat.room.seats.filter((s) => s !== seat);
          seat.room.game.leave(seat.seat);
          socket.session.seats.delete(seat.room);
          socket.say([18, m[1], m[2], "left", null]);
        } else if (m[0] === 4) input(socket, m);
        else if (m[0] === 6) socket.say([26, m[1], Date.now()]);
      }
    });
  });

  const timer = setInterval(() => {
    for (const room of rooms.values()) {
      if (room.game.rate === 0) continue;
      room.game.step();
      flush(room, ...room.game.downs.map((down) => [undefined, (n) => [22, n, "down", down]]));
    }
  }, 50);

  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  const socketURL = `ws://127.0.0.1:${server.address().port}/`;
  return {
    socketURL,
    pageURL: `http://127.0.0.1:${files.address().port}/?socket=${encodeURIComponent(socketURL)}`,
    rooms,
    refuse(on) {
      refusing = on;
    },
    serve(list) {
      kinds = list;
    },
    cut() {
      epoch++;
      for (const socket of sockets) socket.terminate();
    },
    stop() {
      clearInterval(timer);
      for (const socket of server.clients) socket.terminate();
      server.close();
      files.close();
      files.closeAllConnections();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fake = await startFake();
  console.log(`open ${fake.pageURL}  (Enter cuts all connections, Ctrl-C ends)`);
  process.stdin.on("data", () => fake.cut());
}
