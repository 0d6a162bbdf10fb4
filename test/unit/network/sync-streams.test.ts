/** Sync streams, and with them frames on a real libp2p stream: order, backpressure, limits, endings. */

import { zstdCompressSync } from "node:zlib";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import { encodeFrame } from "@openclaw/core/sync/frame.ts";
import type { Host } from "@openclaw/edge-runtime/network/host.ts";
import {
  STREAM_WINDOW_BYTES_MAX,
  STREAM_WRITE_BYTES_MAX,
  SYNC_HELLO_BYTES_MAX,
  SYNC_STREAMS_TOTAL_MAX,
} from "@openclaw/edge-runtime/network/limits.ts";
import {
  dialParent,
  dialSync,
  handleSync,
  SYNC_PROTOCOL,
  type SyncStream,
  TrafficCounter,
} from "@openclaw/edge-runtime/network/sync-streams.ts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Libp2pCluster, nodeId } from "./libp2p-cluster.ts";

const WAIT = { timeout: 20_000, interval: 5 };

/** One end of a stream, with what happened to it. */
class End {
  readonly stream: SyncStream;
  readonly received: Uint8Array[] = [];
  drains = 0;
  closed: Error | null | "open" = "open";

  constructor(stream: SyncStream) {
    this.stream = stream;
  }

  listen(onMessage: (message: Uint8Array) => void = () => undefined): this {
    this.stream.receive({
      message: (message) => {
        this.received.push(message);
        onMessage(message);
      },
      drained: () => this.drains++,
      closed: (reason) => {
        this.closed = reason;
      },
    });
    return this;
  }
}

let cluster: Libp2pCluster;
let parent: Host;
let child: Host;
let address: string;
const accepted: SyncStream[] = [];
let stopHandling: () => Promise<void>;

beforeEach(async () => {
  cluster = await Libp2pCluster.create(0);
  [parent, child] = await Promise.all([
    cluster.host(await cluster.member(nodeId("hub-1"))),
    cluster.host(await cluster.member(nodeId("california-1"))),
  ]);
  cluster.hosts.set(nodeId("hub-1"), parent);
  cluster.hosts.set(nodeId("california-1"), child);
  address = String(parent.getMultiaddrs()[0]);
  accepted.length = 0;
  stopHandling = await handleSync(
    parent,
    (stream) => accepted.push(stream),
    () => {},
  );
});
afterEach(() => cluster.destroy());

async function connected(): Promise<{ atChild: End; atParent: End }> {
  const before = accepted.length;
  const atChild = new End(await dialSync(child, [address], AbortSignal.timeout(10_000)));
  await vi.waitFor(() => expect(accepted.length).toBe(before + 1), WAIT);
  const stream = accepted[before];
  if (stream === undefined) throw new Error("no stream");
  return { atChild, atParent: new End(stream) };
}

const numberOf = (message: Uint8Array): number => new DataView(message.buffer, message.byteOffset).getUint32(0);

function numberedFrame(number: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes);
  new DataView(frame.buffer).setUint32(0, number);
  return frame;
}

test("both ends know whom they speak to, and frames arrive in order both ways", async () => {
  const { atChild, atParent } = await connected();
  expect(atChild.stream.remotePeer).toBe(parent.peerId.toString());
  expect(atParent.stream.remotePeer).toBe(child.peerId.toString());
  atParent.listen((message) => atParent.stream.send(message));
  atChild.listen();
  const sizes = [4, 5, 100, 65_536, 1_000_000, 4, 300_000];
  sizes.forEach((bytes, i) => {
    atChild.stream.send(numberedFrame(i, bytes));
  });
  await vi.waitFor(() => expect(atChild.received).toHaveLength(sizes.length), WAIT);
  expect(atChild.received.map((message) => [numberOf(message), message.length])).toEqual(
    sizes.map((bytes, i) => [i, bytes]),
  );
});

test("a frame of the largest size arrives, a larger one is refused where it is sent", async () => {
  const { atChild, atParent } = await connected();
  atChild.listen();
  atParent.listen();
  atChild.stream.send(new Uint8Array(1));
  atChild.stream.send(new Uint8Array(FRAME_BYTES_MAX).fill(7));
  expect(() => atChild.stream.send(new Uint8Array(FRAME_BYTES_MAX + 1))).toThrow(
    expect.objectContaining({ code: "FRAME_TOO_LARGE" }),
  );
  await vi.waitFor(
    () => expect(atParent.received.map((message) => message.length)).toEqual([1, FRAME_BYTES_MAX]),
    WAIT,
  );
});

