/** What every StateStore tells of the past: the same at every revision, whatever happens between. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { type ClusterId, index, type Revision, revision, term } from "@openclaw/core/ids.ts";
import type { StateStore } from "@openclaw/core/ports.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { commandsAt, headerOf, putAt, type StateDisk } from "./state-store.ts";

const OTHER_CLUSTER = "hub" as ClusterId;

const remove = (key: string): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });

/** A put whose proposer's clock says so. */
const putAtTime = (at: number, key: string, time: number): Entry => ({
  term: term(1),
  index: index(at),
  kind: "commands",
  stamp: 0,
  data: encodeCommands([
    {
      header: {
        principal: "tester",
        time,
        salt: new Uint8Array(16).fill(at),
        request: at,
        proposer: "00000000000000aa",
        session: null,
      },
      kind: "put",
      key: utf8(key),
      value: utf8(String(time)),
    },
  ]),
});

const parentHoldsAt = (at: number, holds: number): Entry => ({
  term: term(1),
  index: index(at),
  kind: "commands",
  stamp: 0,
  data: encodeCommands([
    {
      header: {
        principal: "tester",
        time: 0,
        salt: new Uint8Array(16),
        request: at,
        proposer: "00000000000000aa",
        session: null,
      },
      kind: "parentHolds",
      epoch: "ab".repeat(16),
      parent: OTHER_CLUSTER,
      revision: revision(holds),
    },
  ]),
});

/** The keys and values as they were, as text. */
export async function textsAt(store: StateStore, at: number): Promise<Record<string, string>> {
  const { rows } = await store.history({
    kind: "range",
    origin: null,
    ...plainRange(utf8(""), null, 0),
    at: revision(at),
  });
  return Object.fromEntries(rows.map((row) => [utf8Text(row.key), utf8Text(row.value) ?? ""]));
}

/** What was there after each of the revisions that `entries` make. */
const ENTRIES: readonly Entry[] = [
  putAt(1, "a", "1"),
  putAt(2, "b", "2"),
  putAt(3, "a", "3"),
  commandsAt(4, [remove("a")]),
  putAt(5, "a", "5"),
  commandsAt(6, [{ kind: "deleteRange", keys: { kind: "range", from: utf8("a"), to: null } }]),
];
const STATES: readonly Record<string, string>[] = [
  {},
  { a: "1" },
  { a: "1", b: "2" },
  { a: "3", b: "2" },
  { b: "2" },
  { a: "5", b: "2" },
  {},
];

