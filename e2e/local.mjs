// Plays the arena on a local cluster, and kills every node under it with the page's buttons: node local.mjs PAGE FOLDER
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { chromium } = createRequire(new URL("../client/ts/package.json", import.meta.url))("playwright-core");
const [pageURL, folder] = process.argv.slice(2);
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
  page.setDefaultTimeout(20_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(`${pageURL}/?name=ann&bots=20#local`);
  await page.getByTestId("node-3").waitFor();
  await page.getByTestId("play").click();
  await page.waitForFunction(() => window.tickover?.position !== undefined);
  const seat = await page.evaluate(() => window.tickover.seat);
  for (const name of ["node-1", "node-2", "node-3"]) {
    const tick = await page.evaluate(() => window.tickover.tick);
    await page.getByTestId(`kill-${name}`).click();
    await page.waitForFunction((n) => document.querySelector(`[data-testid=${n}]`).dataset.state === "dead", name);
    await page.locator("#cluster-log li.killed").filter({ hasText: name }).waitFor();
    await page.waitForFunction((n) => document.querySelector(`[data-testid=${n}]`).dataset.state === "alive", name);
    await page.waitForFunction((t) => window.tickover.status === "open" && window.tickover.tick > t + 20, tick);
    assert.equal(await page.evaluate(() => window.tickover.seat), seat, `the same seat after the death of ${name}`);
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }
  console.log(`seat ${seat}: ${(await page.locator("#cluster-log").innerText()).replaceAll("\n", " ")}`);
  assert.equal(await page.locator("#cluster-log li").count(), 3, "one line for each death");
  assert.deepEqual(errors, [], "the page threw");
}
