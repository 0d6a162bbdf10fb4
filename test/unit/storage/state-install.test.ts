/** R8: a crash at each step of an install leaves the old state or the new one, whole. */
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { index } from "@openclaw/core/ids.ts";
import type { StateStore } from "@openclaw/core/ports.ts";
import { asideSteps, INCOMING_FILE, INSTALL_STEPS } from "@openclaw/edge-runtime/storage/state-install.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { putAt, STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, textUnder } from "../../contracts/state-store.ts";
import { leftByKill, NODE, OTHER_NODE, temporaryFolder } from "./storage-fixture.ts";

const stateOf = (dataDir: string, node = NODE): StateStore =>
  new SqliteStateStore({ dataDir, cluster: STATE_CLUSTER, node, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP });

/** A folder as the worker leaves it just before the first step, with a WAL that a careless close might have left. */
async function readyToInstall(): Promise<string> {
  const leader = temporaryFolder();
  const source = stateOf(leader, OTHER_NODE);
  await source.open();
  await source.apply([1, 2, 3, 4, 5].map((at) => putAt(at, "a", `new ${at}`)));
  const snapshot = await source.snapshot(index(0));
  const chunks: Uint8Array[] = [];
  for await (const chunk of snapshot.chunks(0)) chunks.push(chunk);
  await source.close();

  const folder = temporaryFolder();
  const follower = stateOf(folder);
  await follower.open();
  await follower.apply([putAt(1, "a", "old 1"), putAt(2, "b", "old 2")]);
  // Commits without a checkpoint: everything stands in the WAL.
  await (await follower.snapshot(index(0))).dispose();
  const killed = leftByKill(folder);
  await follower.close();
  copyFileSync(join(killed, "state.db-wal"), join(folder, "state.db-wal"));
  writeFileSync(join(folder, INCOMING_FILE), Buffer.concat(chunks));
  return folder;
}

const ASIDE = "state-diverged-7.db";

describe.each([
  { what: "R8: a crash in an install", steps: INSTALL_STEPS, keeps: false },
  {
    what: "C1: a crash while a wrong state is replaced",
    steps: [...asideSteps(index(7)), ...INSTALL_STEPS],
    keeps: true,
  },
])("$what", ({ steps, keeps }) => {
  const renamed = steps.findIndex((step) => step.name === "rename");
  expect(renamed).toBeGreaterThan(0);

  for (let done = 0; done <= steps.length; done++) {
    const after = steps[done - 1]?.name ?? "nothing";
    test(`after: ${after}`, async () => {
      const folder = await readyToInstall();
      writeFileSync(join(folder, "state-diverged-3.db"), "kept earlier");
      for (const step of steps.slice(0, done)) step.run(folder);
      expect(existsSync(join(folder, "state-diverged-3.db"))).toBe(!keeps || done === 0);
      expect(existsSync(join(folder, ASIDE))).toBe(keeps && done > 1);
      const store = stateOf(folder);
      onTestFinished(() => store.close());
      const stored = await store.open();
      const isNew = done > renamed;
      expect(stored.applied).toBe(isNew ? 5 : 2);
      expect(stored.position.revision).toBe(isNew ? 5 : 2);
      expect(stored.installed).toBe(isNew ? 5 : 0);
      expect(await textUnder(store, "a")).toBe(isNew ? "new 5" : "old 1");
      expect(await textUnder(store, "b")).toBe(isNew ? null : "old 2");
      await store.apply([putAt(stored.applied + 1, "c", "goes on")]);
      expect((await store.checkpoint()).applied).toBe(stored.applied + 1);
      expect(existsSync(join(folder, INCOMING_FILE))).toBe(false);
    });
  }
});
