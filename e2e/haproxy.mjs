// Plays the arena through a real load balancer, and hurts the nodes behind it: node haproxy.mjs PAGE CONTROL FOLDER
// CONTROL takes POST /kill, /start, /freeze and /thaw with ?node=NAME.
import assert from "node:assert/strict";
import { withArena } from "./arena-page.mjs";

const [pageURL, control, folder] = process.argv.slice(2);

await withArena(folder, async (arena) => {
  const { page } = arena;
  let sockets = 0;
  page.on("websocket", () => sockets++);
  await page.goto(`${pageURL}&bots=20&name=ann#proxied`);
  await arena.play();

  // The room's node dies, ann's socket is elsewhere.
  let at = await apart(arena);
  await scores(arena);
  await arena.shot("1-before");
  const [opened, before, tick] = [sockets, await look(arena), await arena.tick];
  await order("kill", at.owner);
  await arena.shot("2-the-rooms-node-is-dead");
  await page.waitForFunction((epoch) => window.tickover.room.epoch > epoch, before.epoch);
  await page.locator("#feed li.news").filter({ hasText: /pause of [\d.]+ m?s/ }).waitFor();
  await arena.playsOn(tick, 20, "after the death of the room's node");
  assert.equal(sockets, opened, "the socket is the same one");
  await arena.shot("3-another-node-goes-on");
  await arena.moves("after the death of the room's node");
  same(await look(arena), before, "after the death of the room's node");
  console.log(`${at.owner} died with the room: ${await page.locator("#feed li.news").first().innerText()}`);
  await order("start", at.owner);

  // The node that holds ann's socket dies, whoever has the room.
  const [kept, on, socket] = [await look(arena), await arena.tick, await arena.get((t) => t.client.node)];
  const lost = page.getByTestId("overlay").filter({ hasText: "Your seat is kept" }).waitFor();
  await order("kill", socket);
  await lost;
  await arena.shot("4-the-sockets-node-is-dead");
  await arena.playsOn(on, 20, "after the death of the socket's node");
  assert.equal(sockets > opened, true, "a new socket was opened");
  assert.notEqual(await arena.get((t) => t.client.node), socket, "the socket leads to another node");
  same(await look(arena), kept, "after the death of the socket's node");
  await arena.shot("5-back-in-the-seat");
  await arena.moves("after the death of the socket's node");
  console.log(`${socket} died with the socket: now at ${await arena.get((t) => t.client.node)}, seat ${arena.seat}`);
  await order("start", socket);

  // The room's node stands still: nothing closes, and it takes a lease until another one goes on. Somebody should say something.
  let said = false;
  for (let tries = 0; tries < 3 && !said; tries++) { // a lease counts from the last heartbeat, and may be over before the page wonders
    at = await apart(arena);
    const frozenAt = await arena.tick;
    await order("freeze", at.owner);
    said = await page.waitForFunction(() => !document.getElementById("banner").hidden, null, { timeout: 3000 }).then(() => true, () => false);
    await arena.shot("6-the-rooms-node-is-frozen");
    await arena.playsOn(frozenAt, 20, "after the room's node froze");
    await page.getByTestId("banner").waitFor({ state: "hidden" });
    await arena.shot("7-another-node-goes-on");
    await order("thaw", at.owner);
  }
  assert(said, "the page says that nothing comes from the room");
  same(await look(arena), kept, "at the end");
});

/** Has a node killed, started, frozen or thawed, and waits until that is so. */
async function order(what, node) {
  const answer = await fetch(`${control}/${what}?node=${node}`, { method: "POST" });
  assert.equal(answer.status, 200, `${what} ${node}: ${await answer.text()}`);
}

/** Reloads the page until its socket is not at the node that has its room: each time the balancer gives it the next one. */
async function apart(arena) {
  for (let tries = 0; tries < 6; tries++) {
    const owner = await arena.page.evaluate(async () => (await (await fetch(`/v1/rooms/${window.tickover.room.id}`)).json()).node);
    const socket = await arena.get((t) => t.client.node);
    if (owner && owner !== socket) return { owner, socket };
    await arena.page.reload();
    await arena.page.waitForFunction(() => window.tickover?.position !== undefined);
  }
  assert.fail("the balancer gives the page the room's node again and again");
}

/** Fires about until ann has a score to lose. */
async function scores(arena) {
  const { page } = arena;
  for (let shots = 0; (await look(arena)).score === 0; shots++) {
    assert(shots < 60, "ann hits nobody");
    await aim(arena);
    await page.mouse.down();
    await page.waitForTimeout(400);
    await page.mouse.up();
  }
}

/** Points at the nearest other ship. */
async function aim({ page }) {
  const angle = await page.evaluate(() => {
    const { room: { state: { ships } }, seat, position: me } = window.tickover;
    const others = Object.entries(ships).filter(([s, ship]) => Number(s) !== seat && ship.up).map(([, ship]) => ship);
    const near = (a) => Math.hypot(a.x - me.x, a.y - me.y);
    const target = others.sort((a, b) => near(a) - near(b))[0];
    return Math.atan2(target.y - me.y, target.x - me.x);
  });
  const { width, height } = page.viewportSize(); // with the own ship in the middle, unless it is near an edge of the world
  await page.mouse.move(width / 2 + 150 * Math.cos(angle), height / 2 + 150 * Math.sin(angle));
}

/** What is ann's in the room: it must outlive everything. */
function look({ page }) {
  return page.evaluate(() => {
    const { room, seat } = window.tickover;
    const { name, score, bot } = room.state.ships[seat];
    return { room: room.id, epoch: room.epoch, seat, name, score, bot, color: getComputedStyle(document.querySelector("#scores li.me i")).backgroundColor };
  });
}

function same(now, before, when) {
  for (const what of ["room", "seat", "name", "bot", "color"]) assert.equal(now[what], before[what], `the same ${what} ${when}`);
  assert(now.score >= before.score && before.score > 0, `a score of ${before.score} is ${now.score} ${when}`);
}
