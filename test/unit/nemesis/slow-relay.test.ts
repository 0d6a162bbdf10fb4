/** The nemesis's slow network: late, whole, in order, each way; broken when it ends. */
import { randomBytes } from "node:crypto";
import net from "node:net";
import { buffer } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { SlowRelay } from "../../nemesis/slow-relay.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const HOST = "127.0.0.1";

/** A server that sends back what it gets, and a relay in front of it. */
async function relayed(delayMs: () => number): Promise<{ relay: SlowRelay; caller: net.Socket }> {
  const echo = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  onTestFinished(() => void echo.close());
  await new Promise<void>((resolve) => echo.listen(0, HOST, resolve));
  const address = echo.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  const relay = await SlowRelay.open(HOST, [{ host: HOST, port: address.port }], delayMs);
  onTestFinished(() => relay.close());
  const caller = net.connect({ host: HOST, port: relay.ports[0] ?? 0, allowHalfOpen: true });
  return { relay, caller };
}

test("pieces that are held for times of their own arrive whole, in order, both ways", async () => {
  const random = new SeededRandom(1);
  const { relay, caller } = await relayed(() => random.unit() * 20);
  const pieces = Array.from({ length: 200 }, (_, i) => randomBytes(1 + i * 50));
  const echoed = buffer(caller);
  for (const piece of pieces) {
    // One by one, so that they are pieces for the relay too.
    await new Promise((resolve) => caller.write(piece, resolve));
  }
  caller.end();
  const sent = Buffer.concat(pieces);
  expect((await echoed).equals(sent)).toBe(true);
  expect(relay.carried).toBe(2 * sent.length);
});

test("what is not due does not arrive, and is lost when the relay closes", async () => {
  const { relay, caller } = await relayed(() => 3_600_000);
  const echoed = buffer(caller).catch(() => Buffer.alloc(0)); // reset
  await new Promise((resolve) => caller.write("late", resolve));
  // Once the bytes are on their way.
  await expect.poll(() => relay.underway).toBe(4);
  await relay.close();
  expect((await echoed).length).toBe(0);
  expect(relay.carried).toBe(0);
});