test("X1: the first frame of a child is small", async () => {
  const { atChild, atParent } = await connected();
  atChild.listen();
  atParent.listen();
  atChild.stream.send(new Uint8Array(SYNC_HELLO_BYTES_MAX + 1));
  await vi.waitFor(() => expect(atParent.closed).toMatchObject({ code: "FRAME_TOO_LARGE" }), WAIT);
  await vi.waitFor(() => expect(atChild.closed).toBeInstanceOf(Error), WAIT);
});

describe("between clusters", () => {
  async function uplinked(): Promise<{ atChild: End; atParent: End; traffic: TrafficCounter }> {
    const before = accepted.length;
    const traffic = new TrafficCounter();
    const atChild = new End(await dialParent(child, [address], traffic, AbortSignal.timeout(10_000)));
    await vi.waitFor(() => expect(accepted.length).toBe(before + 1), WAIT);
    const stream = accepted[before];
    if (stream === undefined) throw new Error("no stream");
    return { atChild, atParent: new End(stream), traffic };
  }

  test("frames are compressed both ways, arrive as they were in their order, and their bytes are counted", async () => {
    const { atChild, atParent, traffic } = await uplinked();
    atParent.listen((message) => atParent.stream.send(message));
    atChild.listen();
    const sizes = [4, 200_000, 5, 3_000_000, 100];
    sizes.forEach((bytes, i) => void atChild.stream.send(numberedFrame(i, bytes)));
    await vi.waitFor(() => expect(atChild.received).toHaveLength(sizes.length), WAIT);
    expect(atChild.received.map((message) => [numberOf(message), message.length])).toEqual(
      sizes.map((bytes, i) => [i, bytes]),
    );
    expect(traffic.sent).toBeLessThan(2_000);
    expect(traffic.received).toBe(traffic.sent);
  });

  test("X1: a bomb closes its own stream FRAME_TOO_LARGE, and no other", async () => {
    const other = await uplinked();
    other.atParent.listen();
    other.atChild.listen().stream.send(numberedFrame(1, 4));
    const raw = await child.dialProtocol(parent.getMultiaddrs(), "/openclaw/uplink/1");
    await vi.waitFor(() => expect(accepted).toHaveLength(2), WAIT);
    const [, stream] = accepted;
    if (stream === undefined) throw new Error("no stream");
    const atParent = new End(stream).listen();
    const bomb = zstdCompressSync(new Uint8Array(SYNC_HELLO_BYTES_MAX + 1));
    raw.send(encodeFrame(Uint8Array.of(1), bomb));
    await vi.waitFor(() => expect(atParent.closed).toMatchObject({ code: "FRAME_TOO_LARGE" }), WAIT);
    expect(atParent.received).toEqual([]);
    other.atChild.stream.send(numberedFrame(2, 100_000));
    await vi.waitFor(() => expect(other.atParent.received.map(numberOf)).toEqual([1, 2]), WAIT);
  });
});

describe("X1: a slow reader", () => {
  test("makes send return false; drained comes when it reads, every time, and nothing is lost", async () => {
    const { atChild, atParent } = await connected();
    atChild.listen();
    const total = 400;
    let sent = 0;
    let stops = 0;
    const pump = (): void => {
      while (sent < total) {
        if (!atChild.stream.send(numberedFrame(sent++, 50_000))) {
          stops++;
          return;
        }
      }
    };
    atChild.stream.receive({ message: () => undefined, drained: pump, closed: () => undefined });
    pump();
    expect(stops).toBe(1);
    const sentBeforeReading = sent;
    // Nothing is read: what the child may send is a window and what the sockets hold, not all of it.
    expect(sentBeforeReading * 50_000).toBeLessThan(STREAM_WINDOW_BYTES_MAX * 8);
    atParent.listen();
    await vi.waitFor(() => expect(atParent.received).toHaveLength(total), WAIT);
    expect(atParent.received.map(numberOf)).toEqual(Array.from({ length: total }, (_, i) => i));
    expect(stops).toBeGreaterThan(2);
  });

  test("that never reads costs a bounded amount, and is closed with OVERLOADED when it is ignored", async () => {
    const { atChild, atParent } = await connected();
    atChild.listen();
    let sent = 0;
    while (atChild.closed === "open" && sent < 10_000) {
      atChild.stream.send(new Uint8Array(65_536));
      sent++;
    }
    expect(atChild.closed).toMatchObject({ code: "OVERLOADED" });
    expect(sent * 65_536).toBeLessThan(STREAM_WRITE_BYTES_MAX + 8 * STREAM_WINDOW_BYTES_MAX);
    expect(atChild.stream.send(new Uint8Array(1))).toBe(false);
    atParent.listen();
    await vi.waitFor(() => expect(atParent.closed).toBeInstanceOf(Error), WAIT);
    // The host goes on.
    const next = await connected();
    next.atParent.listen();
    next.atChild.listen().stream.send(numberedFrame(1, 4));
    await vi.waitFor(() => expect(next.atParent.received).toHaveLength(1), WAIT);
  });
});

