/** A byte of the stored ledger is flipped, and the revision that it belongs to is named (L2). */
import { join } from "node:path";
import { encode } from "@openclaw/core/codec.ts";
import { index, revision } from "@openclaw/core/ids.ts";
import { checkLedger } from "@openclaw/edge-runtime/storage/ledger-check.ts";
import { unpackRecords } from "@openclaw/edge-runtime/storage/record-batch.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { StateTables } from "@openclaw/edge-runtime/storage/state-tables.ts";
import Database from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { putAt, STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, STATE_NODE } from "../../contracts/state-store.ts";
import { temporaryFolder } from "./storage-fixture.ts";

/** Batches as apply makes them: rows of one, three and twenty records. */
const BATCHES = [1, 3, 20, 1, 16];
const LAST = BATCHES.reduce((sum, count) => sum + count, 0);

async function ledger(): Promise<{ database: Database.Database; check: (from?: number, to?: number) => unknown }> {
  const folder = temporaryFolder();
  const store = new SqliteStateStore({
    dataDir: folder,
    cluster: STATE_CLUSTER,
    node: STATE_NODE,
    epoch: STATE_EPOCH,
    membership: STATE_MEMBERSHIP,
  });
  await store.open();
  let at = 0;
  for (const count of BATCHES) {
    const entries = [];
    for (let i = 0; i < count; i++) entries.push(putAt(++at, `key/${at % 7}`, "v".repeat((at * 37) % 300)));
    await store.apply(entries);
  }
  expect(await store.checkLedger(revision(1), null, 1e9)).toMatchObject({ sound: LAST, fault: null, done: true });
  await store.close();
  const database = new Database(join(folder, "state.db"));
  onTestFinished(() => void database.close());
  const tables = new StateTables(database);
  const check = (from = 1, to: number | null = null) =>
    checkLedger(tables, revision(from), to === null ? null : revision(to), 1e9);
  return { database, check };
}

interface LedgerRow {
  readonly first: number;
  readonly packed: Buffer;
}

test("L2: a byte flipped anywhere in the rows of the ledger is found, and its revision is named", async () => {
  const { database, check } = await ledger();
  const rows = database.prepare<[], LedgerRow>("SELECT first, packed FROM ledger ORDER BY first").all();
  expect(rows).toHaveLength(BATCHES.length);
  const update = database.prepare("UPDATE ledger SET packed = ? WHERE first = ?");
  let flips = 0;
  for (const { first, packed } of rows) {
    const ends: number[] = [];
    let end = packed.length;
    for (const { revision: at, record, hash } of [...unpackRecords(packed)].reverse()) {
      ends[at] = end;
      end -= encode([at, record, hash]).length;
    }
    const header = end;
    for (let offset = 0; offset < packed.length; offset += 1 + (flips % 3)) {
      const altered = Buffer.from(packed);
      altered[offset] = (altered[offset] ?? 0) ^ (1 << (flips % 8));
      update.run(altered, first);
      const owner = offset < header ? null : ends.findIndex((to) => to !== undefined && offset < to);
      const { fault } = check() as { fault: { revision: number } | null };
      // The list's own length belongs to no revision: any of the batch may be named.
      if (owner === null) expect(fault?.revision).toBeGreaterThanOrEqual(first);
      else expect(`${offset} of ${first}: ${fault?.revision}`).toBe(`${offset} of ${first}: ${owner}`);
      flips++;
    }
    update.run(packed, first);
  }
  expect(flips).toBeGreaterThan(2_000);
  expect(check()).toMatchObject({ fault: null, sound: LAST });
});

