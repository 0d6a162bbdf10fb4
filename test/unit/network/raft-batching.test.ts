/** How the raft transport batches, and what it holds for peers that are slow, gone or too busy. */

import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { SnapshotChunks } from "@openclaw/core/ports.ts";
import { acceptAdmitted, type Guest } from "@openclaw/edge-runtime/network/admitted-stream.ts";
import { Handshake } from "@openclaw/edge-runtime/network/handshake.ts";
import {
  PEER_QUEUE_BYTES_MAX,
  PEER_QUEUE_MESSAGES_MAX,
  SNAPSHOT_WAITING_BYTES_MAX,
  STREAM_WINDOW_BYTES_MAX,
} from "@openclaw/edge-runtime/network/limits.ts";
import { RAFT_PROTOCOL, type RaftTransport } from "@openclaw/edge-runtime/network/raft-transport.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chunksOf, forward, Inbox, numbered, snapshotHeader } from "../../contracts/transport.ts";
import { Libp2pCluster, nodeId, systemClock } from "./libp2p-cluster.ts";

const a = nodeId("california-1");
const b = nodeId("california-2");
const WAIT = { timeout: 20_000, interval: 5 };

let cluster: Libp2pCluster;
let ta: RaftTransport;
beforeEach(async () => {
  cluster = await Libp2pCluster.create(2);
  ta = await cluster.start(a);
  ta.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
});
afterEach(() => cluster.destroy());

test("R3: what comes in one turn goes in one frame, the first message after silence at once", async () => {
  const inbox = new Inbox(await cluster.start(b));
  ta.send(b, [numbered(a, b, 0)]);
  await vi.waitFor(() => expect(inbox.numbers).toEqual([0]), WAIT);
  const before = ta.counters.framesSent;
  for (let i = 1; i <= 100; i++) ta.send(b, [numbered(a, b, i)]);
  await Promise.resolve();
  expect(ta.counters.framesSent).toBe(before + 1);
  // The frame before is on its way: what comes now waits for the turn to end, and goes together.
  for (let i = 101; i <= 200; i++) ta.send(b, [numbered(a, b, i)]);
  await vi.waitFor(() => expect(inbox.numbers).toHaveLength(201), WAIT);
  expect(ta.counters.framesSent).toBe(before + 2);
  expect(inbox.numbers).toEqual(Array.from({ length: 201 }, (_, i) => i));
});

/** A node at b that is admitted and then reads nothing. */
async function deafPeer(): Promise<{ readonly guests: Guest[] }> {
  const member = cluster.members.get(b);
  if (member === undefined) throw new Error("no member");
  const host = await cluster.host(member);
  cluster.hosts.set(b, host);
  const handshake = new Handshake({
    cluster: cluster.cluster,
    node: b,
    epoch: cluster.epoch,
    credential: member.credential,
    clusterKey: cluster.key.publicKey,
    peerOf: () => null,
    onHigherEpoch: () => undefined,
  });
  const guests: Guest[] = [];
  await host.handle(RAFT_PROTOCOL, (stream, connection) => {
    const enter = (guest: Guest): void => {
      guest.frames.detach();
      guests.push(guest);
    };
    acceptAdmitted({ host, handshake, clock: systemClock }, stream, connection, enter, () => undefined);
  });
  return { guests };
}

test("X1: a peer that reads nothing costs a bounded queue; the rest is dropped and counted", async () => {
  const { guests } = await deafPeer();
  ta.send(b, [numbered(a, b, 1)]);
  await vi.waitFor(() => expect(guests).toHaveLength(1), WAIT);
  const data = new Uint8Array(10_000);
  for (let round = 0; round < 40; round++) {
    ta.send(
      b,
      Array.from({ length: 200 }, () => forward(a, b, data)),
    );
    await new Promise((done) => setImmediate(done));
  }
  const [link] = ta.links();
  expect(link?.state).toBe("open");
  expect((link?.queued ?? 0) * data.length).toBeLessThanOrEqual(PEER_QUEUE_BYTES_MAX);
  expect(ta.counters.droppedFull).toBeGreaterThan(0);
  // What left the queue is in the peer's window, the sockets and one write buffer.
  expect(ta.counters.bytesSent).toBeLessThan(2 * FRAME_BYTES_MAX + 4 * STREAM_WINDOW_BYTES_MAX);
  // Small messages are bounded by their number.
  ta.send(
    b,
    Array.from({ length: 2 * PEER_QUEUE_MESSAGES_MAX }, (_, i) => numbered(a, b, i)),
  );
  expect(ta.links()[0]?.queued).toBeLessThanOrEqual(PEER_QUEUE_MESSAGES_MAX);
});

test("a message that fits no frame is dropped and counted, and the next one goes", async () => {
  const inbox = new Inbox(await cluster.start(b));
  ta.send(b, [forward(a, b, new Uint8Array(FRAME_BYTES_MAX))]);
  ta.send(b, [numbered(a, b, 5)]);
  await vi.waitFor(() => expect(inbox.numbers).toEqual([5]), WAIT);
  expect(ta.counters.droppedTooLarge).toBe(1);
});

