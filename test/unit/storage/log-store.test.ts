/** The segment log off the main thread: the contract, and what is its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvariantViolation } from "@openclaw/core/errors.ts";
import { SegmentLogStore } from "@openclaw/edge-runtime/storage/log-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { base, entriesFrom, entryAt, logStoreContract } from "../../contracts/log-store.ts";
import { CLUSTER, NODE, temporaryFolder } from "./storage-fixture.ts";

logStoreContract("SegmentLogStore", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "openclaw-log-"));
  return {
    store: () => new SegmentLogStore({ dataDir, cluster: CLUSTER, node: NODE }),
    destroy: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
});

async function opened(dataDir: string): Promise<SegmentLogStore> {
  const log = new SegmentLogStore({ dataDir, cluster: CLUSTER, node: NODE });
  await log.open();
  onTestFinished(() => log.close());
  return log;
}

test("an entry is written as it was when it was handed over, whatever buffer its data is a view of", async () => {
  const folder = temporaryFolder();
  const log = await opened(folder);
  const frame = new Uint8Array(100_000).fill(9);
  const written = log.append(null, [{ ...entryAt(1, 1), data: frame.subarray(10, 13) }]);
  frame.fill(0);
  await written;
  await log.close();
  const again = new SegmentLogStore({ dataDir: folder, cluster: CLUSTER, node: NODE });
  const { entries } = await again.open();
  await again.close();
  expect(entries.map((entry) => [...entry.data])).toEqual([[9, 9, 9]]);
});

test("entries that leave a gap, or fall behind the base, are a bug and reach no disk", async () => {
  const log = await opened(temporaryFolder());
  await log.append(null, entriesFrom(1, 5, 1));
  await log.compact(base(3, 1));
  expect(() => log.append(null, entriesFrom(7, 7, 1))).toThrow(InvariantViolation);
  expect(() => log.append(null, entriesFrom(3, 3, 1))).toThrow(InvariantViolation);
  expect(() => log.append(null, [entryAt(6, 1), entryAt(8, 1)])).toThrow(InvariantViolation);
  expect(() => log.compact(base(6, 1))).toThrow(InvariantViolation);
  await log.append(null, entriesFrom(6, 6, 1));
});

test("a closed log refuses, STOPPED, after everything that waited was written", async () => {
  const log = await opened(temporaryFolder());
  const waiting = log.append(null, entriesFrom(1, 3, 1));
  const closed = log.close();
  await expect(log.append(null, entriesFrom(4, 4, 1))).rejects.toEqual(expect.objectContaining({ code: "STOPPED" }));
  await waiting;
  await closed;
});
