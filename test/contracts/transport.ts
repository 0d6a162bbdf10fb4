/** What every Transport between the nodes of a cluster does. Call it inside a test file with the transport to be tested. */
import { concatBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Epoch, index, type NodeId, revision, term } from "@openclaw/core/ids.ts";
import type { SnapshotChunks, SnapshotHeader, Transport } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { snapshotPieces } from "../simulation/snapshot-pieces.ts";

/** A cluster of at least two nodes that know each other's addresses. */
export interface TransportCluster {
  readonly nodes: readonly NodeId[];
  readonly epoch: Epoch;
  /** A name of the same cluster that nobody can reach. */
  readonly absent: NodeId;
  /** Starts a node, or starts it again after `stop`. */
  start(node: NodeId): Promise<Transport>;
  stop(node: NodeId): Promise<void>;
  destroy(): Promise<void>;
}

/** A message that carries a number. */
export const numbered = (from: NodeId, to: NodeId, number: number): RaftMessage => ({
  kind: "readIndex",
  from,
  to,
  term: term(1),
  context: number,
});

export const forward = (from: NodeId, to: NodeId, data: Uint8Array): RaftMessage => ({
  kind: "forward",
  from,
  to,
  term: term(1),
  data,
});

/** Takes messages and keeps the numbers of `numbered` ones. */
export class Inbox {
  readonly numbers: number[] = [];
  readonly messages: RaftMessage[] = [];

  constructor(transport: Transport) {
    transport.receive({
      messages: (messages) => {
        for (const message of messages) {
          this.messages.push(message);
          if (message.kind === "readIndex") this.numbers.push(message.context);
        }
      },
      snapshot: () => Promise.reject(new OpenClawError("UNAVAILABLE", "no snapshots here")),
    });
  }
}

const WAIT = { timeout: 20_000, interval: 5 };
const nobody = { messages: () => undefined, snapshot: () => Promise.reject(new OpenClawError("UNAVAILABLE")) };

export function snapshotHeader(from: NodeId, epoch: Epoch, chunks: readonly Uint8Array[]): SnapshotHeader {
  return {
    from,
    term: term(3),
    meta: { index: index(70), term: term(2), membership: founding([from]) },
    epoch: { ...epoch, departure: revision(0) },
    ...snapshotPieces(concatBytes(chunks)),
  };
}

