import zlib from "node:zlib";
import { crc32 } from "@openclaw/browser/storage/crc32.ts";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { SecondCopy } from "@openclaw/browser/storage/second-copy.ts";
import { utf8 } from "@openclaw/core/bytes.ts";
import { isActorId, isChangeHash, type LinkId, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { deleteDB } from "idb";
import { expect, test } from "vitest";
import { CopiedDevice, checked, down, freshName, link, other, put, refused, site } from "./copied-device.ts";
import { MemoryFile } from "./memory-slots.ts";

const change: DocumentChange = {
  hash: checked("1".padStart(64, "0"), isChangeHash),
  actor: checked("ab".repeat(16), isActorId),
  seq: 1,
  deps: [checked("2".padStart(64, "0"), isChangeHash)],
  bytes: utf8("change"),
};
test("S1: a database that is gone after a kill: what waited is in the one in its place, and its number goes on", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(1), put(2, "before")] });
  await store.write({ replaced: [put(2)], answered: [put(1)] });
  const command = { kind: "change", collection: "c", document: "d", changes: [change] } as const;
  await store.write({ enqueue: [{ link, seq: seq(3), command }], changes: [command] });
  at.kill();
  await at.lose();
  const next = await at.reopened();
  expect(await next.outbox(link, seq(1), 9)).toEqual([put(2), { link, seq: 3, command }]);
  expect(await next.nextSeq(link)).toBe(4);
  expect(await next.document("c", "d")).toEqual([change]);
  expect((await next.identity()).takenUp).toBe(2);
  // And once more, though nothing was written since.
  at.kill();
  await at.lose();
  await at.reopened();
  expect((await at.rows()).map((row) => row.seq)).toEqual([2, 3]);
});

test("what was answered, or discarded, does not come back", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(1), put(2), put(3)] });
  await store.write({ answered: [put(1)] });
  await store.write({ answered: [put(2)], failed: [{ ...put(2), code: "FORBIDDEN", details: "no" }] });
  await store.write({ forgetFailed: [put(2)] });
  at.kill();
  await at.lose();
  const next = await at.reopened();
  expect(await at.rows()).toEqual([put(3)]);
  expect(await next.failed()).toEqual([]);
});

test("what the site refused is kept, too", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(1)] });
  await store.write({ answered: [put(1)], failed: [refused] });
  at.kill();
  await at.lose();
  const next = await at.reopened();
  expect(await next.failed()).toEqual([refused]);
  expect(await at.rows()).toEqual([]);
});

test("Q1: a row that names no site is of the one that was followed, or met first, also in another database", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(1)] });
  await store.write({ down });
  await store.write({ enqueue: [put(2)] });
  at.kill();
  await at.lose();
  await at.reopened();
  expect(await at.rows()).toEqual([put(1), put(2)].map((row) => ({ ...row, site })));
});

test("a database that is sound is the truth: what it does not have is not brought back", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(1), put(2)] });
  at.kill();
  // By a tab whose copy has another row, as it answers for the one that was killed.
  const elsewhere = at.open();
  await elsewhere.write({ answered: [put(1)] });
  at.kill();
  await at.reopened();
  expect((await at.rows()).map((row) => row.seq)).toEqual([2]);
  at.kill();
  await at.lose();
  await at.reopened();
  expect((await at.rows()).map((row) => row.seq)).toEqual([2]);
});

test("a page that is alive sees to its own rows, one that died with its file locked still has them in it", async () => {
  const at = new CopiedDevice();
  const [one, two] = [at.open(), at.open()];
  at.slots.links.add(link);
  await one.write({ enqueue: [put(1)] });
  await two.write({ enqueue: [{ ...put(1), link: other }] });
  await one.write({ answered: [put(1)] });
  await one.write({ enqueue: [put(2)] });
  at.kill();
  at.slots.links.clear();
  await at.lose();
  await at.reopened();
  expect(await at.rows()).toEqual([put(2), { ...put(1), link: other }]);
});

test("a worker in a dead one's place goes on with the rows of its page, whose link is claimed", async () => {
  const at = new CopiedDevice();
  await at.open().write({ enqueue: [put(1)] });
  at.slots.links.add(link);
  at.kill();
  await at.reopened();
  at.kill();
  await at.lose();
  await at.reopened();
  expect(await at.rows()).toEqual([put(1)]);
});

test("a page that stored its rows again does not have them come back once they were answered", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(1)] });
  await at.lose();
  await expect(store.identity()).rejects.toMatchObject({ code: "CLIENT_STORAGE_LOST" });
  const next = await at.reopened();
  expect(await at.rows()).toEqual([put(1)]);
  await next.write({ answered: [put(1)] });
  at.kill();
  await at.reopened();
  expect(await at.rows()).toEqual([]);
});

test("two copies of one row are one", async () => {
  const at = new CopiedDevice();
  const store = at.open();
  await store.write({ enqueue: [put(2), put(3)], failed: [refused] });
  at.kill();
  for (const { bytes } of [...at.slots.files]) {
    const twin = new MemoryFile();
    twin.bytes = bytes.slice();
    at.slots.files.push(twin);
  }
  await at.lose();
  const next = await at.reopened();
  expect(await at.rows()).toEqual([put(2), put(3)]);
  expect(await next.failed()).toEqual([refused]);
  expect((await next.identity()).takenUp).toBe(3);
});

