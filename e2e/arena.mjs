// Plays the arena in a real browser through lost connections: node arena.mjs PAGE CONTROL FOLDER
// CONTROL takes POST /cut (the connection is reset and refused for three seconds) and POST /restart (of the server).
import { withArena } from "./arena-page.mjs";

const [pageURL, control, folder] = process.argv.slice(2);

await withArena(folder, async (arena) => {
  const { page } = arena;
  await page.goto(`${pageURL}&bots=50&name=ann#e2e`);
  await arena.shot("1-start");
  await arena.play();
  await page.waitForFunction(() => Object.keys(window.tickover.room.state.ships).length === 51); // 50 bots and ann
  await arena.moves("joined");
  await arena.shot("2-playing");

  const before = await arena.tick;
  await fetch(`${control}/cut`, { method: "POST" });
  await page.waitForFunction(() => window.tickover.status !== "open");
  await page.waitForTimeout(600);
  await arena.shot("3-connection-lost");
  await back(arena, before, "after the cut");
  await arena.shot("4-back");

  const tick = await arena.tick;
  await fetch(`${control}/restart`, { method: "POST" });
  await back(arena, tick, "after the restart");
  await arena.shot("5-back-after-restart");
});

// back waits for the same seat at a later tick, and sees that it can be played.
async function back(arena, tick, when) {
  await arena.playsOn(tick, 0, when);
  await arena.moves(when);
  console.log(`${when}: seat ${arena.seat}, tick ${await arena.tick}, reconnects ${await arena.get((t) => t.reconnects)}`);
}
