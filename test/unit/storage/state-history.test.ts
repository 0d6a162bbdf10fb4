/** The past as the SQLite state keeps it: an index that is brought up between the calls of its worker. */

import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { utf8 } from "@openclaw/core/bytes.ts";
import { readMark } from "@openclaw/core/history/index-records.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { StateStore } from "@openclaw/core/ports.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { RowTable } from "@openclaw/edge-runtime/storage/row-table.ts";
import { openToRead } from "@openclaw/edge-runtime/storage/sqlite.ts";
import { STATE_FILE } from "@openclaw/edge-runtime/storage/state-protocol.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { StateTables } from "@openclaw/edge-runtime/storage/state-tables.ts";
import { expect, onTestFinished, test } from "vitest";
import {
  commandsAt,
  putAt,
  STATE_CLUSTER,
  STATE_EPOCH,
  STATE_MEMBERSHIP,
  STATE_NODE,
} from "../../contracts/state-store.ts";
import { textsAt } from "../../contracts/state-store-history.ts";
import { leftByKill, temporaryFolder } from "./storage-fixture.ts";

async function opened(dataDir: string): Promise<StateStore> {
  const store = new SqliteStateStore({
    dataDir,
    cluster: STATE_CLUSTER,
    node: STATE_NODE,
    epoch: STATE_EPOCH,
    membership: STATE_MEMBERSHIP,
  });
  await store.open();
  onTestFinished(() => store.close());
  return store;
}

/** How far the index had come in what a kill left. */
function indexed(folder: string): number {
  const connection = openToRead(join(folder, STATE_FILE));
  try {
    return readMark(new RowTable(connection, "history")).indexed;
  } finally {
    connection.close();
  }
}

/** What a kill left of the ledger and of the versions of keys. */
function kept(folder: string): { first: number; base: number; versions: number } {
  const connection = openToRead(join(folder, STATE_FILE));
  try {
    const count = (sql: string): number => Number(connection.prepare(sql).pluck().get() ?? 0);
    return {
      first: count("SELECT min(first) FROM ledger"),
      base: new StateTables(connection).ledgerBase()?.revision ?? 0,
      versions: count("SELECT count(*) FROM history WHERE k >= x'02' AND k < x'03'"),
    };
  } finally {
    connection.close();
  }
}

const KEYS = 50;
const PUTS = 6_000;
/** Entries of 500 puts each over few keys; the value of the n-th is n. */
const manyPuts = Array.from({ length: PUTS / 500 }, (_, entry) =>
  commandsAt(
    entry + 1,
    Array.from({ length: 500 }, (_, i) => {
      const n = entry * 500 + i + 1;
      return { kind: "put", key: utf8(`key/${n % KEYS}`), value: utf8(String(n)) } as const;
    }),
  ),
);

/** What `manyPuts` had made by a revision. */
const expectedAt = (at: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: KEYS }, (_, key): [string, number] => [`key/${key}`, at - ((at - key + KEYS) % KEYS)])
      .filter(([, n]) => n > 0)
      .map(([key, n]) => [key, String(n)]),
  );

test("nobody asks, and the index comes up by itself when nothing is applied any more", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply(manyPuts.slice(0, 2));
  await expect.poll(() => indexed(leftByKill(folder)), { timeout: 20_000 }).toBe(1_000);
});

test("killed while the index is brought up, it goes on from there, and tells the same", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  await store.apply(manyPuts);
  let answered = false;
  const read = textsAt(store, PUTS).then((texts) => {
    answered = true;
    return texts;
  });
  const left: string[] = [];
  while (!answered) {
    left.push(leftByKill(folder));
    await setImmediate();
  }
  expect(await read).toEqual(expectedAt(PUTS));
  const between = left.find((copy) => indexed(copy) > 0 && indexed(copy) < PUTS);
  if (between === undefined) throw new Error("no copy was made in the middle");
  const again = await opened(between);
  for (const at of [1, 60, 2_999, 4_321, PUTS]) expect(await textsAt(again, at)).toEqual(expectedAt(at));
});

test("killed while what was compacted is removed, it goes on, and tells the same", async () => {
  const folder = temporaryFolder();
  const store = await opened(folder);
  for (const entry of manyPuts) await store.apply([entry]);
  expect(await textsAt(store, PUTS)).toEqual(expectedAt(PUTS));
  const to = 5_700;
  const at = manyPuts.length + 1;
  const compacting = store.apply([commandsAt(at, [{ kind: "compact", revision: revision(to) }])]);
  const left: string[] = [];
  let copy = leftByKill(folder);
  while (kept(copy).first < 5_501) {
    left.push(copy);
    await setImmediate();
    copy = leftByKill(folder);
  }
  await compacting;
  expect(kept(copy)).toEqual({ first: 5_501, base: 5_500, versions: KEYS + PUTS - to });
  const between = left.find((one) => kept(one).versions < PUTS);
  if (between === undefined) throw new Error("no copy was made in the middle");
  const again = await opened(between);
  for (const store_ of [store, again]) {
    for (const past of [to, 5_701, PUTS]) expect(await textsAt(store_, past)).toEqual(expectedAt(past));
    await expect(textsAt(store_, to - 1)).rejects.toMatchObject({ code: "COMPACTED" });
  }
  await expect.poll(() => kept(leftByKill(between)).versions, { timeout: 20_000 }).toBe(KEYS + PUTS - to);
});

test("applies and reads are taken while a read of the past goes on", async () => {
  const store = await opened(temporaryFolder());
  await store.apply(manyPuts);
  const order: string[] = [];
  const past = store
    .history({ kind: "range", origin: null, ...plainRange(utf8(""), null, 1), at: revision(10), counted: true })
    .then((answer) => order.push(`past ${answer.count}`));
  const applied = store.apply([putAt(manyPuts.length + 1, "later", "x")]).then(() => order.push("applied"));
  const read = store.read({ kind: "position" }).then(() => order.push("read"));
  await Promise.all([past, applied, read]);
  expect(order).toEqual(["applied", "read", "past 10"]);
});

test("a store that is closed, or replaced, tells those who wait for the past", async () => {
  const store = await opened(temporaryFolder());
  await store.apply(manyPuts);
  const waits = textsAt(store, 5);
  await Promise.all([expect(waits).rejects.toMatchObject({ code: "STOPPED" }), store.close()]);
});

test("X1: reads of the past are bounded", async () => {
  const store = await opened(temporaryFolder());
  await store.apply(manyPuts);
  const asked = await Promise.allSettled(Array.from({ length: 70 }, () => textsAt(store, 100)));
  const refused = asked.filter((one) => one.status === "rejected");
  expect(refused).toHaveLength(6);
  for (const one of refused) expect(one.reason).toMatchObject({ code: "OVERLOADED" });
});
