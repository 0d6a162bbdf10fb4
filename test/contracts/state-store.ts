/** What every StateStore does, with core's own apply inside. Call it inside a test file with the store to be tested. */
import { concatBytes, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import {
  type ClusterId,
  type Epoch,
  index,
  isClusterId,
  isNodeId,
  isNonce,
  type NodeId,
  type Revision,
  revision,
  term,
} from "@openclaw/core/ids.ts";
import type { SnapshotChunks, SnapshotHeader, StateSnapshot, StateStore } from "@openclaw/core/ports.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import type { Command, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { snapshotPieces } from "../simulation/snapshot-pieces.ts";
import { chunksOf } from "./transport.ts";

function checked<T extends string>(text: string, is: (value: unknown) => value is T): T {
  if (!is(text)) throw new Error(`not valid: ${text}`);
  return text;
}

/** What the stores under test are made for. */
export const STATE_CLUSTER: ClusterId = checked("california", isClusterId);
export const STATE_EPOCH: Epoch = {
  counter: 1,
  nonce: checked("0123456789abcdef".repeat(2), isNonce),
  parent: null,
  departure: revision(0),
};
const NODES: readonly NodeId[] = ["california-1", "california-2", "california-3"].map((name) =>
  checked(name, isNodeId),
);
/** Where it does not matter which of them. */
export const STATE_NODE: NodeId = checked("california-1", isNodeId);
export const STATE_MEMBERSHIP: Membership = founding(NODES);

/** The disk of one node, another one each time. A new store on it finds what an earlier one, closed by now, has written. */
export interface StateDisk {
  store(): StateStore;
  destroy(): Promise<void>;
}

const put = (key: string, value: string | Uint8Array): UserCommand => ({
  kind: "put",
  key: utf8(key),
  value: typeof value === "string" ? utf8(value) : value,
});

/** One entry with these commands; the n-th has request number 100 · index + n. */
export function commandsAt(at: number, commands: readonly UserCommand[], inTerm = 1): Entry {
  const whole = commands.map(
    (command, i): Command => ({
      ...command,
      header: {
        principal: "tester",
        time: 1_700_000_000_000 + at,
        salt: new Uint8Array(16).fill(at % 256),
        request: 100 * at + i,
        proposer: "00000000000000aa",
        session: null,
      },
    }),
  );
  return { term: term(inTerm), index: index(at), kind: "commands", stamp: 0, data: encodeCommands(whole) };
}

export const putAt = (at: number, key: string, value: string): Entry => commandsAt(at, [put(key, value)]);

/** The text under a key, or null. */
export async function textUnder(store: StateStore, key: string): Promise<string | null> {
  const { row } = await store.read({ kind: "get", origin: null, key: utf8(key) });
  return row === null ? null : (utf8Text(row.value) ?? null);
}

export const headerOf = (snapshot: StateSnapshot): SnapshotHeader => ({
  from: checked("california-1", isNodeId),
  term: term(9),
  meta: snapshot.meta,
  epoch: snapshot.epoch,
  hash: snapshot.hash,
  pieces: snapshot.pieces,
  bytes: snapshot.bytes,
});

/** The bytes of a snapshot, in one array. */
export async function bytesOf(snapshot: StateSnapshot, from = 0): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of snapshot.chunks(from)) chunks.push(new Uint8Array(chunk));
  return concatBytes(chunks);
}

/** The snapshot's source, whose connection breaks after so many bytes. */
const broken = (snapshot: StateSnapshot, after: number): SnapshotChunks =>
  async function* (from) {
    let left = after;
    for await (const chunk of snapshot.chunks(from)) {
      if (left < chunk.length) {
        yield chunk.subarray(0, left);
        throw new Error("the connection is gone");
      }
      left -= chunk.length;
      yield chunk;
    }
  };

