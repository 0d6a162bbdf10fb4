import "fake-indexeddb/auto";
import { Database } from "@openclaw/browser/storage/database.ts";
import { UPGRADES, type UpgradeStep } from "@openclaw/browser/storage/schema.ts";
import { utf8 } from "@openclaw/core/bytes.ts";
import { isLinkId, seq } from "@openclaw/core/ids.ts";
import { openDB } from "idb";
import { afterEach, expect, test, vi } from "vitest";

let count = 0;
const freshName = (): string => `database-${++count}`;
const link = "a".repeat(32);
if (!isLinkId(link)) throw new Error("no link");
const row = { link, seq: seq(7), command: { kind: "put", key: utf8("k"), value: utf8("v") } } as const;
const FAILED = { code: "CLIENT_STORAGE_FAILED" };

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** As the first version of the app left it, without a line of the present code. */
async function ofVersion1(name: string): Promise<void> {
  const database = await openDB(name, 1, {
    upgrade: (fresh) => {
      for (const store of ["links", "outbox", "changes", "awaiting", "mirror", "cursors"])
        fresh.createObjectStore(store);
      fresh.createObjectStore("failed", { autoIncrement: true });
    },
  });
  await database.put("links", 8, link);
  await database.put("outbox", [row], [link, 7]);
  await database.add("failed", { ...row, code: "FORBIDDEN", details: "" });
  database.close();
}

/** Each row of an outbox under a key of its own: a step that moves what is there. */
const unpackOutbox: UpgradeStep = async (_database, upgrade) => {
  const store = upgrade.objectStore("outbox");
  for (const rows of await store.getAll()) for (const one of rows) await store.put([one], [one.link, one.seq]);
};

test("a database of version 1 becomes the present one with all that it held", async () => {
  const name = freshName();
  await ofVersion1(name);
  const database = new Database(name);
  const [identity, links, outbox, failed] = await database.run((open) =>
    Promise.all([open.get("identity", "database"), open.getAll("links"), open.getAll("outbox"), open.count("failed")]),
  );
  expect(identity).toMatch(/^[0-9a-f]{32}$/);
  expect([links, outbox, failed]).toEqual([[8], [[row]], 1]);
  await database.close();
  const again = new Database(name);
  expect(await again.identity()).toBe(identity);
  await again.close();
});

test("a device that skipped versions takes every step, in order, and a database of now takes none", async () => {
  const steps: string[] = [];
  const named =
    (step: UpgradeStep, at: number): UpgradeStep =>
    async (...on) => {
      steps.push(`to ${at + 1}`);
      await step(...on);
    };
  const upgrades = [...UPGRADES, unpackOutbox].map(named);
  const name = freshName();
  await ofVersion1(name);
  for (let visit = 0; visit < 2; visit++) {
    const database = new Database(name, { upgrades });
    expect(await database.run((open) => open.getAll("outbox"))).toEqual([[row]]);
    await database.close();
  }
  expect(steps).toEqual(["to 2", "to 3"]);
});

test("a step that fails takes the whole upgrade back, is told, and the older version still opens", async () => {
  const name = freshName();
  const present = new Database(name);
  await present.run((open) => open.put("links", 8, link));
  await present.close();
  const failing: UpgradeStep = async (_database, upgrade) => {
    await upgrade.objectStore("links").clear();
    throw new Error("planted");
  };
  const newer = new Database(name, { upgrades: [...UPGRADES, failing] });
  await expect(newer.run((open) => open.getAll("links"))).rejects.toMatchObject({
    ...FAILED,
    details: "Error: planted",
  });
  await newer.close();
  const older = new Database(name);
  expect(await older.run((open) => open.getAll("links"))).toEqual([8]);
  await older.close();
});

test("three tabs of two versions: the newer one opens as soon as a write of the older is over (pitfall 42)", async () => {
  const name = freshName();
  const [one, two] = [new Database(name), new Database(name)];
  await two.identity();
  const newer = new Database(name, { upgrades: [...UPGRADES, unpackOutbox] });
  // In the middle of a transaction, which has to end before the older connection can close.
  let upgraded: Promise<unknown> = Promise.resolve();
  await one.run(async (open) => {
    const step = open.transaction("links", "readwrite");
    upgraded = newer.identity();
    for (let i = 0; i < 50; i++) await step.store.put(i, link);
    await step.done;
  });
  expect(await upgraded).toMatch(/^[0-9a-f]{32}$/);
  for (const older of [one, two])
    await expect(older.identity()).rejects.toMatchObject({ ...FAILED, details: expect.stringContaining("reload") });
  expect(await newer.run((open) => open.getAll("links"))).toEqual([49]);
  for (const database of [one, two, newer]) await database.close();
});

test("a tab that lets go a moment later is waited for (pitfall 42)", async () => {
  const name = freshName();
  await ofVersion1(name);
  const writing = await openDB(name, 1);
  const newer = new Database(name);
  const opened = newer.identity();
  setTimeout(() => writing.close(), 300);
  expect(await opened).toMatch(/^[0-9a-f]{32}$/);
  await newer.close();
});

test("a tab that does not let go is named, call after call, and nobody hangs; when it is closed, all goes on (pitfall 42)", async () => {
  const name = freshName();
  await ofVersion1(name);
  // Of a version that knew nothing of `versionchange`.
  const deaf = await openDB(name, 1);
  const newer = new Database(name);
  const told = { ...FAILED, details: expect.stringContaining("older version") };
  await expect(newer.identity()).rejects.toMatchObject(told);
  const began = performance.now();
  await expect(newer.identity()).rejects.toMatchObject(told);
  expect(performance.now() - began).toBeLessThan(1_000);
  deaf.close();
  await expect.poll(() => newer.identity().catch(() => null)).toMatch(/^[0-9a-f]{32}$/);
  await newer.close();
});

test.each([
  ["SecurityError", "allow cookies and site data"],
  ["QuotaExceededError", "no space left"],
])("a browser that will not open a database says why: %s", async (reason, advice) => {
  vi.spyOn(indexedDB, "open").mockImplementation(() => {
    throw new DOMException("no", reason);
  });
  const database = new Database(freshName());
  await expect(database.identity()).rejects.toMatchObject({ ...FAILED, details: expect.stringContaining(advice) });
  await database.close();
});
