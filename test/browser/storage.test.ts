/** What Chromium does to a page's storage: full, cleared, evicted, wanted by another version (pitfalls 41 to 43). */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContext, CDPSession, Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { buildTestPage } from "./build-test-page.ts";
import { complaints, launchChromium } from "./chromium.ts";
import { type StaticServer, serveFolder } from "./static-server.ts";
import type { StoragePage } from "./storage-page/main.ts";

declare const storagePage: StoragePage;

/** An idle page looks every ten seconds. */
const NOTICED_MS = 40_000;
const QUOTA_BYTES = 150_000;
const LARGE_BYTES = 100_000;

let folder: string;
let server: StaticServer;
let context: BrowserContext;
let devtools: CDPSession;
let visits = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-storage-"));
  await buildTestPage(fileURLToPath(new URL("storage-page", import.meta.url)), join(folder, "page"));
  server = await serveFolder(join(folder, "page"));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  context = await launchChromium(join(folder, `profile-${++visits}`));
  devtools = await context.newCDPSession(context.pages()[0] ?? (await context.newPage()));
});
afterEach(() => context.close());

async function visit(): Promise<Page> {
  const page = await context.newPage();
  await page.goto(server.url);
  await page.waitForFunction(() => "storagePage" in globalThis);
  return page;
}
async function open(): Promise<{ page: Page; found: string[] }> {
  const page = await visit();
  const found = complaints(page);
  await page.evaluate(() => storagePage.open());
  return { page, found };
}
const type = (page: Page, text: string) => page.evaluate((typed) => storagePage.type(typed), text);
const text = (page: Page) => page.evaluate(() => storagePage.text());
const status = (page: Page) => page.evaluate(() => storagePage.status());
const clear = (storageTypes = "indexeddb") =>
  devtools.send("Storage.clearDataForOrigin", { origin: server.url, storageTypes });

test("a full device is told, the edit says that it is not stored, and with room again all goes on (pitfall 43)", async () => {
  // From the start: Chromium remembers for a while how much room it found.
  await devtools.send("Storage.overrideQuotaForOrigin", { origin: server.url, quotaSize: QUOTA_BYTES });
  const { page, found } = await open();
  expect(await type(page, "Before. ")).toBeNull();
  const full = { code: "CLIENT_STORAGE_FAILED", details: expect.stringContaining("no space left") };
  // Nothing that a change could be packed into.
  expect(await type(page, randomBytes(LARGE_BYTES).toString("hex"))).toMatchObject(full);
  expect((await status(page)).lastError).toMatchObject(full);
  // What is shown is what is stored.
  await expect.poll(() => text(page)).toBe("Before. ");
  await devtools.send("Storage.overrideQuotaForOrigin", { origin: server.url });
  await expect.poll(() => type(page, "After. ")).toBeNull();
  expect((await status(page)).lastError?.code).not.toBe("CLIENT_STORAGE_FAILED");
  await page.reload();
  await page.evaluate(() => storagePage.open());
  expect(await text(page)).toBe("Before. After. ");
  expect(found).toEqual([]);
});

test("S1: cleared under an open page: told, and what the page had typed is there at the next session", async () => {
  const { page, found } = await open();
  expect(await type(page, "Kept. ")).toBeNull();
  await clear();
  expect(await type(page, "Refused. ")).toMatchObject({ code: "CLIENT_STORAGE_LOST" });
  await expect
    .poll(async () => (await status(page)).loss)
    .toMatchObject({
      code: "CLIENT_STORAGE_LOST",
      details: expect.stringContaining("while this page was open"),
    });
  // The session is over: nothing more is taken that nobody would keep.
  expect(await type(page, "Too late. ")).not.toBeNull();
  await page.reload();
  await page.evaluate(() => storagePage.open());
  expect(await text(page)).toBe("Kept. ");
  expect(await status(page)).toMatchObject({ unsynced: 2, loss: null });
  expect(await type(page, "Goes on. ")).toBeNull();
  expect(found).toEqual([]);
});

test("cleared under a page that nobody touches: it notices by itself", async () => {
  const { page } = await open();
  expect(await type(page, "Kept. ")).toBeNull();
  await expect.poll(async () => (await status(page)).copied, { timeout: NOTICED_MS }).toBe(true);
  await clear();
  await expect
    .poll(async () => (await status(page)).loss, { timeout: NOTICED_MS })
    .toMatchObject({ code: "CLIENT_STORAGE_LOST", details: expect.stringContaining("waited for the site") });
});

test("S1: a database that is gone at the next visit: what waited is taken up from its second copy, and both are told (pitfall 43)", async () => {
  const first = await open();
  expect((await status(first.page)).loss).toBeNull();
  for (const words of ["One. ", "Two. "]) expect(await type(first.page, words)).toBeNull();
  await expect.poll(async () => (await status(first.page)).unsynced).toBe(3);
  await first.page.close();
  await clear();
  const second = await open();
  expect((await status(second.page)).loss).toMatchObject({
    code: "CLIENT_STORAGE_LOST",
    details: expect.stringMatching(/up to 3 edits .* 3 of a second copy/),
  });
  expect(await text(second.page)).toBe("One. Two. ");
  expect((await status(second.page)).unsynced).toBe(3);
  expect(await type(second.page, "Goes on. ")).toBeNull();
  await second.page.close();
  // Once more, with what came of the first time.
  await clear();
  const third = await open();
  expect(await text(third.page)).toBe("One. Two. Goes on. ");
  expect(await status(third.page)).toMatchObject({ unsynced: 4, loss: { code: "CLIENT_STORAGE_LOST" } });
  await third.page.close();
  expect((await status((await open()).page)).loss).toBeNull();
});