export function transportContract(name: string, create: () => Promise<TransportCluster>): void {
  describe(`Transport: ${name}`, () => {
    let cluster: TransportCluster;
    let a: NodeId;
    let b: NodeId;

    beforeEach(async () => {
      cluster = await create();
      const [first, second] = cluster.nodes;
      if (first === undefined || second === undefined) throw new Error("two nodes are needed");
      [a, b] = [first, second];
    });
    afterEach(() => cluster.destroy());

    test("messages arrive in order, both ways", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      const [atA, atB] = [new Inbox(ta), new Inbox(tb)];
      for (let i = 0; i < 500; i += 5) {
        const batch = [i, i + 1, i + 2, i + 3, i + 4];
        ta.send(
          b,
          batch.map((number) => numbered(a, b, number)),
        );
        tb.send(
          a,
          batch.map((number) => numbered(b, a, number)),
        );
        if (i % 50 === 0) await new Promise((done) => setImmediate(done));
      }
      await vi.waitFor(() => expect([atA.numbers.length, atB.numbers.length]).toEqual([500, 500]), WAIT);
      const expected = Array.from({ length: 500 }, (_, i) => i);
      expect(atB.numbers).toEqual(expected);
      expect(atA.numbers).toEqual(expected);
    });

    test("every field of a message arrives as it was sent", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      ta.receive(nobody);
      const inbox = new Inbox(tb);
      const append: RaftMessage = {
        kind: "append",
        from: a,
        to: b,
        term: term(4),
        prevIndex: index(6),
        prevTerm: term(3),
        commit: index(5),
        entries: [
          { term: term(4), index: index(7), kind: "noop", stamp: 0, data: new Uint8Array(0) },
          { term: term(4), index: index(8), kind: "commands", stamp: 2_000_000_000_000, data: Uint8Array.of(1, 2, 3) },
        ],
      };
      ta.send(b, [append]);
      await vi.waitFor(() => expect(inbox.messages).toHaveLength(1), WAIT);
      expect(inbox.messages[0]).toEqual(append);
    });

    test("X1: a flood is dropped in part, throws nothing, and the link works afterwards", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      ta.receive(nobody);
      const inbox = new Inbox(tb);
      const data = new Uint8Array(1_000);
      const flood = Array.from({ length: 50_000 }, () => forward(a, b, data));
      expect(() => ta.send(b, flood)).not.toThrow();
      await vi.waitFor(() => {
        ta.send(b, [numbered(a, b, 1)]);
        expect(inbox.numbers.length).toBeGreaterThan(0);
      }, WAIT);
    });

    test("messages to a node that is not there are dropped, and nothing throws", async () => {
      const ta = await cluster.start(a);
      ta.receive(nobody);
      ta.send(cluster.absent, [numbered(a, cluster.absent, 1)]);
      ta.send(b, [numbered(a, b, 1)]);
      await expect(ta.sendSnapshot(b, snapshotHeader(a, cluster.epoch, []), chunksOf([]))).rejects.toMatchObject({
        code: "UNAVAILABLE",
      });
    });

    test("the link comes back after the peer was stopped and started", async () => {
      const ta = await cluster.start(a);
      ta.receive(nobody);
      const before = new Inbox(await cluster.start(b));
      await vi.waitFor(() => {
        ta.send(b, [numbered(a, b, 1)]);
        expect(before.numbers.length).toBeGreaterThan(0);
      }, WAIT);
      await cluster.stop(b);
      for (let i = 0; i < 10; i++) ta.send(b, [numbered(a, b, 2)]);
      const after = new Inbox(await cluster.start(b));
      await vi.waitFor(() => {
        ta.send(b, [numbered(a, b, 3)]);
        expect(after.numbers).toContain(3);
      }, WAIT);
    });

    test("a snapshot arrives whole, and is confirmed only when it is staged", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      ta.receive(nobody);
      const chunks = Array.from({ length: 24 }, (_, i) => new Uint8Array(700_000).fill(i));
      const header = snapshotHeader(a, cluster.epoch, chunks);
      const came: Uint8Array[] = [];
      let staged = false;
      let seen: SnapshotHeader | null = null;
      tb.receive({
        messages: () => undefined,
        snapshot: async (received, incoming) => {
          seen = received;
          for await (const chunk of incoming(0)) {
            came.push(chunk.slice());
            await new Promise((done) => setImmediate(done));
          }
          staged = true;
        },
      });
      await ta.sendSnapshot(b, header, chunksOf(chunks));
      expect(staged).toBe(true);
      expect(seen).toEqual(header);
      expect(snapshotPieces(concatBytes(came)).hash).toEqual(header.hash);
    });

    test("a snapshot goes on at the byte that the receiver asks for", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      ta.receive(nobody);
      const bytes = new Uint8Array(3_000_000).map((_, i) => i * 7);
      const came: Uint8Array[] = [];
      let asked = 0;
      const [held, brokenAt] = [1_234_567, 2_000_000];
      tb.receive({
        messages: () => undefined,
        snapshot: async (_header, incoming) => {
          for await (const chunk of incoming(held)) came.push(chunk.slice());
        },
      });
      const source: SnapshotChunks = (from) => {
        asked = from;
        return chunksOf([bytes.subarray(0, brokenAt), bytes.subarray(brokenAt)])(from);
      };
      await ta.sendSnapshot(b, snapshotHeader(a, cluster.epoch, [bytes]), source);
      expect(asked).toBe(held);
      expect(concatBytes(came)).toEqual(bytes.subarray(held));
    });

    test("a snapshot whose staging fails is not confirmed, and the next one is taken", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      ta.receive(nobody);
      let round = 0;
      tb.receive({
        messages: () => undefined,
        snapshot: async (_header, incoming) => {
          for await (const chunk of incoming(0)) void chunk;
          if (round++ === 0) throw new OpenClawError("DATA_CORRUPT", "the hash is another");
        },
      });
      const chunks = [new Uint8Array(10)];
      const header = snapshotHeader(a, cluster.epoch, chunks);
      await expect(ta.sendSnapshot(b, header, chunksOf(chunks))).rejects.toMatchObject({ code: "UNAVAILABLE" });
      await vi.waitFor(() => ta.sendSnapshot(b, header, chunksOf(chunks)), WAIT);
    });

    test("a snapshot whose source fails rejects at both ends", async () => {
      const [ta, tb] = [await cluster.start(a), await cluster.start(b)];
      ta.receive(nobody);
      const outcome = Promise.withResolvers<unknown>();
      tb.receive({
        messages: () => undefined,
        snapshot: async (_header, incoming) => {
          try {
            for await (const chunk of incoming(0)) void chunk;
            outcome.resolve("whole");
          } catch (error) {
            outcome.resolve(error);
            throw error;
          }
        },
      });
      const failing = async function* (): AsyncGenerator<Uint8Array> {
        yield new Uint8Array(10);
        throw new OpenClawError("DATA_CORRUPT", "a rotten page");
      };
      const header = snapshotHeader(a, cluster.epoch, [new Uint8Array(20)]);
      await expect(ta.sendSnapshot(b, header, failing)).rejects.toMatchObject({ code: "UNAVAILABLE" });
      expect(await outcome.promise).toBeInstanceOf(Error);
    });
  });
}

/** A source of these bytes, from any of them on. */
export function chunksOf(chunks: readonly Uint8Array[]): SnapshotChunks {
  return async function* (from) {
    let skip = from;
    for (const chunk of chunks) {
      if (skip < chunk.length) yield chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.length);
    }
  };
}
