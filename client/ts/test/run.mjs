// Bundles the tests (TypeScript, this package's and the demo page's) for Node and runs them with node --test.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = join(here, "../.build");
const entryPoints = [here, join(here, "../../../node/page/test")]
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((path) => path.endsWith(".test.ts"));

rmSync(out, { recursive: true, force: true });
buildSync({ entryPoints, bundle: true, platform: "node", format: "esm", packages: "external", sourcemap: "inline", outdir: out, entryNames: "[name]", outExtension: { ".js": ".mjs" } });
const files = readdirSync(out).map((name) => join(out, name));
const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", "--test-timeout=60000", ...process.argv.slice(2), ...files], { stdio: "inherit" });
process.exit(run.status ?? 1);
