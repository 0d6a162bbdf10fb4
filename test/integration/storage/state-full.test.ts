/** A disk that is full when the state is to be committed. */
import { execFileSync } from "node:child_process";
import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { index } from "@openclaw/core/ids.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { expect, onTestFinished, test } from "vitest";
import {
  putAt,
  STATE_CLUSTER,
  STATE_EPOCH,
  STATE_MEMBERSHIP,
  STATE_NODE,
  textUnder,
} from "../../contracts/state-store.ts";
import { temporaryFolder } from "../../unit/storage/storage-fixture.ts";

/** A small disk of its own, or null where mounting is not allowed. */
function smallDisk(): string | null {
  const disk = temporaryFolder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], { stdio: "ignore" });
  } catch {
    return null;
  }
  onTestFinished(() => void execFileSync("umount", [disk]));
  return disk;
}

function fill(file: string): void {
  const page = new Uint8Array(4_096);
  for (;;) {
    try {
      appendFileSync(file, page);
    } catch (error) {
      expect(error).toMatchObject({ code: "ENOSPC" });
      return;
    }
  }
}

test("R6, pitfall 30: when a commit finds the disk full nothing is applied after it, whoever asked for the commit", async ({
  skip,
}) => {
  const disk = smallDisk();
  if (disk === null) return skip("needs root");
  const options = {
    dataDir: join(disk, "data"),
    cluster: STATE_CLUSTER,
    node: STATE_NODE,
    epoch: STATE_EPOCH,
    membership: STATE_MEMBERSHIP,
  };
  const store = new SqliteStateStore(options);
  // Before the disk goes, however the test ends.
  onTestFinished(() => Promise.allSettled([store.close()]).then(() => undefined));
  await store.open();
  await store.apply([putAt(1, "a", "1")]);
  await store.checkpoint();
  fill(join(disk, "fill"));
  // Applied in a transaction that is still open when the copy for a follower is asked for; a slow machine ends it before.
  const [, copied] = await Promise.allSettled([
    store.apply([putAt(2, "b", "x".repeat(300_000))]),
    store.snapshot(index(0)),
  ]);
  expect(copied).toMatchObject({ status: "rejected", reason: { code: "STORAGE_FULL" } });
  rmSync(join(disk, "fill"));
  await expect(store.apply([putAt(3, "c", "1")])).rejects.toMatchObject({ code: "STORAGE_FULL" });
  await store.close();
  const again = new SqliteStateStore(options);
  expect((await again.open()).applied).toBe(1);
  await again.apply([putAt(2, "b", "2"), putAt(3, "c", "1")]);
  expect(await textUnder(again, "b")).toBe("2");
  await again.close();
});
