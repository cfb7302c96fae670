import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encode } from "@msgpack/msgpack";
import * as protocol from "../src/protocol.js";

/** The examples of PROTOCOL.md section 7: a message in JSON's notation on one line, its bytes in hex on the next. */
function examples(): { fields: unknown[]; hex: string }[] {
  const text = readFileSync(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8");
  const section = text.slice(text.indexOf("## 7. Examples"));
  return [...section.matchAll(/^(\[.*\])\n([0-9a-f ]+)$/gm)].map((m) => ({ fields: JSON.parse(m[1]!) as unknown[], hex: m[2]!.replaceAll(" ", "") }));
}

function encoded(f: unknown[]): Uint8Array {
  const [n, s] = [f as number[], f as string[]];
  switch (n[0]) {
    case 1: return protocol.encodeHello({ run: n[2]!, token: s[3]!, session: s[4]!, secret: s[5]!, rooms: f[6] as protocol.HeldRoom[], attempt: n[7]! });
    case 2: return protocol.encodeJoin(n[1]!, n[2] as protocol.JoinMode, s[3]!, s[4]!, f[5]);
    case 3: return protocol.encodeLeave(n[1]!, n[2]!);
    case 4: return protocol.encodeInput(n[1]!, n[2]!, n[3]!, n[4]!, protocol.encodeValue(f[5]));
    case 5: return protocol.encodeAck(n[1]!, n[2]!, n[3]!);
    case 6: return protocol.encodePing(n[1]!);
    default: throw new Error(`not a client's message: ${n[0]}`);
  }
}

test("this client writes and reads the protocol document's examples", () => {
  const all = examples();
  const kinds = new Set(all.map((e) => e.fields[0]));
  for (const kind of [1, 2, 3, 4, 5, 6, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]) assert.ok(kinds.has(kind), `no example of type ${kind}`);
  for (const { fields, hex } of all) {
    if ((fields[0] as number) < 16) {
      assert.equal(Buffer.from(encoded(fields)).toString("hex"), hex);
      continue;
    }
    const fromBytes = protocol.decodeServer(Buffer.from(hex, "hex"));
    assert.deepEqual(fromBytes, protocol.decodeServer(encode(fields)));
    assert.deepEqual(Object.values(fromBytes[0]!).slice(1), fields.slice(1)); // the fields, in the document's order
  }
});
