/** Who may speak Raft here, and what happens to the others. */

import { utf8 } from "@openclaw/core/bytes.ts";
import { decode, encode } from "@openclaw/core/codec.ts";
import { revision } from "@openclaw/core/ids.ts";
import { encodeMessages } from "@openclaw/core/raft/message-codec.ts";
import { encodeFrame } from "@openclaw/core/sync/frame.ts";
import { dialTarget } from "@openclaw/edge-runtime/network/address.ts";
import { FrameStream } from "@openclaw/edge-runtime/network/frame.ts";
import { Handshake, TRANSPORT_VERSION } from "@openclaw/edge-runtime/network/handshake.ts";
import type { Host } from "@openclaw/edge-runtime/network/host.ts";
import { ClusterKey } from "@openclaw/edge-runtime/network/identity.ts";
import {
  RAFT_PROTOCOL,
  type RaftTransport,
  type RaftTransportOptions,
  SNAPSHOT_PROTOCOL,
} from "@openclaw/edge-runtime/network/raft-transport.ts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { chunksOf, Inbox, numbered, snapshotHeader } from "../../contracts/transport.ts";
import { clusterId, EPOCH, Libp2pCluster, type Member, nodeId } from "./libp2p-cluster.ts";

type Stream = Awaited<ReturnType<Host["dialProtocol"]>>;

const a = nodeId("california-1");
const b = nodeId("california-2");
const WAIT = { timeout: 20_000, interval: 5 };

let cluster: Libp2pCluster;
let transport: RaftTransport;
let inbox: Inbox;
beforeEach(async () => {
  cluster = await Libp2pCluster.create(2);
  transport = await cluster.start(a);
  inbox = new Inbox(transport);
});
afterEach(() => cluster.destroy());

function memberB(): Member {
  const member = cluster.members.get(b);
  if (member === undefined) throw new Error("no member");
  return member;
}

/** A node at b's place that differs from what it should be. */
async function pretender(member: Member, changes: Partial<RaftTransportOptions> = {}): Promise<RaftTransport> {
  const host = await cluster.host(member);
  cluster.hosts.set(b, host);
  const other = await cluster.transportOf(member, host, changes);
  cluster.transports.set(b, other);
  other.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
  return other;
}

/** Bytes on a raw stream to a; resolves with the frames that come back when a has closed it. */
async function rawStream(protocol: string): Promise<{ stream: Stream; over: Promise<{ frames: Uint8Array[] }> }> {
  const host = await cluster.host(memberB());
  cluster.hosts.set(b, host);
  const location = cluster.locate(a);
  if (location === null) throw new Error("a is nowhere");
  const stream = await host.dialProtocol(dialTarget(location), protocol);
  const frames: Uint8Array[] = [];
  const reader = new FrameStream(stream);
  const over = new Promise<{ frames: Uint8Array[] }>((resolve) => {
    reader.receive({
      message: (frame) => frames.push(frame),
      drained: () => undefined,
      closed: () => resolve({ frames }),
    });
  });
  return { stream, over };
}

const codeOf = (frame: Uint8Array | undefined): unknown => {
  const fields = frame === undefined ? null : decode(frame);
  return Array.isArray(fields) ? fields[1] : null;
};

const handshakeOfB = (): Handshake =>
  new Handshake({
    cluster: cluster.cluster,
    node: b,
    epoch: EPOCH,
    credential: memberB().credential,
    clusterKey: cluster.key.publicKey,
    peerOf: () => null,
    onHigherEpoch: () => undefined,
  });

async function stillServes(): Promise<void> {
  if (cluster.hosts.has(b)) await cluster.stop(b);
  const good = await cluster.start(b);
  good.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
  await vi.waitFor(() => {
    good.send(a, [numbered(b, a, 77)]);
    expect(inbox.numbers).toContain(77);
  }, WAIT);
}

