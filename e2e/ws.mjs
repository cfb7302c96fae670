// Talks to the echo server through npm's ws, which has never heard of us: node ws.mjs URL
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

const WebSocket = createRequire(new URL("../client/ts/package.json", import.meta.url))("ws");
const url = process.argv[2];

async function open(options) {
  const socket = new WebSocket(url, options);
  await once(socket, "open");
  return socket;
}

async function echoed(socket, data) {
  const answer = once(socket, "message");
  socket.send(data);
  const [got, binary] = await answer;
  assert.equal(binary, typeof data !== "string");
  assert.ok(Buffer.from(data).equals(got), `${data.length} characters or bytes came back wrong`);
}

{ // Messages of every length form, of both kinds; compression is offered and not taken.
  const socket = await open({ perMessageDeflate: true });
  assert.equal(socket.extensions, "");
  assert.equal(socket.protocol, "");
  for (const length of [0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 20]) {
    await echoed(socket, Buffer.alloc(length, 0xfe));
    await echoed(socket, "€".repeat(length));
  }
  const pong = once(socket, "pong");
  socket.ping("are you there?");
  assert.equal(String((await pong)[0]), "are you there?");

  // Fragments, with a ping between them.
  const answer = once(socket, "message");
  const between = once(socket, "pong");
  socket.send("tick", { fin: false });
  socket.ping("between");
  socket.send("over", { fin: true });
  assert.equal(String((await between)[0]), "between");
  assert.equal(String((await answer)[0]), "tickover");

  const closed = once(socket, "close");
  socket.close(4321, "enough");
  const [code, reason] = await closed;
  assert.deepEqual([code, String(reason)], [4321, "enough"]);
}

{ // A close without a code is answered by one without a code.
  const socket = await open();
  const closed = once(socket, "close");
  socket.close();
  assert.equal((await closed)[0], 1005);
}

{ // A broken text is refused with its code; the client counts the connection as closed, not as lost.
  const socket = await open();
  const closed = once(socket, "close");
  socket.send(Buffer.from([0xff]), { binary: false });
  assert.equal((await closed)[0], 1007);
}
