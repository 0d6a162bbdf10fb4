/** The device's store as a page has it: behind a port, in a worker that may die. */
import "fake-indexeddb/auto";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClientWrite, DownCursor } from "@openclaw/core/client/store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isLinkId, revision, seq } from "@openclaw/core/ids.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { deleteDB } from "idb";
import { expect, test } from "vitest";
import { clientStoreContract } from "../../contracts/client-store.ts";
import { codeOf } from "../sync/code-of.ts";
import { DeviceMemoryStore, pageOver } from "./threads.ts";

let count = 0;
const link = "a".repeat(32);
if (!isLinkId(link)) throw new Error("no link");

clientStoreContract("IndexedDbStore behind a worker's port", () => {
  const name = `worker-store-${++count}`;
  return {
    open: async () => pageOver(async () => new IndexedDbStore(name)).client.store,
    destroy: () => deleteDB(name),
  };
});

const put = (number: number): ClientWrite => ({
  enqueue: [{ link, seq: seq(number), command: { kind: "put", key: utf8(`k${number}`), value: utf8("v") } }],
});
const place = (cursor: number): DownCursor => ({
  cluster: "california",
  epoch: "e".repeat(32),
  cursor: revision(cursor),
  subscription: NOTHING,
  snapshot: null,
  upstream: revision(0),
  upstreamEpoch: null,
});

/** A store whose writes are done, and told of only when it is let. */
class SilentStore extends DeviceMemoryStore {
  silent = false;
  writes = 0;
  override async write(write: ClientWrite): Promise<void> {
    await super.write(write);
    this.writes++;
    if (this.silent) await new Promise(() => undefined);
  }
}

test("an error keeps its code and its words on the way out of the worker", async () => {
  const failing = new DeviceMemoryStore();
  failing.write = () => Promise.reject(new OpenClawError("CLIENT_STORAGE_FAILED", "no space left"));
  const { client } = pageOver(async () => failing);
  await expect(client.store.write(put(1))).rejects.toMatchObject({
    code: "CLIENT_STORAGE_FAILED",
    details: "no space left",
  });
  await expect(client.connect(null)).rejects.toMatchObject({ code: "UNAVAILABLE", details: "no site" });
});

test("a store that cannot be opened is told to every call", async () => {
  const { client } = pageOver(() => Promise.reject(new OpenClawError("CLIENT_STORAGE_FAILED", "no database")));
  expect(await codeOf(client.store.down())).toBe("CLIENT_STORAGE_FAILED");
  expect(await codeOf(client.store.write(put(1)))).toBe("CLIENT_STORAGE_FAILED");
});

test("S1: a write that the worker died over is made again by the next one, and is there once", async () => {
  const device = new SilentStore();
  const page = pageOver(async () => device);
  await page.client.store.write(put(1));
  device.silent = true;
  const dying = page.client.store.write(put(2));
  await expect.poll(() => device.writes).toBe(2);
  const after = page.client.store.outbox(link, seq(1), 9);
  device.silent = false;
  page.kill();
  await dying;
  expect((await after).map((row) => row.seq)).toEqual([1, 2]);
  expect(await page.client.store.nextSeq(link)).toBe(3);
  expect([device.writes, page.started()]).toEqual([3, 2]);
});

test("workers that die one after the other fail storage, and say so; nothing hangs", async () => {
  const device = new SilentStore();
  device.silent = true;
  const page = pageOver(async () => device);
  const waiting = [codeOf(page.client.store.write(put(1))), codeOf(page.client.connect(null))];
  for (let i = 0; i < 4; i++) page.kill();
  expect(await Promise.all(waiting)).toEqual(["CLIENT_STORAGE_FAILED", "UNAVAILABLE"]);
  await expect(page.client.store.down()).rejects.toThrow("this page's worker died: killed; reload the page");
  expect(await codeOf(page.client.connect(null))).toBe("CLIENT_STORAGE_FAILED");
  expect(page.started()).toBe(4);
});

test("L4: a new worker whose store is at another place of the stream is not gone on with", async () => {
  const device = new DeviceMemoryStore();
  const page = pageOver(async () => device);
  await page.client.store.write({ down: place(7) });
  page.kill();
  expect(await page.client.store.down()).toEqual(place(7));
  // Another tab keeps the device's mirror by now.
  await device.write({ down: place(5) });
  page.kill();
  expect(await codeOf(page.client.store.write({ down: place(8) }))).toBe("CLIENT_STORAGE_FAILED");
  expect(await device.down()).toEqual(place(5));
});

test("L4: nor one whose mirror is of something else, at the same place", async () => {
  const device = new DeviceMemoryStore();
  const page = pageOver(async () => device);
  await page.client.store.write({ down: { ...place(7), subscription: { ...NOTHING, prefixes: [utf8("a/")] } } });
  // Another tab keeps the device's mirror, of other prefixes.
  await device.write({ down: { ...place(7), subscription: { ...NOTHING, prefixes: [utf8("b/")] } } });
  page.kill();
  expect(await codeOf(page.client.store.mirrored())).toBe("CLIENT_STORAGE_FAILED");
});

test("S1: a write that moved the place, and that the worker died over, is not taken for another tab's", async () => {
  const device = new SilentStore();
  const page = pageOver(async () => device);
  await page.client.store.write({ down: place(7) });
  device.silent = true;
  const dying = page.client.store.write({ ...put(1), down: place(8) });
  await expect.poll(() => device.writes).toBe(2);
  device.silent = false;
  page.kill();
  await dying;
  expect([await page.client.store.down(), device.writes]).toEqual([place(8), 3]);
});

test("a worker that cannot let go of everything is ended all the same", async () => {
  const page = pageOver(
    async () => new DeviceMemoryStore(),
    undefined,
    () => Promise.reject(new OpenClawError("UNAVAILABLE", "its code could not be loaded")),
  );
  expect(await codeOf(page.client.stop())).toBe("UNAVAILABLE");
  expect(await codeOf(page.client.store.down())).toBe("STOPPED");
});

test("X1: calls that wait for a worker are bounded", async () => {
  const page = pageOver(() => new Promise(() => undefined));
  const codes: string[] = [];
  for (let i = 0; i <= 4_096; i++) void codeOf(page.client.store.down()).then((code) => codes.push(code));
  await expect.poll(() => codes).toEqual(["OVERLOADED"]);
});
