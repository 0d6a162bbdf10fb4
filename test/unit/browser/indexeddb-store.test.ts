import "fake-indexeddb/auto";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { UPGRADES } from "@openclaw/browser/storage/schema.ts";
import { SecondCopy } from "@openclaw/browser/storage/second-copy.ts";
import { utf8 } from "@openclaw/core/bytes.ts";
import { isActorId, isChangeHash, isLinkId, revision, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { deleteDB, openDB } from "idb";
import { expect, test, vi } from "vitest";
import { clientStoreContract } from "../../contracts/client-store.ts";
import { MemorySlots } from "./memory-slots.ts";

let count = 0;
const freshName = (): string => `store-${++count}`;
const withCopy = (name: string, slots: MemorySlots): IndexedDbStore =>
  new IndexedDbStore(name, async () => (database, own) => SecondCopy.open(database, slots, own));

clientStoreContract("IndexedDbStore", () => {
  const name = freshName();
  return {
    open: async () => new IndexedDbStore(name),
    destroy: () => deleteDB(name),
  };
});

function checked<T>(value: string, is: (value: unknown) => value is T): T {
  if (!is(value)) throw new Error(`not valid: ${value}`);
  return value;
}

const link = checked("a".repeat(32), isLinkId);
const hashOf = (number: number) => checked(number.toString(16).padStart(64, "0"), isChangeHash);
const change = (number: number): DocumentChange => ({
  hash: hashOf(number),
  actor: checked("ab".repeat(16), isActorId),
  seq: number,
  deps: number === 1 ? [] : [hashOf(number - 1)],
  bytes: utf8(`change ${number}`),
});
const put = (number: number) => ({
  link,
  seq: seq(number),
  command: { kind: "put", key: utf8(`k${number}`), value: utf8("v") } as const,
});

test("S1: every write asks for strict durability (pitfall 40)", async () => {
  const transaction = vi.spyOn(IDBDatabase.prototype, "transaction");
  const store = new IndexedDbStore(freshName());
  await store.write({ enqueue: [put(1)], changes: [{ collection: "c", document: "d", changes: [change(1)] }] });
  await store.write({ answered: [{ link, seq: seq(1) }] });
  const writes = transaction.mock.calls.filter(([, mode]) => mode === "readwrite");
  expect(writes).toHaveLength(2);
  for (const [, , options] of writes) expect(options).toEqual({ durability: "strict" });
  transaction.mockRestore();
  await store.close();
});

test("S1: a write that fails midway leaves nothing and says CLIENT_STORAGE_FAILED", async () => {
  const store = new IndexedDbStore(freshName());
  await store.write({ enqueue: [put(1)] });
  // A function cannot be cloned: the second put of the same step throws.
  const broken = { ...put(2), command: { kind: "put", key: utf8("k"), value: utf8("v"), bad: () => 0 } as const };
  await expect(
    store.write({ enqueue: [put(3)], failed: [{ ...broken, code: "FORBIDDEN", details: "" }] }),
  ).rejects.toMatchObject({ code: "CLIENT_STORAGE_FAILED" });
  expect((await store.outbox(link, seq(1), 9)).map((row) => row.seq)).toEqual([1]);
  expect(await store.nextSeq(link)).toBe(2);
  await store.close();
});

test("a full device is told as CLIENT_STORAGE_FAILED, and what was there stays (pitfall 43)", async () => {
  const store = new IndexedDbStore(freshName());
  await store.write({ enqueue: [put(1)] });
  const full = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  await expect(store.write({ enqueue: [put(2)] })).rejects.toMatchObject({
    code: "CLIENT_STORAGE_FAILED",
    details: expect.stringContaining("no space"),
  });
  full.mockRestore();
  expect((await store.outbox(link, seq(1), 9)).map((row) => row.seq)).toEqual([1]);
  await store.close();
});

test("S1: a write that is made twice, as by a worker in a dead one's place, is there once", async () => {
  const name = freshName();
  const write = {
    enqueue: [put(2)],
    answered: [{ link, seq: seq(1) }],
    failed: [{ ...put(1), code: "FORBIDDEN" as const, details: "" }],
  };
  for (let time = 0; time < 2; time++) {
    const store = new IndexedDbStore(name);
    await store.write(write);
    expect(await store.failed()).toEqual(write.failed);
    expect(await store.outbox(link, seq(1), 9)).toEqual(write.enqueue);
    await store.close();
  }
});

test("a connection that the browser closed is opened again (pitfall 41)", async () => {
  const open = vi.spyOn(indexedDB, "open");
  const store = new IndexedDbStore(freshName());
  await store.write({ enqueue: [put(1)] });
  const request = open.mock.results[0];
  if (request?.type !== "return") throw new Error("the database was not opened");
  const database: IDBDatabase = request.value.result;
  // Safari closes without a word in some versions, and with a `close` event in others.
  database.close();
  await store.write({ enqueue: [put(2)] });
  expect((await store.outbox(link, seq(1), 9)).map((row) => row.seq)).toEqual([1, 2]);
  expect(open).toHaveBeenCalledTimes(2);
  open.mockRestore();
  await store.close();
});

test("cleared under a page: what it had typed is stored again for the next session, and it is told (pitfall 43)", async () => {
  const name = freshName();
  const slots = new MemorySlots();
  const store = withCopy(name, slots);
  await store.write({ enqueue: [put(1), { ...put(2), command: { ...put(2).command, value: utf8("before") } }] });
  await store.write({ replaced: [put(2)] });
  const command = { kind: "change", collection: "c", document: "d", changes: [change(1)] } as const;
  await store.write({ enqueue: [{ link, seq: seq(3), command }], changes: [command] });
  await store.write({ answered: [{ link, seq: seq(1) }] });
  await deleteDB(name);

  await expect(store.write({ enqueue: [put(4)] })).rejects.toMatchObject({ code: "CLIENT_STORAGE_LOST" });
  await expect(store.write({ answered: [{ link, seq: seq(2) }] })).rejects.toMatchObject({
    code: "CLIENT_STORAGE_LOST",
  });
  const next = withCopy(name, slots);
  expect(await next.outbox(link, seq(1), 9)).toEqual([put(2), { link, seq: 3, command }]);
  expect(await next.nextSeq(link)).toBe(4);
  expect(await next.document("c", "d")).toEqual([change(1)]);
  // What the next session has sent does not come back.
  await next.write({ answered: [2, 3].map((number) => ({ link, seq: seq(number) })) });
  await expect(store.identity()).rejects.toMatchObject({ code: "CLIENT_STORAGE_LOST" });
  expect(await next.outboxLinks()).toEqual([]);
  await store.close();
  await next.close();
});

test("cleared under two pages: each stores its own again, and neither takes the other's new database for its own", async () => {
  const name = freshName();
  const slots = new MemorySlots();
  const [one, two] = [withCopy(name, slots), withCopy(name, slots)];
  const other = checked("b".repeat(32), isLinkId);
  await one.write({ enqueue: [put(1)] });
  await two.write({ enqueue: [{ ...put(1), link: other }] });
  await deleteDB(name);
  for (const store of [one, two]) await expect(store.identity()).rejects.toMatchObject({ code: "CLIENT_STORAGE_LOST" });
  const next = withCopy(name, slots);
  expect(await next.outboxLinks()).toEqual([link, other]);
  for (const store of [one, two, next]) await store.close();
});

test("a newer version is let in at once, and the older page is told to reload (pitfall 42)", async () => {
  const name = freshName();
  const store = new IndexedDbStore(name);
  await store.write({ enqueue: [put(1)] });
  const newer = await openDB(name, UPGRADES.length + 1);
  await expect(store.write({ enqueue: [put(2)] })).rejects.toMatchObject({
    code: "CLIENT_STORAGE_FAILED",
    details: expect.stringContaining("reload"),
  });
  newer.close();
  await store.close();
});

test("a document of many rows is packed when it is read, and nothing of it is lost", async () => {
  const name = freshName();
  const store = new IndexedDbStore(name);
  for (let number = 1; number <= 600; number++) {
    await store.write({ changes: [{ collection: "c", document: "d", changes: [change(number)] }] });
  }
  expect(await store.document("c", "d")).toHaveLength(600);
  const database = await openDB(name);
  expect(await database.count("changes")).toBe(1);
  database.close();
  const changes = await store.document("c", "d");
  expect(changes.map((found) => found.seq)).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
  await store.close();
});

test("L4: a change that another tab dropped, and that the site brings back, is stored", async () => {
  const name = freshName();
  const [one, two] = [new IndexedDbStore(name), new IndexedDbStore(name)];
  const changes = [{ collection: "c", document: "d", changes: [change(1), change(2)] }];
  await one.write({ changes });
  expect(await two.document("c", "d")).toHaveLength(2);
  await one.write({ dropped: [{ collection: "c", document: "d", changes: [change(2)] }] });
  await two.write({ changes });
  expect(await one.document("c", "d")).toEqual([change(1), change(2)]);
  for (const store of [one, two]) await store.close();
});

test("half of an answered row's revisions at the hub leaves the other half awaiting", async () => {
  const store = new IndexedDbStore(freshName());
  const awaiting = [1, 2, 3, 4].map((at) => ({ link, seq: seq(at), revision: revision(at), document: null }));
  await store.write({ awaiting });
  await store.write({ hubHolds: revision(2) });
  await store.write({ hubHolds: revision(3) });
  expect((await store.awaiting()).map((row) => row.revision)).toEqual([4]);
  await store.close();
});

test("two tabs write the same change: a reader sees it once", async () => {
  const name = freshName();
  const [one, two] = [new IndexedDbStore(name), new IndexedDbStore(name)];
  await Promise.all([one.document("c", "d"), two.document("c", "d")]);
  for (const store of [one, two])
    await store.write({ changes: [{ collection: "c", document: "d", changes: [change(1)] }] });
  expect(await one.document("c", "d")).toHaveLength(1);
  await one.close();
  await two.close();
});
