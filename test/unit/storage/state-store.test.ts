/** The SQLite state: the contract, and what is its own. */

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { revision } from "@openclaw/core/ids.ts";
import type { StateStore } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { expect, onTestFinished, test } from "vitest";
import {
  headerOf,
  putAt,
  STATE_CLUSTER,
  STATE_EPOCH,
  STATE_MEMBERSHIP,
  stateStoreContract,
  textUnder,
} from "../../contracts/state-store.ts";
import { leftByKill, OTHER_CLUSTER, temporaryFolder } from "./storage-fixture.ts";

const storeOn = (dataDir: string, cluster = STATE_CLUSTER): StateStore =>
  new SqliteStateStore({ dataDir, cluster, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP });

stateStoreContract("SqliteStateStore", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "openclaw-state-"));
  return {
    store: () => storeOn(dataDir),
    destroy: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
});

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
  const snapshot = await store.snapshot();
  const ahead = await opened(temporaryFolder());
  await ahead.apply([putAt(1, "a", "1"), putAt(2, "b", "2")]);
  await ahead.stage(headerOf(snapshot), snapshot.chunks());
  await expect(ahead.install(snapshot.meta)).rejects.toThrow("pitfall 12");
});

test("a snapshot of another cluster, or not of what its header says, is refused, and the store goes on", async () => {
  const stranger = await opened(temporaryFolder(), OTHER_CLUSTER);
  const foreign = await stranger.snapshot();
  const other = await opened(temporaryFolder());
  await other.apply([putAt(1, "a", "1")]);
  const ours = await other.snapshot();

  const store = await opened(temporaryFolder());
  await expect(store.stage(headerOf(foreign), foreign.chunks())).rejects.toEqual(code("MALFORMED_FRAME"));
  const early = { ...headerOf(ours), meta: { ...ours.meta, membership: founding([]) } };
  const epoch = { ...headerOf(ours), epoch: { ...ours.epoch, counter: 2 } };
  for (const header of [early, epoch]) {
    await expect(store.stage(header, ours.chunks())).rejects.toEqual(code("MALFORMED_FRAME"));
  }
  await store.stage(headerOf(ours), ours.chunks());
  expect((await store.install(ours.meta)).applied).toBe(1);
});

test("copies for followers are bounded, disposed of, and cleaned up after a kill", async () => {
  const folder = temporaryFolder();
  const copies = (of: string): number => readdirSync(of).filter((name) => name.startsWith("state-snapshot-")).length;
  const store = await opened(folder);
  await store.apply([putAt(1, "a", "1")]);
  const first = await store.snapshot();
  const second = await store.snapshot();
  await expect(store.snapshot()).rejects.toEqual(code("OVERLOADED"));
  const left = leftByKill(folder);
  expect(copies(left)).toBe(2);
  await opened(left);
  expect(copies(left)).toBe(0);
  await first.dispose();
  await first.dispose();
  await second.dispose();
  expect(copies(folder)).toBe(0);
  await (await store.snapshot()).dispose();
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
