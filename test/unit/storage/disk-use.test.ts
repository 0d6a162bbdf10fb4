import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { index } from "@openclaw/core/ids.ts";
import { NodeDisk } from "@openclaw/edge-runtime/storage/disk-use.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { putAt, STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, STATE_NODE } from "../../contracts/state-store.ts";
import { temporaryFolder } from "./storage-fixture.ts";

const LARGE = "x".repeat(500_000);

async function node() {
  const folder = temporaryFolder();
  const options = {
    dataDir: folder,
    cluster: STATE_CLUSTER,
    node: STATE_NODE,
    epoch: STATE_EPOCH,
    membership: STATE_MEMBERSHIP,
  };
  const store = new SqliteStateStore(options);
  onTestFinished(() => store.close());
  await store.open();
  const write = (name: string, bytes: number): void => writeFileSync(join(folder, name), new Uint8Array(bytes));
  const copies = (): string[] => readdirSync(folder).filter((name) => /^state-(snapshot|diverged)-.*\.db$/.test(name));
  return { folder, store, disk: new NodeDisk(folder, store), write, copies };
}

test("S5: every file of the data folder counts, log and WAL as log, copies and a state kept aside as copies", async () => {
  const { folder, store, disk, write } = await node();
  await store.apply([putAt(1, "a", LARGE)]);
  await store.checkpoint();
  const before = await disk.use();
  expect(before.files).toBe(readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0));
  write("log-0000000000000001.segment", 3_000);
  write("log-0.spare", 200);
  write("state-diverged-7.db", 10_000);
  write("incoming.db", 50);
  const { files, log, copies } = await disk.use();
  expect({ files: files - before.files, log: log - before.log, copies }).toEqual({
    files: 13_250,
    log: 3_200,
    copies: 10_000,
  });
});

test("S5: the pages of what was deleted count as room, and rows take them before the file grows", async () => {
  const { folder, store, disk } = await node();
  await store.apply([putAt(1, "a", LARGE), putAt(2, "b", "small")]);
  await store.checkpoint();
  const before = await disk.use();
  await store.apply([putAt(3, "a", "small")]);
  await store.checkpoint();
  const { reusable } = await disk.use();
  expect(reusable - before.reusable).toBeGreaterThan(450_000);
  const size = (): number => statSync(join(folder, "state.db")).size;
  const grown = size();
  await store.apply([putAt(4, "c", "x".repeat(200_000))]);
  await store.checkpoint();
  expect(size()).toBe(grown);
  expect((await disk.use()).reusable).toBeLessThan(reusable - 350_000);
});

test("S5: a copy that is read stays; one that nobody reads, and a state kept aside, go", async () => {
  const { store, disk, write, copies } = await node();
  await store.apply([putAt(1, "a", "1")]);
  const copy = await store.snapshot(index(1));
  write("state-diverged-7.db", 10);
  await disk.dropCopies();
  expect(copies()).toEqual(["state-snapshot-1.db"]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of copy.chunks(0)) chunks.push(chunk);
  expect(chunks.length).toBeGreaterThan(0);
  await copy.dispose();
  expect(copies()).toEqual(["state-snapshot-1.db"]);
  await disk.dropCopies();
  expect(copies()).toEqual([]);
  await store.snapshot(index(1)).then((again) => again.dispose());
  expect(copies()).toEqual(["state-snapshot-2.db"]);
});
