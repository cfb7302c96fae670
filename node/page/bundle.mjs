// Bundles the demo page into a folder. The same sources give the same bytes: no dates, no paths, no source maps.
import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const client = join(here, "../../client/ts");
// The page has no packages of its own: `npm ci` in client/ts is all it takes.
const { buildSync } = createRequire(join(client, "package.json"))("esbuild");

export const dist = join(here, "dist");

export function bundle(folder) {
  mkdirSync(folder, { recursive: true });
  const common = { absWorkingDir: here, bundle: true, minify: true, charset: "utf8", legalComments: "none", target: "es2022", logLevel: "warning" };
  buildSync({ ...common, entryPoints: ["src/main.ts"], format: "esm", alias: { tickover: join(client, "src/index.ts") }, outfile: join(folder, "app.js") });
  buildSync({ ...common, entryPoints: ["style.css"], outfile: join(folder, "style.css") });
  copyFileSync(join(here, "index.html"), join(folder, "index.html"));
}