describe("endings", () => {
  test("close sends what waits first; both ends end without an error", async () => {
    const { atChild, atParent } = await connected();
    atChild.listen();
    for (let i = 0; i < 20; i++) atChild.stream.send(numberedFrame(i, 100_000));
    atChild.stream.close();
    atParent.listen();
    await vi.waitFor(() => expect([atChild.closed, atParent.closed]).toEqual([null, null]), WAIT);
    expect(atParent.received).toHaveLength(20);
  });

  test("a parent that closes while the child still sends ends both", async () => {
    const { atChild, atParent } = await connected();
    atChild.listen();
    atParent.listen(() => atParent.stream.close());
    atChild.stream.send(numberedFrame(1, 4));
    atChild.stream.send(numberedFrame(2, 3_000_000));
    await vi.waitFor(() => expect([atChild.closed, atParent.closed]).not.toContain("open"), WAIT);
    expect(atParent.received).toHaveLength(1);
  });

  test("a host that stops ends its streams at the other side", async () => {
    const { atChild, atParent } = await connected();
    atChild.listen();
    atParent.listen();
    await parent.stop();
    await vi.waitFor(() => expect(atChild.closed).not.toBe("open"), WAIT);
  });

  test("a stream that ends inside a frame is MALFORMED_FRAME", async () => {
    const raw = await child.dialProtocol(parent.getMultiaddrs(), SYNC_PROTOCOL);
    await vi.waitFor(() => expect(accepted).toHaveLength(1), WAIT);
    const stream = accepted[0];
    if (stream === undefined) throw new Error("no stream");
    const atParent = new End(stream).listen();
    raw.send(Uint8Array.of(0, 0, 0, 9, 1, 2));
    await raw.close();
    await vi.waitFor(() => expect(atParent.closed).toMatchObject({ code: "MALFORMED_FRAME" }), WAIT);
  });

  test("nobody there is UNAVAILABLE, and so is a host that has stopped handling", async () => {
    await expect(dialSync(child, ["/ip4/127.0.0.1/tcp/1"], AbortSignal.timeout(5_000))).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
    await stopHandling();
    await expect(dialSync(child, [address], AbortSignal.timeout(5_000))).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

test("X1: a sync stream beyond the limit is refused, and whoever counts refusals hears of it", async () => {
  const handlers: ((stream: object, connection: object) => void)[] = [];
  const host = { handle: async (_: string, handler: (typeof handlers)[0]) => void handlers.push(handler) };
  const [taken, refused, aborted] = [[] as unknown[], [] as string[], [] as unknown[]];
  await handleSync(
    host as never,
    (stream) => taken.push(stream),
    ({ code }, peer) => refused.push(`${code} ${peer}`),
  );
  const stream = {
    status: "open",
    addEventListener: () => {},
    pause: () => {},
    abort: (error: unknown) => aborted.push(error),
  };
  const open = () => handlers[0]?.({ ...stream }, { remotePeer: "somebody" });
  for (let i = 0; i < SYNC_STREAMS_TOTAL_MAX; i++) open();
  expect([taken.length, refused.length]).toEqual([SYNC_STREAMS_TOTAL_MAX, 0]);
  open();
  expect([taken.length, refused, aborted.length]).toEqual([SYNC_STREAMS_TOTAL_MAX, ["OVERLOADED somebody"], 1]);
});
