/** The SQLite state: the contract, and what is its own. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { index, isNodeId, revision } from "@openclaw/core/ids.ts";
import { SNAPSHOT_PIECE_BYTES } from "@openclaw/core/limits.ts";
import type { SnapshotChunks, StateSnapshot, StateStore } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { INCOMING_FILE } from "@openclaw/edge-runtime/storage/state-install.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { stateComparisonContract } from "../../contracts/state-comparison.ts";
import {
  bytesOf,
  headerOf,
  putAt,
  STATE_CLUSTER,
  STATE_EPOCH,
  STATE_MEMBERSHIP,
  STATE_NODE,
  type StateDisk,
  stateStoreContract,
  textUnder,
} from "../../contracts/state-store.ts";
import { partsOf, stateStoreBaseContract } from "../../contracts/state-store-base.ts";
import { stateStoreHistoryContract } from "../../contracts/state-store-history.ts";
import { stateStoreKeysContract } from "../../contracts/state-store-keys.ts";
import { snapshotPieces } from "../../simulation/snapshot-pieces.ts";
import { leftByKill, OTHER_CLUSTER, temporaryFolder } from "./storage-fixture.ts";

const storeOn = (dataDir: string, cluster = STATE_CLUSTER, node = STATE_NODE): StateStore =>
  new SqliteStateStore({ dataDir, cluster, node, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP });

let disks = 0;
const newDisk = (): StateDisk => {
  const dataDir = mkdtempSync(join(tmpdir(), "openclaw-state-"));
  const node = `node-${++disks}`;
  if (!isNodeId(node)) throw new Error(`${node} is no node id`);
  return {
    store: () => storeOn(dataDir, STATE_CLUSTER, node),
    destroy: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
};
stateStoreContract("SqliteStateStore", newDisk);
stateStoreKeysContract("SqliteStateStore", newDisk);
stateComparisonContract("SqliteStateStore", newDisk);
stateStoreHistoryContract("SqliteStateStore", newDisk);
stateStoreBaseContract("SqliteStateStore", newDisk);

async function opened(dataDir: string, cluster = STATE_CLUSTER): Promise<StateStore> {
  const store = storeOn(dataDir, cluster);
  await store.open();
  onTestFinished(() => store.close());
  return store;
}

const code = (expected: string): unknown => expect.objectContaining({ code: expected });

test("R6: an open transaction is committed by itself, with the applied index", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply([putAt(1, "a", "1")]);
  const committed = async (): Promise<number> => {
    const left = storeOn(leftByKill(folder));
    const { applied, position } = await left.open();
    await left.close();
    expect(position.revision).toBe(applied);
    return applied;
  };
  await expect.poll(committed, { timeout: 10_000 }).toBe(1);
});

test("R7: after a checkpoint the database file alone holds everything applied before it", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply([putAt(1, "a", "1"), putAt(2, "b", "2")]);
  expect((await store.checkpoint()).applied).toBe(2);
  const left = leftByKill(folder);
  expect(statSync(join(left, "state.db-wal")).size).toBe(0);
  rmSync(join(left, "state.db-wal"));
  const alone = await opened(left);
  expect(await textUnder(alone, "b")).toBe("2");
});

test("pitfall 12: nothing takes the state back", async () => {
  const store = await opened(temporaryFolder());
  await store.apply([putAt(1, "a", "1")]);
  const snapshot = await store.snapshot(index(0));
  const ahead = await opened(temporaryFolder());
  await ahead.apply([putAt(1, "a", "1"), putAt(2, "b", "2")]);
  await ahead.stage(headerOf(snapshot), snapshot.chunks);
  await expect(ahead.install(snapshot.meta)).rejects.toThrow("pitfall 12");
});

test("a snapshot of another cluster, or not of what its header says, is refused, and the store goes on", async () => {
  const stranger = await opened(temporaryFolder(), OTHER_CLUSTER);
  const foreign = await stranger.snapshot(index(0));
  const other = await opened(temporaryFolder());
  await other.apply([putAt(1, "a", "1")]);
  const ours = await other.snapshot(index(0));

  const store = await opened(temporaryFolder());
  await expect(store.stage(headerOf(foreign), foreign.chunks)).rejects.toEqual(code("MALFORMED_FRAME"));
  const early = { ...headerOf(ours), meta: { ...ours.meta, membership: founding([]) } };
  const epoch = { ...headerOf(ours), epoch: { ...ours.epoch, counter: 2 } };
  for (const header of [early, epoch]) {
    await expect(store.stage(header, ours.chunks)).rejects.toEqual(code("MALFORMED_FRAME"));
  }
  await store.stage(headerOf(ours), ours.chunks);
  expect((await store.install(ours.meta)).applied).toBe(1);
});

test("X1: copies for followers are bounded, and one at most is kept", async () => {
  const folder = temporaryFolder();
  const copies = (of: string): number => readdirSync(of).filter((name) => /^state-snapshot-.*\.db$/.test(name)).length;
  const store = await opened(folder);
  const put = (at: number) => store.apply([putAt(at, "a", String(at))]);
  await put(1);
  const first = await store.snapshot(index(1));
  await put(2);
  const second = await store.snapshot(index(2));
  await put(3);
  await expect(store.snapshot(index(3))).rejects.toEqual(code("OVERLOADED"));
  const left = leftByKill(folder);
  expect(copies(left)).toBe(2);
  await opened(left);
  expect(copies(left)).toBe(1);
  await first.dispose();
  await first.dispose();
  expect(copies(folder)).toBe(1);
  const third = await store.snapshot(index(3));
  await second.dispose();
  await third.dispose();
  expect(copies(folder)).toBe(1);
});

test("R8: a copy is kept over a restart, and what a kill left of another one is removed", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply([putAt(1, "a", "1")]);
  const snapshot = await store.snapshot(index(1));
  const left = leftByKill(folder);
  writeFileSync(join(left, "state-snapshot-9.db"), "half a copy");
  const again = await opened(left);
  expect(existsSync(join(left, "state-snapshot-9.db"))).toBe(false);
  const kept = await again.snapshot(index(0));
  expect(kept.hash).toEqual(snapshot.hash);
  expect(await bytesOf(kept)).toEqual(await bytesOf(snapshot));
});

test("a copy that rotted on the disk is not sent, and is made afresh", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply([putAt(1, "a", "1")]);
  const snapshot = await store.snapshot(index(1));
  flipByte(join(folder, "state-snapshot-1.db"), 9_000);
  await expect(bytesOf(snapshot)).rejects.toEqual(code("UNAVAILABLE"));
  await snapshot.dispose();
  const fresh = await store.snapshot(index(1));
  expect(snapshotPieces(await bytesOf(fresh)).hash).toEqual(fresh.hash);
});

test("no base is made of a copy that rotted, and one that is read ends with the store", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply([putAt(1, "a", "1")]);
  const rotten = await store.base(index(1));
  flipByte(join(folder, "state-snapshot-1.db"), 9_000);
  await expect(partsOf(rotten)).rejects.toEqual(code("UNAVAILABLE"));
  await rotten.dispose();
  const fresh = await store.base(index(1));
  const parts = fresh.parts()[Symbol.asyncIterator]();
  expect((await parts.next()).done).toBe(false);
  await store.close();
  await expect(parts.next()).rejects.toEqual(code("STOPPED"));
});

/** A state of a few pieces, and its copy. */
async function large(): Promise<{ readonly store: StateStore; readonly snapshot: StateSnapshot }> {
  const store = await opened(temporaryFolder());
  for (let at = 1; at <= 5; at++) await store.apply([putAt(at, `big/${at}`, `${at}`.repeat(900_000))]);
  return { store, snapshot: await store.snapshot(index(5)) };
}

