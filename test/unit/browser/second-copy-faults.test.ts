/** What goes wrong around a second copy: files that cannot be read or written, code that does not come, two pages at once. */
import { CopyFile } from "@openclaw/browser/storage/copy-file.ts";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { nothingAt } from "@openclaw/core/client/nothing.ts";
import { encode } from "@openclaw/core/codec.ts";
import { seq } from "@openclaw/core/ids.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CopiedDevice, down, freshName, link, other, put, site } from "./copied-device.ts";
import { MemoryFile } from "./memory-slots.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** So that the first operation waits for the code. Resolves when it was looked for them. */
function copiesAreThere(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const folder = { getDirectoryHandle: async () => resolve() };
  vi.stubGlobal("navigator", { storage: { getDirectory: async () => folder } });
  return promise;
}

/** Time passes until it resolves. */
async function inFakeTime<T>(waiting: Promise<T>): Promise<T> {
  let isOver = false;
  const over = waiting.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(10);
  }
  return over;
}

test("visits do not use up the slots", async () => {
  const at = new CopiedDevice();
  for (let visit = 0; visit < 10; visit++) {
    await at.reopened();
    at.kill();
  }
  expect(at.slots.files.length).toBeLessThan(4);
});

test("a copy that opens late holds what its own page had stored before", async () => {
  const at = new CopiedDevice();
  at.slots.links.add(link);
  const store = at.open(2);
  await store.write({ enqueue: [put(1)] });
  await store.write({ enqueue: [put(2)] });
  expect((await store.identity()).copied).toBe(true);
  at.kill();
  at.slots.links.clear();
  await at.lose();
  await at.reopened();
  expect((await at.rows()).map((row) => row.seq)).toEqual([1, 2]);
});

test("rows of a claimed link that were taken up are in the new copy", async () => {
  const at = new CopiedDevice();
  await at.open().write({ enqueue: [put(1)] });
  at.slots.links.add(link);
  at.kill();
  await at.lose();
  await at.reopened();
  at.kill();
  await at.lose();
  await at.reopened();
  expect((await at.rows()).map((row) => row.seq)).toEqual([1]);
});

test("a disk that is full while it opens leaks no handle", async () => {
  const at = new CopiedDevice();
  await at.open().write({ enqueue: [put(1)] });
  at.kill();
  const slots = at.slots;
  const empty = slots.empty.bind(slots);
  slots.empty = async () => {
    const file = await empty();
    for (const each of slots.files) each.isFull = true;
    return file;
  };
  const store = at.open();
  for (let n = 2; n < 12; n++) await store.write({ enqueue: [{ ...put(n), link: other }] });
  expect(slots.files.filter(({ isOpen }) => isOpen).length).toBeLessThan(3);
});

test("one file of a later version does not end every copy", async () => {
  const at = new CopiedDevice();
  const file = new MemoryFile();
  file.isOpen = true;
  const strange = new CopyFile(file);
  strange.begin("x", 1);
  // A step of another form.
  strange.append([], [encode(["later"])]);
  file.isOpen = false;
  at.slots.files.push(file);
  const store = at.open();
  await store.write({ enqueue: [put(1)] });
  await store.write({ enqueue: [put(2)] });
  expect((await store.identity()).copied).toBe(true);
});

test("what was taken up and answered is not taken up again at the next visit where no copy can be written", async () => {
  const at = new CopiedDevice();
  await at.open().write({ enqueue: [put(1)] });
  at.kill();
  await at.lose();
  at.slots.empty = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
  const settled = async (store: IndexedDbStore) =>
    expect.poll(async () => (await store.identity()).copied, { interval: 2 }).toBe(false);
  const store = at.open();
  await settled(store);
  expect((await at.rows()).length).toBe(1);
  await store.write({ answered: [put(1)] });
  at.kill();
  await settled(at.open());
  expect(await at.rows()).toEqual([]);
});

test("a write does not wait for ever for code that hangs", async () => {
  const store = new IndexedDbStore(freshName(), () => new Promise(() => undefined));
  await inFakeTime(store.write({ enqueue: [put(1)] }));
  expect(await store.outbox(link, seq(1), 9)).toEqual([put(1)]);
});

test("Q1: a row made before the first site was met is of that site", async () => {
  const at = new CopiedDevice();
  const main = at.open();
  await main.write({ enqueue: [put(1)] });
  await main.write({ down: down });
  at.kill();
  await at.lose();
  await at.reopened();
  expect((await at.rows()).map((row) => row.site?.cluster)).toEqual([site.cluster]);
});

test("close does not wait for ever for code that hangs", async () => {
  const looked = copiesAreThere();
  const store = new IndexedDbStore(freshName(), () => new Promise(() => undefined));
  store.identity().catch(() => undefined);
  await inFakeTime(looked.then(() => store.close()));
});

test("an edit that a page discarded does not come back from another page's copy", async () => {
  const at = new CopiedDevice();
  await at.open().write({ enqueue: [put(1)] });
  at.kill();
  const one = await at.reopened();
  const two = await at.reopened();
  // Both have it: `two` claims its link and discards it.
  await two.write({ replaced: [nothingAt(link, seq(1), null)] });
  void one;
  at.kill();
  await at.lose();
  await at.reopened();
  expect(await at.rows()).toEqual([nothingAt(link, seq(1), null)]);
});

test("a second page waits, too, for what the first one takes up", async () => {
  const at = new CopiedDevice();
  copiesAreThere();
  await at.open().write({ enqueue: [put(1)] });
  at.kill();
  await at.lose();
  const [free, inTurn] = [at.slots.free.bind(at.slots), at.slots.inTurn.bind(at.slots)];
  const both = Promise.withResolvers<void>();
  let pages = 0;
  at.slots.inTurn = (run) => {
    if (++pages === 2) both.resolve();
    return inTurn(run);
  };
  at.slots.free = async () => {
    const files = await free();
    if (files.length === 0) return files;
    // The first has them open when the second comes, and for longer than that needs if it does not wait.
    await both.promise;
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    return files;
  };
  const [one, two] = [at.open(), at.open()];
  const rows = await Promise.all([one, two].map((store) => store.outbox(link, seq(1), 9)));
  expect(rows.map((each) => each.length)).toEqual([1, 1]);
});

test("a file that cannot be read does not keep another one from being taken up", async () => {
  const at = new CopiedDevice();
  await at.open().write({ enqueue: [put(1)] });
  at.kill();
  await at.lose();
  const file = new MemoryFile();
  file.isOpen = true;
  file.read = () => {
    throw new DOMException("gone", "NotReadableError");
  };
  file.isOpen = false;
  file.bytes = new Uint8Array(9);
  at.slots.files.unshift(file);
  const store = at.open();
  await expect.poll(async () => (await store.identity()).copied, { interval: 2 }).not.toBe(null);
  expect((await at.rows()).length).toBe(1);
});
