// Plays the page against the stand-in in a real browser, checks what it can and takes pictures: node shots.mjs [folder]
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startFake } from "./fake.mjs";

const { chromium } = createRequire(new URL("../../../client/ts/package.json", import.meta.url))("playwright-core");
const folder = process.argv[2] ?? join(tmpdir(), "tickover-shots");
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

mkdirSync(folder, { recursive: true });
const fake = await startFake();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  await arena();
  await phone();
  await board();
  await start();
} finally {
  await browser.close();
  fake.stop();
}

async function open(options, search, hash = "") {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => assert.fail(error));
  await page.goto(fake.pageURL + search + hash);
  return page;
}

function shot(page, name) {
  return page.screenshot({ path: join(folder, `${name}.png`) });
}

async function arena() {
  const page = await open(DESKTOP, "&bots=63");
  await page.getByTestId("name").fill("ann");
  await page.waitForTimeout(500);
  await shot(page, "desktop-start");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => window.tickover.position !== undefined);
  const { x } = await page.evaluate(() => window.tickover.position);
  const way = x < 800 ? "KeyD" : "KeyA";
  await page.mouse.move(900, 300);
  await page.mouse.down();
  await page.keyboard.down(way);
  await page.waitForFunction((x0) => Math.abs(window.tickover.position.x - x0) > 150, x);
  await shot(page, "desktop-arena");
  await page.keyboard.up(way);
  const frames = await page.evaluate(() => new Promise((resolve) => {
    let count = 0;
    const until = performance.now() + 2000;
    const next = (now) => (now > until ? resolve(count / 2) : (count++, requestAnimationFrame(next)));
    requestAnimationFrame(next);
  }));
  console.log(`frames per second (software rendering): ${frames}`);
  await page.waitForFunction(() => document.querySelector("#feed li"));
  await shot(page, "desktop-arena-2");

  await show(page, "hidden"); // timers of hidden pages are slowed down: a worker has to take over
  while (page.workers().length === 0) await page.waitForEvent("worker");
  await show(page, "visible");
  while (page.workers().length > 0) await page.workers()[0].waitForEvent("close");

  const seat = await page.evaluate(() => window.tickover.seat);
  fake.refuse(true);
  fake.cut();
  await page.getByTestId("overlay").waitFor({ state: "visible" });
  await page.waitForFunction(() => /Reconnecting in/.test(document.querySelector("#overlay-text").textContent));
  await page.getByRole("button", { name: "Try now" }).waitFor();
  await page.waitForTimeout(350); // the card has faded in
  await shot(page, "desktop-reconnecting");
  fake.refuse(false);
  await page.waitForFunction(() => window.tickover.reconnects === 1 && window.tickover.room.status === "playing", undefined, { timeout: 25_000 });
  await page.getByTestId("overlay").waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => window.tickover.seat), seat);
  await shot(page, "desktop-after");

  await page.reload();
  await page.waitForFunction((s) => window.tickover.seat === s, seat);
  assert.equal(await page.locator("#start").isVisible(), false, "a reload goes straight back to the seat");
  await page.getByTestId("leave").click();
  await page.locator("#start").waitFor();
}

function show(page, visibility) {
  return page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visibility);
}

async function phone() {
  const page = await open(PHONE, "&name=bo");
  await shot(page, "phone-start");
  await page.getByTestId("play").tap();
  await page.waitForFunction(() => window.tickover.position !== undefined);
  const touch = await page.context().newCDPSession(page);
  const thumbs = [{ x: 90, y: 690, id: 1 }, { x: 300, y: 690, id: 2 }];
  await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: thumbs });
  const moved = [{ x: 128, y: 670, id: 1 }, { x: 290, y: 640, id: 2 }];
  await touch.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: moved });
  await page.waitForTimeout(1500);
  await shot(page, "phone-arena");
  await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  fake.refuse(true);
  fake.cut();
  await page.getByTestId("overlay").waitFor({ state: "visible" });
  await page.waitForTimeout(350);
  await shot(page, "phone-reconnecting");
  fake.refuse(false);
}

async function board() {
  const ann = await open(DESKTOP, "&name=ann", "#ttt-calm-fern-42");
  await ann.getByTestId("ttt-play").click();
  await ann.getByTestId("ttt").waitFor();
  await shot(ann, "ttt-waiting");
  await ann.getByTestId("copy").click({ trial: true }); // the board lies over the bar
  const bo = await open(PHONE, "&name=bo", "#ttt-calm-fern-42");
  await bo.getByTestId("ttt-play").click();
  const move = async (page, cell) => {
    await page.locator(`[data-testid=cell-${cell}]:enabled`).click();
    await page.waitForFunction((c) => document.querySelector(`[data-testid=cell-${c}] svg`), cell);
  };
  const eve = await open(DESKTOP, "&name=eve", "#ttt-calm-fern-42");
  await eve.getByTestId("ttt-play").click();
  await eve.getByText("That room is full: try another one.").waitFor();
  assert.equal(await eve.getByTestId("ttt-play").textContent(), "Open a board");
  await shot(eve, "ttt-full");
  await eve.getByTestId("ttt-play").click();
  await eve.getByTestId("ttt").waitFor();
  await eve.getByTestId("leave").click();
  await eve.getByTestId("ttt-play").waitFor();
  const tall = await ann.getByTestId("cell-0").boundingBox();
  for (const [page, cell] of [[ann, 4], [bo, 0], [ann, 2], [bo, 8]]) await move(page, cell);
  await ann.locator("[data-testid=cell-6]:enabled").waitFor();
  await ann.waitForTimeout(500);
  await shot(ann, "ttt-playing");
  assert.deepEqual(await ann.getByTestId("cell-0").boundingBox(), tall, "a mark does not stretch its row");
  await move(ann, 6);
  await bo.getByText("ann wins.").waitFor();
  await bo.waitForTimeout(500);
  await shot(bo, "ttt-phone-over");
  await shot(ann, "ttt-won");
  for (const page of [ann, bo]) assert.equal(await page.getByTestId("overlay").isVisible(), false, "the board itself says that it is over");
  assert.deepEqual([await ann.getByTestId("state").textContent(), await bo.getByTestId("state").textContent()], ["you won", "you lost"]);
  await ann.getByText("New board").click();
  await ann.getByText("Copy the link").waitFor();
}

async function start() {
  const strange = await open(DESKTOP, "&name=ann", "#größe");
  await strange.getByText("There can be no room “größe”").waitFor();
  await shot(strange, "desktop-no-such-key");
  await strange.getByTestId("play").click();
  await strange.waitForFunction(() => window.tickover.room?.key === "lobby");
  await strange.evaluate(() => (location.hash = "#two words"));
  await strange.getByText("There can be no room “two words”").waitFor();
  fake.serve([{ name: "tictactoe", seats: 2 }]);
  const one = await open(DESKTOP, "");
  await one.getByTestId("ttt-play").waitFor();
  assert.equal(await one.getByTestId("play").isVisible(), false, "no card for what is not served");
  fake.serve([{ name: "clicker", seats: 20 }, { name: "probe", seats: 2, hidden: true }]);
  const other = await open(DESKTOP, "");
  await other.getByText("This server has: clicker (20 seats).").waitFor();
  await shot(other, "desktop-other");
}