/** Stages up to `bytes`, and then the connection breaks. */
async function stageTo(follower: StateStore, snapshot: StateSnapshot, bytes: number): Promise<void> {
  const breaking: SnapshotChunks = async function* (from) {
    yield (await bytesOf(snapshot)).subarray(from, bytes);
    throw new Error("the connection is gone");
  };
  await expect(follower.stage(headerOf(snapshot), breaking)).rejects.toThrow("the connection is gone");
}

/** Where a transfer goes on; it then ends well. */
async function stageRest(follower: StateStore, snapshot: StateSnapshot): Promise<number> {
  let asked = -1;
  await follower.stage(headerOf(snapshot), (from) => {
    asked = from;
    return snapshot.chunks(from);
  });
  return asked;
}

test("R8: what came of a snapshot is there after a kill, and every byte of it is checked again", async () => {
  const { snapshot } = await large();
  const folder = temporaryFolder();
  const follower = await opened(folder);
  await stageTo(follower, snapshot, 3_500_000);

  const whole = leftByKill(folder);
  const again = await opened(whole);
  expect(await stageRest(again, snapshot)).toBe(3 * SNAPSHOT_PIECE_BYTES);
  expect((await again.install(snapshot.meta)).applied).toBe(5);

  const rotten = leftByKill(folder);
  flipByte(join(rotten, INCOMING_FILE), 1_500_000);
  const mended = await opened(rotten);
  expect(await stageRest(mended, snapshot)).toBe(SNAPSHOT_PIECE_BYTES);
  expect((await mended.install(snapshot.meta)).applied).toBe(5);
  expect((await mended.read({ kind: "stateHash" })).hash).toEqual((await again.read({ kind: "stateHash" })).hash);
});