test("a peer that comes back is reached at once when it dials, not after the pause", async () => {
  for (let i = 0; i < 8; i++) {
    ta.send(b, [numbered(a, b, i)]);
    await vi.waitFor(() => expect(ta.links()[0]?.state).not.toBe("dialling"), WAIT);
    await vi.waitFor(() => expect(ta.links()[0]?.state).toBe("idle"), WAIT);
    if (i === 4) break;
  }
  ta.send(b, [numbered(a, b, 9)]);
  await vi.waitFor(() => expect(ta.links()[0]?.state).toBe("pausing"), WAIT);
  const tb = await cluster.start(b);
  const inbox = new Inbox(tb);
  tb.send(a, [numbered(b, a, 1)]);
  await vi.waitFor(() => expect(ta.counters.messagesReceived).toBe(1), WAIT);
  expect(ta.links()[0]?.state).not.toBe("pausing");
  ta.send(b, [numbered(a, b, 10)]);
  await vi.waitFor(() => expect(inbox.numbers).toEqual([10]), WAIT);
});

test("a node that was stopped and started is listened to again", async () => {
  const inboxOfA: number[] = [];
  ta.receive({
    messages: (messages) => {
      for (const message of messages) if (message.kind === "readIndex") inboxOfA.push(message.context);
    },
    snapshot: () => Promise.resolve(),
  });
  const first = await cluster.start(b);
  first.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
  first.send(a, [numbered(b, a, 1)]);
  await vi.waitFor(() => expect(inboxOfA).toEqual([1]), WAIT);
  await cluster.stop(b);
  const second = await cluster.start(b);
  second.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
  second.send(a, [numbered(b, a, 2)]);
  await vi.waitFor(() => expect(inboxOfA).toEqual([1, 2]), WAIT);
});

test("X1: a snapshot's source is read only as fast as the receiver stages it", async () => {
  const tb = await cluster.start(b);
  const gate = Promise.withResolvers<void>();
  const piece = new Uint8Array(256_000);
  const pieces = Array.from({ length: 200 }, () => piece);
  let read = 0;
  let staged = 0;
  let mostInFlight = 0;
  tb.receive({
    messages: () => undefined,
    snapshot: async (_header, incoming) => {
      const chunks = incoming(0);
      await gate.promise;
      for await (const chunk of chunks) {
        staged += chunk.length;
        // A slow disk.
        await new Promise((done) => setImmediate(done));
      }
    },
  });
  const source: SnapshotChunks = async function* () {
    for (const chunk of pieces) {
      read += chunk.length;
      mostInFlight = Math.max(mostInFlight, read - staged);
      yield chunk;
    }
  };
  const sending = ta.sendSnapshot(b, snapshotHeader(a, cluster.epoch, pieces), source);
  let last = -1;
  await vi.waitFor(
    () => {
      const moved = read !== last;
      last = read;
      expect(moved).toBe(false);
      expect(read).toBeGreaterThan(SNAPSHOT_WAITING_BYTES_MAX);
    },
    { timeout: 20_000, interval: 200 },
  );
  gate.resolve();
  await sending;
  expect(staged).toBe(pieces.length * piece.length);
  const bound = SNAPSHOT_WAITING_BYTES_MAX + 10 * STREAM_WINDOW_BYTES_MAX;
  expect(mostInFlight).toBeLessThan(bound);
  expect(bound).toBeLessThan((pieces.length * piece.length) / 3);
});

test("a snapshot that is longer or shorter than its header says is refused", async () => {
  const tb = await cluster.start(b);
  const outcomes: string[] = [];
  tb.receive({
    messages: () => undefined,
    snapshot: async (_header, incoming) => {
      try {
        for await (const chunk of incoming(0)) void chunk;
        outcomes.push("whole");
      } catch (error) {
        outcomes.push("broken");
        throw error;
      }
    },
  });
  const header = snapshotHeader(a, cluster.epoch, [new Uint8Array(10)]);
  for (const bytes of [9, 11]) {
    const sending = ta.sendSnapshot(b, header, chunksOf([new Uint8Array(bytes)]));
    await expect(sending).rejects.toThrow(/header said/);
  }
  await vi.waitFor(() => expect(outcomes).toEqual(["broken", "broken"]), WAIT);
});

test("X1: one snapshot is received at a time; another is told to come later", async () => {
  const tb = await cluster.start(b);
  const gate = Promise.withResolvers<void>();
  let entered = 0;
  tb.receive({
    messages: () => undefined,
    snapshot: async (_header, incoming) => {
      entered++;
      for await (const chunk of incoming(0)) void chunk;
      await gate.promise;
    },
  });
  const header = snapshotHeader(a, cluster.epoch, []);
  const first = ta.sendSnapshot(b, header, chunksOf([]));
  await vi.waitFor(() => expect(entered).toBe(1), WAIT);
  await expect(ta.sendSnapshot(b, header, chunksOf([]))).rejects.toThrow(/being received/);
  gate.resolve();
  await first;
});