describe("R10: admission", () => {
  const cases: {
    readonly name: string;
    readonly code: string;
    readonly make: () => Promise<{ member: Member; changes: Partial<RaftTransportOptions> }>;
  }[] = [
    {
      name: "a stranger whose credential another key signed",
      code: "NOT_ADMITTED",
      make: async () => {
        const key = await ClusterKey.create(`${cluster.folder}/stranger.key`);
        return { member: await cluster.member(b, key), changes: {} };
      },
    },
    {
      name: "a node with the credential of another peer",
      code: "NOT_ADMITTED",
      make: async () => {
        const other = await cluster.member(b);
        return { member: { ...other, credential: memberB().credential }, changes: {} };
      },
    },
    {
      name: "a node that takes another's name",
      code: "NOT_ADMITTED",
      make: async () => ({ member: await cluster.member(nodeId("california-7")), changes: { node: b } }),
    },
    {
      name: "a node of another cluster",
      code: "WRONG_CLUSTER",
      make: async () => {
        const alaska = clusterId("alaska");
        return { member: await cluster.member(b, cluster.key, alaska), changes: { cluster: alaska } };
      },
    },
    {
      name: "a node of a lower epoch (L3)",
      code: "WRONG_EPOCH",
      make: async () => ({ member: memberB(), changes: { epoch: { ...EPOCH, counter: EPOCH.counter - 1 } } }),
    },
    {
      name: "a node of a fork of this epoch (L3)",
      code: "WRONG_EPOCH",
      make: async () => ({ member: memberB(), changes: { epoch: { ...EPOCH, nonce: "cd".repeat(16) } } }),
    },
  ];
  test.each(cases)("$name is refused $code, closed and logged", async ({ code, make }) => {
    const { member, changes } = await make();
    const other = await pretender(member, changes);
    other.send(a, [numbered(b, a, 1)]);
    await vi.waitFor(() => expect(transport.counters.refused).toBe(1), WAIT);
    expect(cluster.log.lines).toContainEqual({
      text: "refused a peer",
      fields: expect.objectContaining({ code, remotePeer: member.identity.peer }),
    });
    // The dialler is told the code, not only cut off.
    await vi.waitFor(() => {
      const down = { text: "raft link down", fields: expect.objectContaining({ code, peer: a }) };
      expect(cluster.log.lines).toContainEqual(down);
    }, WAIT);
    const header = snapshotHeader(b, EPOCH, []);
    await expect(other.sendSnapshot(a, header, chunksOf([]))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(inbox.messages).toEqual([]);
    await stillServes();
  });

  test("L3: a node that meets a higher epoch is told, at either end", async () => {
    const other = await pretender(memberB(), { epoch: { ...EPOCH, counter: 9 } });
    other.send(a, [numbered(b, a, 1)]);
    await vi.waitFor(() => expect(cluster.higherEpochs).toEqual([{ at: a, counter: 9, from: b }]), WAIT);
    cluster.higherEpochs.length = 0;
    transport.send(b, [numbered(a, b, 1)]);
    await vi.waitFor(() => expect(cluster.higherEpochs).toEqual([{ at: a, counter: 9, from: b }]), WAIT);
    expect(inbox.messages).toEqual([]);
  });

  test("L3: a stranger cannot stop a node by claiming a higher epoch", async () => {
    const key = await ClusterKey.create(`${cluster.folder}/stranger.key`);
    const other = await pretender(await cluster.member(b, key), { epoch: { ...EPOCH, counter: 9 } });
    other.send(a, [numbered(b, a, 1)]);
    await vi.waitFor(() => expect(transport.counters.refused).toBe(1), WAIT);
    expect(cluster.higherEpochs).toEqual([]);
  });

  test("X1: an unknown version is refused by name", async () => {
    for (const protocol of [RAFT_PROTOCOL, SNAPSHOT_PROTOCOL]) {
      const { stream, over } = await rawStream(protocol);
      stream.send(encodeFrame(encode([TRANSPORT_VERSION + 1, "something", "else"])));
      const { frames } = await over;
      expect(frames.map(codeOf)).toEqual(["UNKNOWN_VERSION"]);
      await cluster.stop(b);
    }
    await stillServes();
  });

  test("X1: garbage instead of a hello gets a code and is closed", async () => {
    const garbage: [Uint8Array, string][] = [
      [encodeFrame(Uint8Array.of(0xc1, 1, 2)), "MALFORMED_FRAME"],
      [encodeFrame(new Uint8Array(0)), "MALFORMED_FRAME"],
      [encodeFrame(encode([TRANSPORT_VERSION])), "MALFORMED_FRAME"],
      [encodeFrame(encode([TRANSPORT_VERSION, "__proto__", 0, 1, "", "x", new Uint8Array(3)])), "MALFORMED_FRAME"],
      [Uint8Array.of(0, 16, 0, 0), "FRAME_TOO_LARGE"],
      [Uint8Array.from({ length: 5_000 }, () => 255), "FRAME_TOO_LARGE"],
    ];
    for (const [bytes, code] of garbage) {
      const { stream, over } = await rawStream(RAFT_PROTOCOL);
      stream.send(bytes);
      expect((await over).frames.map(codeOf)).toEqual([code]);
      await cluster.stop(b);
    }
    await stillServes();
  });
});

describe("after admission", () => {
  async function admitted(): Promise<{ stream: Stream; over: Promise<{ frames: Uint8Array[] }> }> {
    const raw = await rawStream(RAFT_PROTOCOL);
    raw.stream.send(encodeFrame(handshakeOfB().hello()));
    return raw;
  }

  const stamped = (payload: Uint8Array, epoch = EPOCH): Uint8Array => {
    const handshake = new Handshake({
      cluster: cluster.cluster,
      node: b,
      epoch,
      credential: memberB().credential,
      clusterKey: cluster.key.publicKey,
      peerOf: () => null,
      onHigherEpoch: () => undefined,
    });
    return encodeFrame(handshake.stamp, payload);
  };

  test("X1: a malformed frame closes the stream with a code and leaves the node alive", async () => {
    const other = encodeMessages([numbered(nodeId("california-7"), a, 1)]);
    const elsewhere = encodeMessages([numbered(b, nodeId("california-7"), 1)]);
    const bad: [Uint8Array, string][] = [
      [stamped(Uint8Array.of(0xc1)), "MALFORMED_FRAME"],
      // [["kind", 1, {}]]: a map, which is never sent.
      [stamped(Uint8Array.of(0x91, 0x93, 0xa4, ...utf8("kind"), 1, 0x80)), "MALFORMED_FRAME"],
      [stamped(other), "MALFORMED_FRAME"],
      [stamped(elsewhere), "MALFORMED_FRAME"],
      [encodeFrame(Uint8Array.of(1, 2, 3)), "MALFORMED_FRAME"],
      [Uint8Array.of(255, 0, 0, 0), "FRAME_TOO_LARGE"],
    ];
    let count = 0;
    for (const [bytes, code] of bad) {
      const { stream, over } = await admitted();
      stream.send(bytes);
      expect((await over).frames.map(codeOf)).toEqual([null, code]);
      await vi.waitFor(() => expect(transport.counters.malformed).toBe(count + 1), WAIT);
      count++;
      await cluster.stop(b);
    }
    expect(inbox.messages).toEqual([]);
    await stillServes();
  });

  test("L3: a frame of another epoch is refused though its stream was admitted", async () => {
    const message = encodeMessages([numbered(b, a, 1)]);
    const { stream, over } = await admitted();
    stream.send(stamped(message));
    stream.send(stamped(message, { counter: 4, nonce: EPOCH.nonce, parent: null, departure: revision(0) }));
    stream.send(stamped(message));
    expect((await over).frames.map(codeOf)).toEqual([null, "WRONG_EPOCH"]);
    expect(inbox.numbers).toEqual([1]);
    expect(cluster.higherEpochs).toEqual([{ at: a, counter: 4, from: b }]);
  });

  test("random bytes at any point leave the node alive", async () => {
    let seed = 1;
    const random = (): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed;
    };
    const { stream: first, over: firstOver } = await admitted();
    first.send(Uint8Array.from({ length: 3_000 }, () => random() >> 8));
    await firstOver;
    await cluster.stop(b);
    for (let round = 0; round < 10; round++) {
      const { stream, over } = await admitted();
      const noise = Uint8Array.from({ length: 1 + (random() % 200) }, () => random() >> 8);
      stream.send(stamped(noise));
      await over;
      await cluster.stop(b);
    }
    await stillServes();
  });
});