test("R8: a snapshot that was staged whole before a kill is not sent again", async () => {
  const { snapshot } = await large();
  const folder = temporaryFolder();
  await stageRest(await opened(folder), snapshot);
  const again = await opened(leftByKill(folder));
  await expect(again.install(snapshot.meta)).rejects.toEqual(code("NOT_FOUND"));
  expect(await stageRest(again, snapshot)).toBe(snapshot.bytes);
  expect((await again.install(snapshot.meta)).applied).toBe(5);
});

test("a corrupt piece is found when it has come, not at the end, and the pieces before it stay", async () => {
  const { snapshot } = await large();
  const follower = await opened(temporaryFolder());
  const altered = (await bytesOf(snapshot)).slice();
  altered[1_600_000] = (altered[1_600_000] ?? 0) ^ 1;
  let sent = 0;
  const corrupt: SnapshotChunks = async function* (from) {
    for (let at = from; at < altered.length; at += 100_000) {
      yield altered.subarray(at, at + 100_000);
      sent = at + 100_000;
    }
  };
  await expect(follower.stage(headerOf(snapshot), corrupt)).rejects.toEqual(code("MALFORMED_FRAME"));
  expect(sent).toBeLessThan(2 * SNAPSHOT_PIECE_BYTES + 200_000);
  expect(await stageRest(follower, snapshot)).toBe(SNAPSHOT_PIECE_BYTES);
  expect((await follower.install(snapshot.meta)).applied).toBe(5);
});

test("a part of a snapshot that the state has passed by itself is thrown away", async () => {
  const { snapshot } = await large();
  const folder = temporaryFolder();
  const follower = await opened(folder);
  await stageTo(follower, snapshot, 2_000_000);
  for (let at = 1; at <= 5; at++) await follower.apply([putAt(at, "a", String(at))]);
  await follower.checkpoint();
  expect(existsSync(join(folder, INCOMING_FILE))).toBe(false);
});

test("R6: a state that is copied goes on applying, and the copy is of one index, whole", async () => {
  const store = await opened(temporaryFolder());
  let at = 0;
  const next = () => store.apply([putAt(++at, `key/${at}`, `${at}`.repeat(100_000))]);
  while (at < 100) await next();
  let copied = false;
  const copying = store.snapshot(index(100)).finally(() => {
    copied = true;
  });
  // One that waits for the copy would be the first that comes back.
  let meanwhile = 0;
  while (!copied && meanwhile < 1_000) {
    await next();
    meanwhile++;
  }
  const snapshot = await copying;
  expect(meanwhile).toBeGreaterThan(3);
  expect(snapshot.meta.index).toBeGreaterThanOrEqual(100);

  const follower = await opened(temporaryFolder());
  await follower.stage(headerOf(snapshot), snapshot.chunks);
  const { applied, position } = await follower.install(snapshot.meta);
  expect(applied).toBe(snapshot.meta.index);
  expect(position.revision).toBe(applied);
  for (let more = applied; more < at; ) await follower.apply([putAt(++more, `key/${more}`, `${more}`.repeat(100_000))]);
  expect((await follower.read({ kind: "stateHash" })).hash).toEqual((await store.read({ kind: "stateHash" })).hash);
});

test("a state that is replaced while it is copied gives no copy, and goes on", async () => {
  const { snapshot } = await large();
  const store = await opened(temporaryFolder());
  await store.apply([putAt(1, "a", "x".repeat(5_000_000))]);
  await store.stage(headerOf(snapshot), snapshot.chunks);
  const [copied, installed] = await Promise.allSettled([store.snapshot(index(1)), store.install(snapshot.meta)]);
  expect(installed.status).toBe("fulfilled");
  expect(copied).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE" } });
  const fresh = await store.snapshot(index(5));
  expect(fresh.meta.index).toBe(5);
});

test("X1: reads beyond the limit are refused, and none of them gets in the way of an apply", async () => {
  const store = await opened(temporaryFolder());
  const reads = Array.from({ length: 5_000 }, () =>
    store.read({ kind: "position" }).then(
      () => "answered",
      (error: { code: string }) => error.code,
    ),
  );
  await expect(store.apply([putAt(1, "a", "1")])).resolves.toMatchObject({ index: 1 });
  await expect(store.checkpoint()).resolves.toMatchObject({ applied: 1 });
  expect(new Set(await Promise.all(reads))).toEqual(new Set(["answered", "OVERLOADED"]));
  expect((await store.ledger(revision(1), 1)).records).toHaveLength(1);
});

test("a closed state refuses, STOPPED", async () => {
  const store = await opened(temporaryFolder());
  await store.close();
  await expect(store.apply([putAt(1, "a", "1")])).rejects.toEqual(code("STOPPED"));
  await expect(store.read({ kind: "position" })).rejects.toEqual(code("STOPPED"));
  await expect(store.ledger(revision(1), 1)).rejects.toEqual(code("STOPPED"));
});

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
