// What the scripts here have in common: a browser that plays the arena on the demo page, and keeps the pictures.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { chromium } = createRequire(new URL("../client/ts/package.json", import.meta.url))("playwright-core");

/** Runs `play` with a page that nobody has used; screenshots go to `folder`. An exception on the page fails it. */
export async function withArena(folder, play) {
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
    page.setDefaultTimeout(30_000);
    const errors = [];
    page.on("pageerror", (error) => errors.push(error));
    await play(new ArenaPage(page, folder));
    assert.deepEqual(errors, [], "the page threw");
  } finally {
    await browser.close();
  }
}

/** ArenaPage is the demo page with the arena on it. What it says of itself is `window.tickover`. */
class ArenaPage {
  seat = 0;

  constructor(page, folder) {
    this.page = page;
    this.folder = folder;
  }

  /** What `of` gives of window.tickover. */
  get(of) {
    return this.page.evaluate(`(${of})(window.tickover)`);
  }

  get tick() {
    return this.get((t) => t.tick);
  }

  /** Presses "Play", and waits for a seat and a ship. */
  async play() {
    await this.page.getByTestId("play").click();
    await this.page.waitForFunction(() => window.tickover?.position !== undefined);
    this.seat = await this.get((t) => t.seat);
    assert(this.seat > 0, "has a seat");
  }

  /** Waits until the room has gone `more` ticks beyond one, and sees that the seat is the same. */
  async playsOn(tick, more, when) {
    await this.page.waitForFunction((least) => window.tickover.status === "open" && window.tickover.tick > least, tick + more);
    assert.equal(await this.get((t) => t.seat), this.seat, `the same seat ${when}`);
  }

  /** Holds a key down until the own ship has moved as the server sees it. It may be shot down meanwhile: then it tries again. */
  async moves(when) {
    for (let tries = 0; tries < 6; tries++) {
      await this.page.waitForFunction(() => window.tickover.room.state.ships[window.tickover.seat]?.up);
      const { x } = await this.get((t) => t.position);
      const [key, way] = x < 800 ? ["KeyD", 1] : ["KeyA", -1];
      await this.page.keyboard.down(key);
      const moved = await this.page
        .waitForFunction(([x, way]) => (window.tickover.position.x - x) * way > 60, [x, way], { timeout: 3000 })
        .then(() => true, () => false);
      await this.page.keyboard.up(key);
      if (moved) return;
    }
    assert.fail(`the ship does not move ${when}`);
  }

  shot(name) {
    return this.page.screenshot({ path: join(this.folder, `${name}.png`) });
  }
}
