/** Few writes to a socket, and no stream that waits for ever for a window that was held back. */
import { Socket } from "node:net";
import type { Host } from "@openclaw/edge-runtime/network/host.ts";
import { STREAM_WINDOW_BYTES_MAX } from "@openclaw/edge-runtime/network/limits.ts";
import { dialSync, handleSync, type SyncStream } from "@openclaw/edge-runtime/network/sync-streams.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Libp2pCluster, nodeId } from "./libp2p-cluster.ts";

const WAIT = { timeout: 20_000, interval: 5 };
const QUIET = { message: () => undefined, drained: () => undefined, closed: () => undefined };

let cluster: Libp2pCluster;
let parent: Host;
let child: Host;
let stream: SyncStream;
const accepted: SyncStream[] = [];

beforeEach(async () => {
  cluster = await Libp2pCluster.create(0);
  [parent, child] = await Promise.all([
    cluster.host(await cluster.member(nodeId("hub-1"))),
    cluster.host(await cluster.member(nodeId("california-1"))),
  ]);
  cluster.hosts.set(nodeId("hub-1"), parent);
  cluster.hosts.set(nodeId("california-1"), child);
  accepted.length = 0;
  await handleSync(
    parent,
    (one) => accepted.push(one),
    () => {},
  );
  stream = await dialSync(child, [String(parent.getMultiaddrs()[0])], AbortSignal.timeout(10_000));
  await vi.waitFor(() => expect(accepted).toHaveLength(1), WAIT);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await cluster.destroy();
});

test("a message and its answer are one write each way, window updates included", async () => {
  const ROUNDS = 200;
  accepted[0]?.receive({ ...QUIET, message: (message) => void accepted[0]?.send(message) });
  let answers = 0;
  const answered = new Promise<void>((resolve) => {
    stream.receive({
      ...QUIET,
      message: (message) => {
        if (++answers === ROUNDS) resolve();
        else stream.send(message);
      },
    });
  });
  const writes = vi.spyOn(Socket.prototype, "write");
  stream.send(new Uint8Array(100));
  await answered;
  // Identify, pings and gossip write now and then, too.
  expect(writes.mock.calls.length).toBeLessThan(2 * ROUNDS * 1.25);
});

test("a message that is not answered costs no write back", async () => {
  const ROUNDS = 200;
  let received = 0;
  accepted[0]?.receive({ ...QUIET, message: () => received++ });
  stream.receive(QUIET);
  const writes = vi.spyOn(Socket.prototype, "write");
  for (let i = 1; i <= ROUNDS; i++) {
    stream.send(new Uint8Array(100));
    await vi.waitFor(() => expect(received).toBe(i), { ...WAIT, interval: 1 });
  }
  expect(writes.mock.calls.length).toBeLessThan(ROUNDS * 1.25);
});

test("what one turn of the event loop sends is one write", async () => {
  let received = 0;
  accepted[0]?.receive({ ...QUIET, message: () => received++ });
  stream.receive(QUIET);
  const writes = vi.spyOn(Socket.prototype, "write");
  for (let i = 0; i < 100; i++) stream.send(Uint8Array.of(i));
  await vi.waitFor(() => expect(received).toBe(100), WAIT);
  expect(writes.mock.calls.length).toBeLessThan(25);
});

test("a stream that goes one way gets its window back, many times over", async () => {
  const FRAME = 10_000;
  const frames = Math.ceil((8 * STREAM_WINDOW_BYTES_MAX) / FRAME);
  let received = 0;
  accepted[0]?.receive({ ...QUIET, message: () => received++ });
  let sent = 0;
  const send = (): void => {
    while (sent < frames) {
      sent++;
      if (!stream.send(new Uint8Array(FRAME))) return;
    }
  };
  stream.receive({ ...QUIET, drained: send });
  send();
  // Sooner than a ping, whose answer would bring a window with it.
  await vi.waitFor(() => expect(received).toBe(frames), { ...WAIT, timeout: 8_000 });
});

test("what was sent before a close still arrives", async () => {
  const received: number[] = [];
  accepted[0]?.receive({ ...QUIET, message: ([first = -1]) => void received.push(first) });
  stream.receive(QUIET);
  stream.send(Uint8Array.of(7));
  await child.stop();
  await vi.waitFor(() => expect(received).toEqual([7]), WAIT);
});
