// Plays the arena on a local cluster, and kills every node under it with the page's buttons: node local.mjs PAGE FOLDER
import assert from "node:assert/strict";
import { withArena } from "./arena-page.mjs";

const [pageURL, folder] = process.argv.slice(2);

await withArena(folder, async (arena) => {
  const { page } = arena;
  await page.goto(`${pageURL}/?name=ann&bots=20#local`);
  await page.getByTestId("node-3").waitFor();
  await arena.play();
  for (const name of ["node-1", "node-2", "node-3"]) {
    const tick = await arena.tick;
    const is = (state) => page.waitForFunction(([n, s]) => document.querySelector(`[data-testid=${n}]`).dataset.state === s, [name, state]);
    await page.getByTestId(`kill-${name}`).click();
    await is("dead");
    await page.locator("#cluster-log li.killed").filter({ hasText: name }).waitFor();
    await is("alive");
    await arena.playsOn(tick, 20, `after the death of ${name}`);
    await arena.shot(name);
  }
  console.log(`seat ${arena.seat}: ${(await page.locator("#cluster-log").innerText()).replaceAll("\n", " ")}`);
  assert.equal(await page.locator("#cluster-log li").count(), 3, "one line for each death");
});
