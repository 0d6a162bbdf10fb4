/** Whose data folder it is, and who has it open. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type ClusterId, type NodeId, PARTITION } from "@openclaw/core/ids.ts";
import type { StateStore } from "@openclaw/core/ports.ts";
import { Mark } from "@openclaw/core/segment-log/mark.ts";
import { LOG_FORMAT } from "@openclaw/core/segment-log/segment-log.ts";
import { SegmentLogStore } from "@openclaw/edge-runtime/storage/log-store.ts";
import { NodeLogDisk } from "@openclaw/edge-runtime/storage/node-log-disk.ts";
import { openExclusive } from "@openclaw/edge-runtime/storage/sqlite.ts";
import { STATE_FORMAT } from "@openclaw/edge-runtime/storage/state-file.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { readIdentity, writeIdentity } from "@openclaw/edge-runtime/storage/store-identity.ts";
import { expect, onTestFinished, test } from "vitest";
import { STATE_EPOCH, STATE_MEMBERSHIP } from "../../contracts/state-store.ts";
import { CLUSTER, NODE, OTHER_CLUSTER, OTHER_NODE, temporaryFolder } from "./storage-fixture.ts";

const logOf = (dataDir: string, cluster: ClusterId = CLUSTER, node: NodeId = NODE): SegmentLogStore =>
  closedAfter(new SegmentLogStore({ dataDir, cluster, node }));

const stateOf = (dataDir: string, cluster: ClusterId = CLUSTER): StateStore =>
  closedAfter(new SqliteStateStore({ dataDir, cluster, node: NODE, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP }));

function closedAfter<Store extends { close(): Promise<void> }>(store: Store): Store {
  onTestFinished(() => store.close());
  return store;
}

const code = (expected: string): unknown => expect.objectContaining({ code: expected });

/** Raises the format that a database says it has. */
function age(path: string, format: number): void {
  const connection = openExclusive(path, { synchronous: "FULL", walPagesMax: 100 });
  const identity = readIdentity(connection);
  if (identity === null) throw new Error(`${path} has no identity`);
  expect(identity.format).toBe(STATE_FORMAT);
  writeIdentity(connection, { ...identity, format });
  connection.close();
}

/** Replaces a log's mark by one of another format. */
function ageLog(folder: string, format: number): void {
  rmSync(join(folder, "log.mark"));
  const identity = { format, role: "log", cluster: CLUSTER, partition: PARTITION, node: NODE };
  Mark.create(new NodeLogDisk(folder), crc32, identity, new Uint8Array(16)).close();
}

test("DATA_IN_USE: a folder is open once; the second is refused and the first goes on", async () => {
  const folder = temporaryFolder();
  const [log, state] = [logOf(folder), stateOf(folder)];
  await log.open();
  await state.open();
  await expect(logOf(folder).open()).rejects.toEqual(code("DATA_IN_USE"));
  await expect(stateOf(folder).open()).rejects.toEqual(code("DATA_IN_USE"));
  await log.append(null, []);
  await log.close();
  await state.close();
  await logOf(folder).open();
  await stateOf(folder).open();
});

test("DATA_FOREIGN: the folder of another node, or of another cluster", async () => {
  const folder = temporaryFolder();
  const [log, state] = [logOf(folder), stateOf(folder)];
  await log.open();
  await log.close();
  await state.open();
  await state.close();
  await expect(logOf(folder, CLUSTER, OTHER_NODE).open()).rejects.toEqual(code("DATA_FOREIGN"));
  await expect(logOf(folder, OTHER_CLUSTER).open()).rejects.toEqual(code("DATA_FOREIGN"));
  await expect(stateOf(folder, OTHER_CLUSTER).open()).rejects.toEqual(code("DATA_FOREIGN"));
  await logOf(folder).open();
  await stateOf(folder).open();
});

test("DATA_NEWER: a folder that a newer version wrote is left alone", async () => {
  const folder = temporaryFolder();
  const [log, state] = [logOf(folder), stateOf(folder)];
  await log.open();
  await log.close();
  await state.open();
  await state.close();
  ageLog(folder, LOG_FORMAT + 1);
  age(join(folder, "state.db"), STATE_FORMAT + 1);
  await expect(logOf(folder).open()).rejects.toEqual(code("DATA_NEWER"));
  await expect(stateOf(folder).open()).rejects.toEqual(code("DATA_NEWER"));
});

test("UNKNOWN_VERSION: a folder of an older layout is not read as if it were of this one", async () => {
  const folder = temporaryFolder();
  const [log, state] = [logOf(folder), stateOf(folder)];
  await log.open();
  await log.close();
  await state.open();
  await state.close();
  ageLog(folder, LOG_FORMAT - 1);
  age(join(folder, "state.db"), STATE_FORMAT - 1);
  await expect(logOf(folder).open()).rejects.toEqual(code("UNKNOWN_VERSION"));
  await expect(stateOf(folder).open()).rejects.toEqual(code("UNKNOWN_VERSION"));
});