test("S1: killed while it is typed into, and its database torn by that: all that was shown as stored is there", async () => {
  const profile = join(folder, `profile-${visits}`);
  const { page } = await open();
  const shown: string[] = [];
  await page.exposeFunction("isStored", (words: string) => void shown.push(words));
  const closed = context.waitForEvent("close");
  const typed = page.evaluate(async () => {
    const asked: Promise<unknown>[] = [];
    for (let i = 0; ; i++) {
      const words = `${i} `;
      asked.push(
        storagePage.type(words).then((failure) => failure === null && Reflect.get(globalThis, "isStored")(words)),
      );
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  typed.catch(() => undefined);
  await expect.poll(() => shown.length, { timeout: NOTICED_MS }).toBeGreaterThan(20);
  await devtools.send("Browser.crash" as never).catch(() => undefined);
  await closed;
  // As Chromium itself does where it finds its log torn.
  await rm(join(profile, "Default/IndexedDB"), { recursive: true });
  context = await launchChromium(profile);
  devtools = await context.newCDPSession(context.pages()[0] ?? (await context.newPage()));
  const again = await open();
  const found = (await text(again.page)).split(" ");
  expect(shown.map((words) => words.trim()).filter((words) => !found.includes(words))).toEqual([]);
  expect((await status(again.page)).loss?.code).toBe("CLIENT_STORAGE_LOST");
});

test("all that an origin had is gone: told once, with how much had not reached the site (pitfall 43)", async () => {
  const first = await open();
  expect(await type(first.page, "One. ")).toBeNull();
  await expect.poll(async () => (await status(first.page)).unsynced).toBe(2);
  await first.page.close();
  await clear("indexeddb,file_systems");
  const second = await open();
  expect((await status(second.page)).loss).toMatchObject({
    code: "CLIENT_STORAGE_LOST",
    details: expect.stringMatching(/up to 2 edits .* 0 of a second copy/),
  });
  expect(await text(second.page)).toBe("");
  expect(await type(second.page, "Begins anew. ")).toBeNull();
  await second.page.close();
  const third = await open();
  expect((await status(third.page)).loss).toBeNull();
  expect(await text(third.page)).toBe("Begins anew. ");
});

test("two tabs lose their database: what either had typed is there at the next session, once", async () => {
  const [one, two] = [await open(), await open()];
  expect(await type(one.page, "One. ")).toBeNull();
  await expect.poll(() => text(two.page)).toBe("One. ");
  expect(await type(two.page, "Two. ")).toBeNull();
  await one.page.close();
  expect(await type(two.page, "Three. ")).toBeNull();
  await two.page.close();
  await clear();
  const next = await open();
  expect(await text(next.page)).toBe("One. Two. Three. ");
  expect((await status(next.page)).unsynced).toBe(4);
});

test("visits use the files of second copies again", async () => {
  const { page } = await open();
  for (let visit = 0; visit < 6; visit++) {
    await page.reload();
    await page.evaluate(() => storagePage.open());
    expect(await type(page, "x")).toBeNull();
  }
  expect((await page.evaluate(() => storagePage.files())).length).toBeLessThan(4);
});

test("persistent storage is asked for when there is first something to protect, and the answer is in the status", async () => {
  const page = await visit();
  await page.evaluate(() => {
    Object.assign(globalThis, { asked: 0 });
    navigator.storage.persist = async () => {
      Object.assign(globalThis, { asked: Number(Reflect.get(globalThis, "asked")) + 1 });
      return true;
    };
  });
  const asked = () => page.evaluate(() => Reflect.get(globalThis, "asked"));
  await page.evaluate(() => storagePage.open());
  // The document's first content is an edit like any other; a client that only looks has none.
  await expect.poll(async () => (await status(page)).persisted).toBe(true);
  await type(page, "Once. ");
  expect(await asked()).toBe(1);
});

test("three tabs of two versions: the newer one gets in at once, the older ones are told to reload, and no row is gone (pitfall 42)", async () => {
  const [one, two, newer] = [await visit(), await visit(), await visit()];
  const count = (page: Page, number: number) => page.evaluate((put) => storagePage.count(put), number);
  for (const page of [one, two]) await page.evaluate(() => storagePage.openDatabase(0));
  expect([await count(one, 1), await count(two, 2)]).toEqual([1, 2]);
  await newer.evaluate(() => storagePage.openDatabase(1));
  // While one of them writes.
  const [old, upgraded] = await Promise.all([count(one, 3), count(newer, 4)]);
  const reload = { code: "CLIENT_STORAGE_FAILED", details: expect.stringContaining("reload") };
  // It was in time, or it was not; each row is where it was told to be.
  const inTime = typeof old === "number";
  if (!inTime) expect(old).toMatchObject(reload);
  for (const page of [one, two]) expect(await count(page, 5)).toMatchObject(reload);
  expect(await count(newer, 6)).toBe(inTime ? 5 : 4);
  expect(upgraded).toBe(inTime ? 4 : 3);
  // As after a reload of the app: the older tabs are of the newer version, too.
  for (const page of [one, two]) {
    await page.evaluate(() => storagePage.openDatabase(1));
    expect(await count(page, 6)).toBe(inTime ? 5 : 4);
  }
});