test("of two copies of one row, that of a page that heard of its refusal counts", async () => {
  const at = new CopiedDevice();
  const [one, two] = [at.open(), at.open()];
  await one.write({ enqueue: [put(1)] });
  await two.write({ answered: [put(1)], failed: [refused] });
  at.kill();
  await at.lose();
  const next = await at.reopened();
  expect(await at.rows()).toEqual([]);
  expect(await next.failed()).toEqual([refused]);
});

test("the CRC is that of zlib, and goes on from another", () => {
  const bytes = utf8("what a person typed");
  for (const before of [0, 1, 0xffff_ffff, 0x1234_5678]) expect(crc32(bytes, before)).toBe(zlib.crc32(bytes, before));
});

test("S1: a write is flushed before it resolves", async () => {
  const at = new CopiedDevice();
  const store = await at.reopened();
  const flushes = (): number => at.slots.files.reduce((sum, file) => sum + file.flushes, 0);
  const before = flushes();
  await store.write({ enqueue: [put(1)] });
  expect(flushes()).toBe(before + 1);
});

test("a file that was cut off anywhere has what was whole", async () => {
  const at = new CopiedDevice();
  const store = await at.reopened();
  await store.write({ enqueue: [put(1)] });
  const file = at.slots.files.find(({ bytes }) => bytes.length > 0);
  if (file === undefined) throw new Error("nothing was copied");
  const first = file.bytes.length;
  await store.write({ enqueue: [put(2)] });
  const whole = file.bytes;
  for (let length = 0; length <= whole.length; length += 1 + (length % 7)) {
    at.kill();
    for (const each of at.slots.files) each.bytes = new Uint8Array(0);
    file.bytes = whole.slice(0, length);
    await at.lose();
    const next = await at.reopened();
    const found = (await at.rows()).map((row) => row.seq);
    expect([length, found]).toEqual([length, length === whole.length ? [1, 2] : length >= first ? [1] : []]);
    await next.close();
  }
});

test("a bit that turned over ends what is read of a file, and nothing is made up", async () => {
  const at = new CopiedDevice();
  const store = await at.reopened();
  for (const number of [1, 2, 3]) await store.write({ enqueue: [put(number)] });
  const file = at.slots.files.find(({ bytes }) => bytes.length > 0);
  if (file === undefined) throw new Error("nothing was copied");
  const whole = file.bytes;
  for (let place = 0; place < whole.length; place += 5) {
    at.kill();
    for (const each of at.slots.files) each.bytes = new Uint8Array(0);
    file.bytes = whole.map((byte, i) => (i === place ? byte ^ 0x10 : byte));
    await at.lose();
    const next = await at.reopened();
    const found = await at.rows();
    expect(found).toEqual([put(1), put(2), put(3)].slice(0, found.length));
    expect(found.length).toBeLessThan(3);
    await next.close();
  }
});

test("a file that holds mostly what was answered is written anew, and what waits is in it", async () => {
  const at = new CopiedDevice();
  const store = await at.reopened();
  const large = "x".repeat(200_000);
  await store.write({ enqueue: [put(1)] });
  for (let number = 2; number < 40; number++) {
    await store.write({ enqueue: [put(number, large)] });
    await store.write({ answered: [put(number)] });
  }
  expect(Math.max(...at.slots.files.map(({ bytes }) => bytes.length))).toBeLessThan(2_000_000);
  expect(at.slots.files.length).toBeLessThan(4);
  at.kill();
  await at.lose();
  await at.reopened();
  expect(await at.rows()).toEqual([put(1)]);
});

test("a disk that is full ends the copy, which shows, and no edit fails of it; the next session has one again", async () => {
  const at = new CopiedDevice();
  const store = await at.reopened();
  await store.write({ enqueue: [put(1)] });
  for (const file of at.slots.files) file.isFull = true;
  await store.write({ enqueue: [put(2)] });
  expect((await store.identity()).copied).toBe(false);
  await store.write({ enqueue: [put(3)] });
  expect((await at.rows()).map((row) => row.seq)).toEqual([1, 2, 3]);
  at.kill();
  for (const file of at.slots.files) file.isFull = false;
  await at.reopened();
  at.kill();
  await at.lose();
  await at.reopened();
  expect((await at.rows()).map((row) => row.seq)).toEqual([1, 2, 3]);
});

test("where the browser gives no files, or the code cannot be loaded, an edit is stored and it shows that it is not copied", async () => {
  const [one, two] = [freshName(), freshName()];
  const nowhere = {
    slots: () => Promise.reject(new DOMException("no", "SecurityError")),
    claimed: async () => new Set<LinkId>(),
  };
  const blocked = new IndexedDbStore(one, async () => (database, own) => SecondCopy.open(database, nowhere, own));
  let asked = 0;
  const unloaded = new IndexedDbStore(two, () => {
    asked++;
    return Promise.reject(new Error("offline"));
  });
  for (const [store, copied] of [
    [blocked, false],
    [unloaded, null],
  ] as const) {
    for (const number of [1, 2]) await store.write({ enqueue: [put(number)] });
    expect(await store.outbox(link, seq(1), 9)).toEqual([put(1), put(2)]);
    expect((await store.identity()).copied).toBe(copied);
  }
  expect(asked).toBeGreaterThan(1);
  // In memory they are known: the next session has what a page that goes on had typed.
  await deleteDB(one);
  await expect(blocked.write({ enqueue: [put(3)] })).rejects.toMatchObject({ code: "CLIENT_STORAGE_LOST" });
  const next = new IndexedDbStore(one);
  expect(await next.outbox(link, seq(1), 9)).toEqual([put(1), put(2)]);
});