export function stateStoreHistoryContract(name: string, create: () => StateDisk): void {
  describe(`${name} as a store of the past`, () => {
    const opened: { disk: StateDisk; store: StateStore }[] = [];
    let disk: StateDisk;
    let store: StateStore;
    const openOn = async (on: StateDisk): Promise<StateStore> => {
      const made = on.store();
      opened.push({ disk: on, store: made });
      await made.open();
      return made;
    };
    beforeEach(async () => {
      disk = create();
      store = await openOn(disk);
    });
    afterEach(async () => {
      for (const { store: one } of opened) await one.close();
      for (const { disk: one } of opened.splice(0)) await one.destroy();
    });
    const expectAll = async (of: StateStore, from = 1): Promise<void> => {
      for (let at = from; at < STATES.length; at++) expect(await textsAt(of, at)).toEqual(STATES[at]);
    };

    test("a range and a key are told as of every revision", async () => {
      await store.apply(ENTRIES);
      await expectAll(store);
      const { row } = await store.history({ kind: "get", origin: null, key: utf8("a"), at: revision(3) });
      expect(row).toMatchObject({ createRevision: 1, modRevision: 3, version: 2, lease: null });
      const again = await store.history({ kind: "get", origin: null, key: utf8("a"), at: revision(5) });
      expect(again.row).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 });
      expect((await store.history({ kind: "get", origin: null, key: utf8("a"), at: revision(4) })).row).toBe(null);
    });

    test("a question between two applies, and a restart after it, change nothing of what is told", async () => {
      for (const [i, entry] of ENTRIES.entries()) {
        await store.apply([entry]);
        if (i % 2 === 0) expect(await textsAt(store, i + 1)).toEqual(STATES[i + 1]);
        if (i !== 2) continue;
        await store.close();
        store = await openOn(disk);
      }
      await expectAll(store);
    });

    test("versions are told newest first, by pages, with who and when", async () => {
      await store.apply(ENTRIES);
      const page = async (before: Revision | null) =>
        store.history({ kind: "versions", origin: null, key: utf8("a"), before, limit: 2 });
      const first = await page(null);
      expect(first.more).toBe(true);
      expect(first.versions.map((one) => [one.revision, one.value === null, one.version])).toEqual([
        [6, true, 0],
        [5, false, 1],
      ]);
      expect(first.versions[1]).toMatchObject({ principal: "tester", time: 1_700_000_000_005 });
      const rest = await page(revision(5));
      expect(rest.versions.map((one) => one.revision)).toEqual([4, 3]);
      expect(await page(revision(3))).toMatchObject({ more: false, versions: [{ revision: 1, createRevision: 1 }] });
      expect(
        (await store.history({ kind: "versions", origin: null, key: utf8("no"), before: null, limit: 2 })).versions,
      ).toEqual([]);
    });

    test("T2: a time is the last revision stamped at or before it, and it is told when clocks went back", async () => {
      const at = (time: number) => store.history({ kind: "revisionAt", time });
      await expect(at(1_000)).rejects.toMatchObject({ code: "BAD_REQUEST" });
      await store.apply([putAtTime(1, "a", 100), putAtTime(2, "a", 200)]);
      expect(await at(150)).toEqual({ revision: 1, time: 100, ambiguous: false });
      await store.apply([putAtTime(3, "a", 150), putAtTime(4, "a", 300)]);
      expect(await at(200)).toEqual({ revision: 3, time: 150, ambiguous: false });
      expect(await at(199)).toEqual({ revision: 3, time: 150, ambiguous: true });
      expect(await at(149)).toEqual({ revision: 1, time: 100, ambiguous: false });
      expect(await at(299)).toEqual({ revision: 3, time: 150, ambiguous: false });
      expect(await at(1e12)).toEqual({ revision: 4, time: 300, ambiguous: false });
      await expect(at(99)).rejects.toMatchObject({ code: "BAD_REQUEST" });
    });

    test("a revision that is still to come is refused", async () => {
      await store.apply(ENTRIES);
      await expect(textsAt(store, 7)).rejects.toMatchObject({ code: "REVISION_AHEAD" });
    });

    test("what was compacted is told no more: reads, the ledger and times; what is left is as it was", async () => {
      await store.apply(ENTRIES);
      const { records } = await store.ledger(revision(1), 1_000_000);
      const applied = await store.apply([commandsAt(7, [{ kind: "compact", revision: revision(3) }])]);
      expect(applied.position).toMatchObject({ revision: 6, compacted: 3 });
      const outcome = (result: unknown) => expect(result).toMatchObject({ outcome: { code: "COMPACTED" } });
      outcome((await store.apply([commandsAt(8, [{ kind: "compact", revision: revision(3) }])])).results[0]?.result);
      for (const ask of [
        () => textsAt(store, 2),
        () => store.history({ kind: "get", origin: null, key: utf8("a"), at: revision(1) }),
        () => store.history({ kind: "revisionAt", time: 1_700_000_000_002 }),
        () => store.ledger(revision(2), 1_000),
      ])
        await expect(ask()).rejects.toMatchObject({ code: "COMPACTED" });
      await expectAll(store, 3);
      expect((await store.history({ kind: "revisionAt", time: 1_700_000_000_003 })).revision).toBe(3);
      const rest = await store.ledger(revision(3), 1_000_000);
      expect(rest.records.map(({ hash }) => [...hash])).toEqual(records.slice(2).map(({ hash }) => [...hash]));
      await store.close();
      store = await openOn(disk);
      await expectAll(store, 3);
      await expect(store.ledger(revision(2), 1_000)).rejects.toMatchObject({ code: "COMPACTED" });
      expect((await store.checkpoint()).position.compacted).toBe(3);
    });

    test("a compaction to come is refused, and so is one that the parent does not hold yet (S5)", async () => {
      await store.apply(ENTRIES);
      const compacted = async (at: number, to: number) => {
        const { results, position } = await store.apply([
          commandsAt(at, [{ kind: "compact", revision: revision(to) }]),
        ]);
        const result = results[0]?.result;
        return [result?.kind === "outcome" && (result.outcome.ok || result.outcome.code), position.compacted];
      };
      expect(await compacted(7, 7)).toEqual(["REVISION_AHEAD", 0]);
      await store.apply([parentHoldsAt(8, 2)]);
      expect(await compacted(9, 4)).toEqual(["NOT_SHIPPED", 0]);
      expect(await compacted(10, 3)).toEqual([true, 3]);
    });

    test("R8: a snapshot of a compacted state is told from where it was compacted", async () => {
      await store.apply([...ENTRIES, commandsAt(7, [{ kind: "compact", revision: revision(4) }])]);
      const snapshot = await store.snapshot(index(7));
      const follower = await openOn(create());
      await follower.stage(headerOf(snapshot), snapshot.chunks);
      expect((await follower.install(snapshot.meta)).position.compacted).toBe(4);
      await expectAll(follower, 4);
      await expect(textsAt(follower, 3)).rejects.toMatchObject({ code: "COMPACTED" });
      await snapshot.dispose();
    });

    test("L2: what is kept of a compacted ledger is checked from its own base on, also after a restart", async () => {
      for (let at = 1; at <= 40; at++) await store.apply([putAt(at, "a", String(at))]);
      await store.apply([commandsAt(41, [{ kind: "compact", revision: revision(30) }])]);
      const check = (from: number, to: number | null) =>
        store.checkLedger(revision(from), to === null ? null : revision(to), 1e9);
      const kept = { from: 30, sound: 40, revision: 40, fault: null, done: true };
      await expect.poll(() => check(1, null), { timeout: 20_000 }).toEqual(kept);
      expect(await check(30, null)).toEqual(kept);
      expect(await check(31, null)).toEqual({ ...kept, from: 31 });
      // All of it is gone that was asked for.
      expect(await check(1, 20)).toMatchObject({ from: 30, sound: 29, fault: null, done: true });
      await store.close();
      store = await openOn(disk);
      expect(await check(1, null)).toEqual(kept);
    });

    test("R8: a snapshot carries the past, and what is applied after it continues it", async () => {
      await store.apply(ENTRIES.slice(0, 2));
      await textsAt(store, 2);
      await store.apply(ENTRIES.slice(2, 4));
      const snapshot = await store.snapshot(index(4));
      const follower = await openOn(create());
      await follower.apply([putAt(1, "other", "past")]);
      expect(await textsAt(follower, 1)).toEqual({ other: "past" });
      await follower.stage(headerOf(snapshot), snapshot.chunks);
      await follower.install(snapshot.meta);
      await follower.apply(ENTRIES.slice(4));
      await expectAll(follower);
      await snapshot.dispose();
    });
  });
}
