// Plays the arena in a real browser through lost connections: node arena.mjs PAGE CONTROL FOLDER
// CONTROL takes POST /cut (the connection is reset and refused for three seconds) and POST /restart (of the server).
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { chromium } = createRequire(new URL("../client/ts/package.json", import.meta.url))("playwright-core");
const [pageURL, control, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  await play(await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage());
} finally {
  await browser.close();
}

async function play(page) {
  page.setDefaultTimeout(30_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(`${pageURL}&bots=50&name=ann#e2e`);
  await shot(page, "1-start");
  await page.getByTestId("play").click();
  await page.waitForFunction(() => window.tickover?.position !== undefined);
  const seat = await page.evaluate(() => window.tickover.seat);
  assert(seat > 0, "has a seat");
  await page.waitForFunction(() => Object.keys(window.tickover.room.state.ships).length === 51); // 50 bots and ann

  await moves(page, "joined");
  await shot(page, "2-playing");

  const before = await page.evaluate(() => window.tickover.tick);
  await fetch(`${control}/cut`, { method: "POST" });
  await page.waitForFunction(() => window.tickover.status !== "open");
  await page.waitForTimeout(600);
  await shot(page, "3-connection-lost");
  await back(page, seat, before, "after the cut");
  await shot(page, "4-back");

  const tick = await page.evaluate(() => window.tickover.tick);
  await fetch(`${control}/restart`, { method: "POST" });
  await back(page, seat, tick, "after the restart");
  await shot(page, "5-back-after-restart");
  assert.deepEqual(errors, [], "the page threw");
}

// back waits for the same seat at a later tick, and sees that it can be played.
async function back(page, seat, tick, when) {
  await page.waitForFunction((tick) => window.tickover.status === "open" && window.tickover.tick > tick, tick);
  assert.equal(await page.evaluate(() => window.tickover.seat), seat, `the same seat ${when}`);
  await moves(page, when);
  console.log(`${when}: seat ${seat}, tick ${await page.evaluate(() => window.tickover.tick)}, reconnects ${await page.evaluate(() => window.tickover.reconnects)}`);
}

// moves holds a key down until the own ship has moved as the server sees it. It may be shot down meanwhile: then it tries again.
async function moves(page, when) {
  for (let tries = 0; tries < 6; tries++) {
    await page.waitForFunction(() => window.tickover.room.state.ships[window.tickover.seat]?.up);
    const { x } = await page.evaluate(() => window.tickover.position);
    const [key, way] = x < 800 ? ["KeyD", 1] : ["KeyA", -1];
    await page.keyboard.down(key);
    const moved = await page
      .waitForFunction(([x, way]) => (window.tickover.position.x - x) * way > 60, [x, way], { timeout: 3000 })
      .then(() => true, () => false);
    await page.keyboard.up(key);
    if (moved) return;
  }
  assert.fail(`the ship does not move ${when}`);
}

function shot(page, name) {
  return page.screenshot({ path: join(folder, `${name}.png`) });
}
