/** R5: a node that has run before does not start without its log. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { requireOwnData } from "@openclaw/edge-runtime/started.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { expect, test } from "vitest";
import { STATE_EPOCH, STATE_MEMBERSHIP } from "../../contracts/state-store.ts";
import { CLUSTER, NODE, temporaryFolder } from "./storage-fixture.ts";

function node() {
  const [dataDir, home] = [temporaryFolder(), temporaryFolder()];
  return { dataDir, identity: join(home, "node.key"), cluster: CLUSTER, node: NODE };
}

function loseLog(dataDir: string): void {
  const segments = readdirSync(dataDir).filter((name) => name.endsWith(".segment"));
  expect(segments).not.toEqual([]);
  for (const name of segments) rmSync(join(dataDir, name));
}

const DATA_MISSING = expect.objectContaining({ code: "DATA_MISSING" });

test("a first start, and every one that finds the log", async () => {
  const config = node();
  await requireOwnData(config);
  await requireOwnData(config);
});

test("DATA_MISSING: the marker is there, and the log is gone", async () => {
  const config = node();
  await requireOwnData(config);
  loseLog(config.dataDir);
  await expect(requireOwnData(config)).rejects.toEqual(DATA_MISSING);
});

test("DATA_MISSING: a state without a log, though the marker is gone as well", async () => {
  const config = node();
  await requireOwnData(config);
  const state = new SqliteStateStore({ ...config, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP });
  await state.open();
  await state.close();
  rmSync(`${config.identity}.started`);
  await requireOwnData(config);
  rmSync(`${config.identity}.started`);
  loseLog(config.dataDir);
  await expect(requireOwnData(config)).rejects.toEqual(DATA_MISSING);
});
