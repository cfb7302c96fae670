// Exits 1 when dist is not what the sources give.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, dist } from "./bundle.mjs";

const fresh = mkdtempSync(join(tmpdir(), "tickover-page-"));
try {
  bundle(fresh);
  const names = [...new Set([...readdirSync(fresh), ...list(dist)])].sort();
  const stale = names.filter((name) => read(join(fresh, name)) !== read(join(dist, name)));
  if (stale.length > 0) {
    console.error(`node/page/dist is stale (${stale.join(", ")}): run "npm ci && npm run page" in client/ts and commit node/page/dist`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}

function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