test("it says what is wrong: the record, its hash, a hole, a row under another number, another end", async () => {
  const { database, check } = await ledger();
  const row = (first: number): LedgerRow =>
    database.prepare<[number], LedgerRow>("SELECT first, packed FROM ledger WHERE first = ?").get(first) ??
    expect.fail(`no row ${first}`);
  const wrong = (sql: string, ...values: unknown[]): unknown => {
    database.exec("BEGIN");
    try {
      database.prepare(sql).run(...values);
      return check();
    } finally {
      database.exec("ROLLBACK");
    }
  };
  const altered = (first: number, at: number, part: "record" | "hash"): Buffer => {
    const records = unpackRecords(Buffer.from(row(first).packed)).map((stored) => ({ ...stored }));
    const [bytes] = records.filter((stored) => stored.revision === at).map((stored) => stored[part]);
    if (bytes === undefined) throw new Error(`no revision ${at}`);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    return Buffer.from(encode(records.map(({ revision: number, record, hash }) => [number, record, hash])));
  };
  const update = "UPDATE ledger SET packed = ? WHERE first = ?";
  expect(wrong(update, altered(5, 9, "record"), 5)).toMatchObject({ fault: { revision: 9, kind: "record" }, sound: 8 });
  expect(wrong(update, altered(5, 9, "hash"), 5)).toMatchObject({ fault: { revision: 9, kind: "hash" } });
  // The last of a row, whose next stands in another one; and the last of all, which the state's own row judges.
  expect(wrong(update, altered(5, 24, "record"), 5)).toMatchObject({ fault: { revision: 24, kind: "record" } });
  expect(wrong(update, altered(26, LAST, "record"), 26)).toMatchObject({ fault: { revision: LAST, kind: "record" } });
  expect(wrong(update, altered(26, LAST, "hash"), 26)).toMatchObject({ fault: { revision: LAST, kind: "hash" } });
  expect(wrong("DELETE FROM ledger WHERE first = 2")).toMatchObject({ fault: { revision: 2, kind: "order" } });
  expect(wrong("DELETE FROM ledger WHERE first = 26")).toMatchObject({ fault: { revision: 26, kind: "order" } });
  expect(wrong("UPDATE ledger SET first = 500 WHERE first = 5")).toMatchObject({
    fault: { revision: 5, kind: "order" },
  });
  expect(wrong("UPDATE ledger SET last = 23 WHERE first = 5")).toMatchObject({ fault: { kind: "order" } });
  expect(wrong("UPDATE state SET v = x'00' WHERE k = x'01'")).toMatchObject({ fault: { kind: "position" } });
});

test("a part of the ledger is checked from what stands before it, and up to where it was asked", async () => {
  const { database, check } = await ledger();
  expect(check(10, 12)).toMatchObject({ fault: null, done: true });
  database.prepare("UPDATE ledger SET packed = zeroblob(40) WHERE first = 25").run();
  expect(check(2, 24)).toMatchObject({ fault: null, done: true, sound: 24 });
  expect(check(2)).toMatchObject({ fault: { revision: 25, kind: "unreadable" }, sound: 24 });
  expect(check(27)).toMatchObject({ fault: null, done: true, sound: LAST });
  expect(() => check(LAST + 2)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
});

test("it goes in slices: each begins where the one before ended, and applies go on between them", async () => {
  const folder = temporaryFolder();
  const store = new SqliteStateStore({
    dataDir: folder,
    cluster: STATE_CLUSTER,
    node: STATE_NODE,
    epoch: STATE_EPOCH,
    membership: STATE_MEMBERSHIP,
  });
  await store.open();
  onTestFinished(() => store.close());
  for (let at = 1; at <= 40; at++) await store.apply([putAt(at, "a", "x".repeat(1_000))]);
  let from = revision(1);
  let slices = 0;
  for (let applied = 40; ; slices++) {
    const { sound, fault, done } = await store.checkLedger(from, null, 5_000);
    expect(fault).toBeNull();
    if (done) break;
    from = revision(sound + 1);
    if (slices < 3) expect((await store.apply([putAt(++applied, "b", "more")])).index).toBe(index(applied));
  }
  expect(slices).toBeGreaterThan(5);
});