export function stateStoreContract(name: string, create: () => StateDisk): void {
  describe(`${name} as a state store`, () => {
    const disks: StateDisk[] = [];
    const stores: StateStore[] = [];
    let disk: StateDisk;
    let store: StateStore;

    const newDisk = (): StateDisk => {
      const made = create();
      disks.push(made);
      return made;
    };
    const openOn = async (on: StateDisk): Promise<StateStore> => {
      const opened = on.store();
      stores.push(opened);
      await opened.open();
      return opened;
    };
    beforeEach(async () => {
      disk = newDisk();
      store = await openOn(disk);
    });
    afterEach(async () => {
      for (const opened of stores.splice(0)) await opened.close();
      for (const made of disks.splice(0)) await made.destroy();
    });
    const stateHash = async (of: StateStore) => (await of.read({ kind: "stateHash" })).hash;

    test("a new state has the cluster, the epoch and the members it was made for, and applied nothing", async () => {
      await store.close();
      const again = disk.store();
      stores.push(again);
      expect(await again.open()).toMatchObject({
        applied: 0,
        appliedTerm: 0,
        membership: STATE_MEMBERSHIP,
        position: {
          cluster: STATE_CLUSTER,
          epoch: STATE_EPOCH,
          revision: 0,
          logTime: 0,
          applyVersion: 1,
          parentHolds: 0,
        },
      });
    });

    test("apply answers one result a command, in order, and the records it wrote", async () => {
      const applied = await store.apply([
        commandsAt(1, [put("a", "1"), put("b", "2")]),
        { term: term(1), index: index(2), kind: "noop", stamp: 0, data: new Uint8Array() },
        commandsAt(3, [{ kind: "deleteRange", keys: { kind: "key", key: utf8("") } }, put("a", "3")]),
      ]);
      expect(applied.index).toBe(3);
      expect(
        applied.results.map(({ request, result }) => [request, result.kind === "outcome" && result.outcome.ok]),
      ).toEqual([
        [100, true],
        [101, true],
        [300, false],
        [301, true],
      ]);
      expect(applied.results.every(({ proposer }) => proposer === "00000000000000aa")).toBe(true);
      expect(applied.records.map((record) => record.revision)).toEqual([1, 2, 3]);
      expect(applied.position.revision).toBe(3);
      expect([...applied.position.hash]).toEqual([...(applied.records.at(-1)?.hash ?? [])]);
    });

    test("R6: a read sees what was applied before it", async () => {
      const applied = store.apply([putAt(1, "quakes/a", "4.1")]);
      expect(await textUnder(store, "quakes/a")).toBe("4.1");
      await applied;
      await store.apply([
        commandsAt(2, [{ kind: "deleteRange", keys: { kind: "key", key: utf8("quakes/a") } }, put("quakes/b", "")]),
      ]);
      expect(await textUnder(store, "quakes/a")).toBe(null);
      expect(await textUnder(store, "quakes/b")).toBe("");
      const range = await store.read({ kind: "range", origin: null, ...plainRange(utf8("quakes/"), null, 10) });
      expect(range.rows.map((row) => utf8Text(row.key))).toEqual(["quakes/b"]);
    });

    test("the ledger is read by pages of at most so many bytes, at least one record each", async () => {
      await store.apply([
        commandsAt(
          1,
          Array.from({ length: 20 }, (_, i) => put(`key/${i}`, "x".repeat(1_000))),
        ),
      ]);
      await store.apply([putAt(2, "key/a", "1"), putAt(3, "key/b", "2")]);
      const whole = await store.ledger(revision(1), 1_000_000);
      expect(whole.records.map((record) => record.revision)).toEqual(Array.from({ length: 22 }, (_, i) => i + 1));
      expect(whole.revision).toBe(22);
      const paged: Revision[] = [];
      for (let from = 1; ; from = paged.length + 1) {
        const { records } = await store.ledger(revision(from), 3_500);
        if (records.length === 0) break;
        expect(records.length === 1 || records.reduce((sum, { record }) => sum + record.length, 0) <= 3_500).toBe(true);
        expect(records.map(({ record }) => [...record])).toEqual(
          whole.records.slice(from - 1, from - 1 + records.length).map(({ record }) => [...record]),
        );
        paged.push(...records.map((record) => record.revision));
      }
      expect(paged).toEqual(whole.records.map((record) => record.revision));
      expect((await store.ledger(revision(5), 1)).records.map((record) => record.revision)).toEqual([5]);
      expect((await store.ledger(revision(23), 1_000)).records).toEqual([]);
    });

    test("state, ledger and applied index are there after a restart", async () => {
      await store.apply([putAt(1, "a", "1")]);
      await store.apply([commandsAt(2, [put("b", "2")], 4)]);
      const hash = await stateHash(store);
      await store.close();
      const again = disk.store();
      stores.push(again);
      expect(await again.open()).toMatchObject({ applied: 2, appliedTerm: 4, position: { revision: 2 } });
      expect(await stateHash(again)).toEqual(hash);
      expect((await again.ledger(revision(1), 10_000)).records).toHaveLength(2);
    });

    test("R7: a checkpoint says what was applied before it", async () => {
      await store.apply([putAt(1, "a", "1"), putAt(2, "b", "2")]);
      const checkpoint = store.checkpoint();
      const later = store.apply([putAt(3, "c", "3")]);
      expect((await checkpoint).applied).toBe(2);
      await later;
      expect((await store.checkpoint()).applied).toBe(3);
      expect((await store.checkpoint()).applied).toBe(3);
    });

    test("entries are applied once and in order", async () => {
      await store.apply([putAt(1, "a", "1")]);
      await expect(store.apply([putAt(3, "b", "2")])).rejects.toThrow();
    });

    test("R8: a snapshot staged and installed elsewhere is the same state, with the same ledger", async () => {
      const big = new Uint8Array(600_000).map((_, i) => (i * 31) % 256);
      await store.apply([putAt(1, "a", "1"), commandsAt(2, [put("big", big)])]);
      const snapshot = await store.snapshot(index(2));
      await store.apply([putAt(3, "after", "the snapshot")]);
      expect(snapshot.meta).toEqual({ index: 2, term: 1, membership: STATE_MEMBERSHIP });
      expect(snapshot.epoch).toEqual(STATE_EPOCH);
      const bytes = await bytesOf(snapshot);
      const { hash, pieces, bytes: length } = snapshot;
      expect({ hash, pieces, bytes: length }).toEqual(snapshotPieces(bytes));

      const follower = await openOn(newDisk());
      await follower.apply([putAt(1, "other", "history")]);
      await follower.stage(headerOf(snapshot), chunksOf([bytes]));
      expect(await textUnder(follower, "a")).toBe(null);
      const installed = await follower.install(snapshot.meta);
      expect(installed).toMatchObject({
        applied: 2,
        appliedTerm: 1,
        membership: STATE_MEMBERSHIP,
        position: { revision: 2 },
      });
      expect(await textUnder(follower, "other")).toBe(null);
      expect(await textUnder(follower, "after")).toBe(null);
      await follower.apply([putAt(3, "after", "the snapshot")]);
      expect(await stateHash(follower)).toEqual(await stateHash(store));
      const [ours, theirs] = [
        await store.ledger(revision(1), 10_000_000),
        await follower.ledger(revision(1), 10_000_000),
      ];
      expect(theirs.records.map(({ hash }) => [...hash])).toEqual(ours.records.map(({ hash }) => [...hash]));
      await snapshot.dispose();
    });

    test("R8: an installed snapshot is there after a restart", async () => {
      await store.apply([putAt(1, "a", "1"), putAt(2, "b", "2")]);
      const snapshot = await store.snapshot(index(0));
      const other = newDisk();
      const follower = await openOn(other);
      await follower.stage(headerOf(snapshot), snapshot.chunks);
      await follower.install(snapshot.meta);
      await follower.close();
      const again = other.store();
      stores.push(again);
      expect(await again.open()).toMatchObject({ applied: 2, position: { revision: 2 } });
      expect(await stateHash(again)).toEqual(await stateHash(store));
    });

    test("a snapshot whose bytes are not those announced is refused, and the state stays", async () => {
      await store.apply([putAt(1, "a", "1")]);
      const snapshot = await store.snapshot(index(1));
      const bytes = await bytesOf(snapshot);
      const altered = bytes.slice();
      altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;

      const follower = await openOn(newDisk());
      const header = headerOf(snapshot);
      await expect(follower.stage(header, chunksOf([altered]))).rejects.toThrow();
      await expect(follower.install(snapshot.meta)).rejects.toThrow();
      await expect(follower.stage(header, chunksOf([bytes.subarray(0, -1)]))).rejects.toThrow();
      await expect(follower.stage(header, chunksOf([bytes, new Uint8Array(1)]))).rejects.toThrow();
      await expect(follower.install(snapshot.meta)).rejects.toThrow();
      await follower.apply([putAt(1, "mine", "still here")]);
      expect(await textUnder(follower, "mine")).toBe("still here");
      await snapshot.dispose();
    });

    test("a stream that breaks off leaves the state as it was", async () => {
      await store.apply([putAt(1, "a", "1")]);
      const snapshot = await store.snapshot(index(1));
      const follower = await openOn(newDisk());
      await expect(follower.stage(headerOf(snapshot), broken(snapshot, 100))).rejects.toThrow("the connection is gone");
      await follower.stage(headerOf(snapshot), snapshot.chunks);
      expect((await follower.install(snapshot.meta)).applied).toBe(1);
    });

    test("R8: a transfer that broke off goes on where it stopped, and one of another snapshot begins again", async () => {
      const big = new Uint8Array(900_000).map((_, i) => (i * 31) % 251);
      await store.apply([1, 2, 3, 4].map((at) => commandsAt(at, [put(`big/${at}`, big)])));
      const first = await store.snapshot(index(4));
      const follower = await openOn(newDisk());
      const asked: number[] = [];
      const noted =
        (chunks: SnapshotChunks): SnapshotChunks =>
        (from) => {
          asked.push(from);
          return chunks(from);
        };
      const gone = "the connection is gone";
      await expect(follower.stage(headerOf(first), noted(broken(first, 2_500_000)))).rejects.toThrow(gone);
      await expect(follower.stage(headerOf(first), noted(broken(first, 100_000)))).rejects.toThrow(gone);
      expect(asked[0]).toBe(0);
      expect(asked[1]).toBeGreaterThan(1_500_000);
      expect(asked[1]).toBeLessThanOrEqual(2_500_000);

      await store.apply([putAt(5, "a", "later")]);
      const second = await store.snapshot(index(5));
      await expect(follower.stage(headerOf(second), noted(broken(second, 2_500_000)))).rejects.toThrow(gone);
      expect(asked[2]).toBe(0);
      await follower.stage(headerOf(second), noted(second.chunks));
      expect(asked[3]).toBeGreaterThan(1_500_000);
      expect((await follower.install(second.meta)).applied).toBe(5);
      expect(await stateHash(follower)).toEqual(await stateHash(store));
      await first.dispose();
      await second.dispose();
    });

    test("a copy serves again while it is new enough: the same bytes, from any of them on", async () => {
      await store.apply([putAt(1, "a", "1")]);
      const first = await store.snapshot(index(1));
      const bytes = await bytesOf(first);
      await first.dispose();
      await store.apply([putAt(2, "a", "2")]);
      const again = await store.snapshot(index(1));
      expect(again.meta.index).toBe(1);
      expect(again.hash).toEqual(first.hash);
      expect(await bytesOf(again, 3_000)).toEqual(bytes.subarray(3_000));
      await again.dispose();
      const newer = await store.snapshot(index(2));
      expect(newer.meta.index).toBe(2);
      await newer.dispose();
    });

    test("pitfall 14: a snapshot staged later replaces the earlier one", async () => {
      await store.apply([putAt(1, "a", "1")]);
      const first = await store.snapshot(index(1));
      await store.apply([putAt(2, "a", "2")]);
      const second = await store.snapshot(index(2));
      const follower = await openOn(newDisk());
      await follower.stage(headerOf(first), first.chunks);
      await follower.stage(headerOf(second), second.chunks);
      await expect(follower.install(first.meta)).rejects.toThrow();
      expect((await follower.install(second.meta)).applied).toBe(2);
      expect(await textUnder(follower, "a")).toBe("2");
      await first.dispose();
      await second.dispose();
    });
  });
}
