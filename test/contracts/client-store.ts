/** What every ClientStore does. Call it inside a test file with the store to be tested. */

import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClientStore, DownCursor, OutboxRow } from "@openclaw/core/client/store.ts";
import { type ChangeHash, isActorId, isChangeHash, isLinkId, type LinkId, revision, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

/** One device's storage. `open` again after `close` finds what was written. */
export interface DeviceStorage {
  open(): Promise<ClientStore>;
  destroy(): Promise<void>;
}

const link = (digit: string): LinkId => checked(digit.repeat(32), isLinkId);
const hash = (digit: string): ChangeHash => checked(digit.repeat(64), isChangeHash);

function checked<T>(value: string, test: (value: unknown) => value is T): T {
  if (!test(value)) throw new Error(`not valid: ${value}`);
  return value;
}

const change = (digit: string, number: number, deps: readonly string[]): DocumentChange => ({
  hash: hash(digit),
  actor: checked("ab".repeat(16), isActorId),
  seq: number,
  deps: deps.map(hash),
  bytes: utf8(`change ${digit}`),
});

const put = (from: LinkId, number: number, key: string): OutboxRow => ({
  link: from,
  seq: seq(number),
  command: { kind: "put", key: utf8(key), value: utf8(`value of ${key}`) },
});

const mirrorRow = (key: string, origin: string | null, at: number) => ({
  key: utf8(key),
  origin,
  value: utf8(`${key}@${at}`),
  modRevision: revision(at),
});

export function clientStoreContract(name: string, create: () => DeviceStorage): void {
  describe(`${name} as a client's store`, () => {
    let storage: DeviceStorage;
    let store: ClientStore;
    beforeEach(async () => {
      storage = create();
      store = await storage.open();
    });
    afterEach(async () => {
      await store.close();
      await storage.destroy();
    });
    const reopen = async (): Promise<void> => {
      await store.close();
      store = await storage.open();
    };
    const a = link("a");
    const b = link("b");

    test("an empty store has nothing", async () => {
      expect(await store.outboxLinks()).toEqual([]);
      expect(await store.outbox(a, seq(1), 10)).toEqual([]);
      expect(await store.nextSeq(a)).toBe(1);
      expect(await store.awaiting()).toEqual([]);
      expect(await store.failed()).toEqual([]);
      expect(await store.quarantined()).toEqual([]);
      expect(await store.document("c", "d")).toEqual([]);
      expect(await store.documents("c")).toEqual([]);
      expect(await store.collections()).toEqual([]);
      expect(await store.mirror(null, utf8(""), null)).toEqual([]);
      expect(await store.down()).toBeNull();
    });

    test("S1: an outbox row and the changes it carries are written together and survive a restart", async () => {
      const row: OutboxRow = {
        link: a,
        seq: seq(1),
        command: { kind: "change", collection: "log", document: "today", changes: [change("1", 1, [])] },
      };
      await store.write({
        enqueue: [row],
        changes: [{ collection: "log", document: "today", changes: [change("1", 1, [])] }],
      });
      await reopen();
      expect(await store.outbox(a, seq(1), 10)).toEqual([row]);
      expect(await store.document("log", "today")).toEqual([change("1", 1, [])]);
    });

    test("rows come back ascending, from a number, up to a limit, each link apart", async () => {
      await store.write({ enqueue: [put(a, 1, "k1"), put(a, 2, "k2"), put(b, 1, "other")] });
      await store.write({ enqueue: [put(a, 3, "k3")] });
      await store.write({ enqueue: [put(a, 4, "k4")] });
      expect((await store.outbox(a, seq(2), 2)).map((row) => row.seq)).toEqual([2, 3]);
      expect((await store.outbox(a, seq(4), 9)).map((row) => row.seq)).toEqual([4]);
      expect(await store.outbox(b, seq(1), 9)).toEqual([put(b, 1, "other")]);
      expect([...(await store.outboxLinks())].sort()).toEqual([a, b]);
    });

    test("an answered row leaves the outbox, and its number is never used again", async () => {
      await store.write({ enqueue: [put(a, 1, "k1"), put(a, 2, "k2"), put(a, 3, "k3")] });
      await store.write({ answered: [{ link: a, seq: seq(2) }] });
      expect((await store.outbox(a, seq(1), 9)).map((row) => row.seq)).toEqual([1, 3]);
      await store.write({
        answered: [
          { link: a, seq: seq(1) },
          { link: a, seq: seq(3) },
        ],
      });
      await reopen();
      expect(await store.outboxLinks()).toEqual([]);
      expect(await store.nextSeq(a)).toBe(4);
      expect(await store.nextSeq(b)).toBe(1);
    });

    test("a row keeps the site that it is for, also one that came to have one, or was refused", async () => {
      const site = { cluster: "california", epoch: "0".repeat(32) };
      const rows = [{ ...put(a, 1, "k1"), site }, put(a, 2, "k2")];
      await store.write({ enqueue: rows });
      await store.write({ replaced: [{ ...put(a, 2, "k2"), site }] });
      await store.write({ failed: [{ ...put(b, 1, "k3"), site, code: "FORBIDDEN", details: "" }] });
      await reopen();
      expect((await store.outbox(a, seq(1), 9)).map((row) => row.site)).toEqual([site, site]);
      expect((await store.failed()).map((row) => row.site)).toEqual([site]);
    });

    test("answering a row that is gone does nothing", async () => {
      await store.write({ enqueue: [put(a, 1, "k1")] });
      await store.write({
        answered: [
          { link: a, seq: seq(7) },
          { link: b, seq: seq(1) },
        ],
      });
      expect((await store.outbox(a, seq(1), 9)).map((row) => row.seq)).toEqual([1]);
    });

    test("a row may move to another link in one step", async () => {
      await store.write({ enqueue: [put(a, 5, "k5")] });
      await store.write({ enqueue: [{ ...put(b, 1, "k5") }], answered: [{ link: a, seq: seq(5) }] });
      expect(await store.outboxLinks()).toEqual([b]);
      expect(await store.outbox(b, seq(1), 9)).toEqual([put(b, 1, "k5")]);
    });

    test("what awaits the hub goes when the hub holds its revision", async () => {
      const awaiting = [3, 5, 9].map((at) => ({ link: a, seq: seq(at), revision: revision(at), document: null }));
      await store.write({ awaiting });
      await store.write({
        awaiting: [
          {
            link: b,
            seq: seq(1),
            revision: revision(4),
            document: { collection: "c", document: "d", hashes: [hash("1")] },
          },
        ],
      });
      await store.write({ hubHolds: revision(4) });
      await reopen();
      expect((await store.awaiting()).map((row) => row.revision).sort()).toEqual([5, 9]);
    });

    test("refused rows are kept in their order until they are forgotten", async () => {
      await store.write({ enqueue: [put(a, 1, "k1"), put(a, 2, "k2")] });
      const failed = [1, 2].map((at) => ({ ...put(a, at, `k${at}`), code: "FORBIDDEN" as const, details: "no" }));
      for (const row of failed) await store.write({ answered: [row], failed: [row] });
      await reopen();
      expect(await store.failed()).toEqual(failed);
      await store.write({ forgetFailed: [{ link: a, seq: seq(1) }] });
      expect(await store.failed()).toEqual(failed.slice(1));
    });

    test("D1: what is kept out of a document is known after a restart, once, until it is released", async () => {
      const row = (digit: string, details: string) => ({
        collection: "log",
        document: "today",
        hash: hash(digit),
        code: "CHANGE_INVALID" as const,
        details,
      });
      await store.write({ quarantined: [row("1", "wrong checksum"), row("2", "wrong checksum")] });
      await store.write({ quarantined: [row("1", "ends too early")] });
      await reopen();
      const found = [...(await store.quarantined())].sort((a, b) => (a.hash < b.hash ? -1 : 1));
      expect(found).toEqual([row("1", "ends too early"), row("2", "wrong checksum")]);
      await store.write({ released: [row("1", "")] });
      expect(await store.quarantined()).toEqual([row("2", "wrong checksum")]);
    });

    test("a row may be replaced in its place, and changes of a document dropped", async () => {
      await store.write({ enqueue: [put(a, 1, "k1"), put(a, 2, "k2"), put(a, 3, "k3")] });
      const named = { collection: "c", document: "d" };
      await store.write({ changes: [{ ...named, changes: [change("1", 1, []), change("2", 2, ["1"])] }] });
      await store.write({
        replaced: [put(a, 2, "other"), put(a, 9, "none")],
        dropped: [{ ...named, changes: [{ hash: hash("2") }] }],
      });
      await reopen();
      expect(await store.outbox(a, seq(1), 9)).toEqual([put(a, 1, "k1"), put(a, 2, "other"), put(a, 3, "k3")]);
      expect(await store.outboxLinks()).toEqual([a]);
      expect(await store.document("c", "d")).toEqual([change("1", 1, [])]);
      // It may come again, from somebody else.
      await store.write({ changes: [{ ...named, changes: [change("2", 2, ["1"])] }] });
      expect(await store.document("c", "d")).toHaveLength(2);
    });

    test("a known change is kept once, and changes come back after what they depend on", async () => {
      await store.write({
        changes: [{ collection: "c", document: "d", changes: [change("3", 3, ["2"]), change("1", 1, [])] }],
      });
      await store.write({
        changes: [{ collection: "c", document: "d", changes: [change("2", 2, ["1"]), change("3", 3, ["2"])] }],
      });
      await store.write({ changes: [{ collection: "c", document: "e", changes: [change("4", 1, ["0"])] }] });
      await store.write({ changes: [{ collection: "b", document: "z", changes: [change("5", 1, [])] }] });
      await reopen();
      expect((await store.document("c", "d")).map((found) => found.hash)).toEqual(["1", "2", "3"].map(hash));
      expect(await store.document("c", "e")).toEqual([change("4", 1, ["0"])]);
      expect([...(await store.documents("c"))].sort()).toEqual(["d", "e"]);
      expect([...(await store.collections())].sort()).toEqual(["b", "c"]);
    });

    test("mirror rows are found by origin and prefix, in key order", async () => {
      await store.write({
        mirrorPuts: [
          mirrorRow("q/2", null, 2),
          mirrorRow("q/1", null, 1),
          mirrorRow("r/1", null, 3),
          mirrorRow("q/1", "alaska", 7),
        ],
      });
      await store.write({
        mirrorPuts: [mirrorRow("q/2", null, 8)],
        mirrorDeletes: [{ key: utf8("r/1"), origin: null }],
      });
      expect(await store.mirror(null, utf8("q/"), utf8("q0"))).toEqual([
        mirrorRow("q/1", null, 1),
        mirrorRow("q/2", null, 8),
      ]);
      expect(await store.mirror(null, utf8(""), null)).toHaveLength(2);
      expect(await store.mirror("alaska", utf8("q/1"), utf8("q/2"))).toEqual([mirrorRow("q/1", "alaska", 7)]);
      expect(await store.mirror("california", utf8(""), null)).toEqual([]);
    });

    test("keys sort as unsigned bytes, and a range without an end ends with the keys", async () => {
      const keys = [Uint8Array.of(0x7f), Uint8Array.of(0x80), Uint8Array.of(0xff), Uint8Array.of(0xff, 0xff)];
      await store.write({
        mirrorPuts: [...keys].reverse().map((key) => ({ key, origin: null, value: key, modRevision: revision(1) })),
      });
      expect((await store.mirror(null, Uint8Array.of(), null)).map((row) => [...row.key])).toEqual(
        keys.map((key) => [...key]),
      );
      expect((await store.mirror(null, Uint8Array.of(0xff), null)).map((row) => [...row.key])).toEqual([
        [0xff],
        [0xff, 0xff],
      ]);
    });

    test("L3: a reset of the mirror comes before the rows of the same write", async () => {
      await store.write({ mirrorPuts: [mirrorRow("old", null, 1), mirrorRow("old", "alaska", 1)] });
      expect(await store.mirrored()).toHaveLength(2);
      await store.write({ mirrorReset: true, mirrorPuts: [mirrorRow("new", null, 2)] });
      expect(await store.mirrored()).toEqual([mirrorRow("new", null, 2)]);
      expect(await store.mirror(null, utf8(""), null)).toEqual([mirrorRow("new", null, 2)]);
      expect(await store.mirror("alaska", utf8(""), null)).toEqual([]);
    });

    test("the down cursor comes back whole", async () => {
      const down: DownCursor = {
        cluster: "california",
        epoch: "0".repeat(32),
        cursor: revision(41),
        subscription: {
          prefixes: [utf8("quakes/")],
          collections: ["shift-log"],
          mirrors: false,
          documents: [{ collection: "manuals", document: "oven" }],
        },
        snapshot: {
          head: {
            at: revision(50),
            hash: new Uint8Array(32),
            subscription: { prefixes: [utf8("quakes/")], collections: [], mirrors: true },
            kept: null,
            origins: [],
            homes: [],
          },
          place: { section: 0, from: utf8("quakes/7") },
          received: 512,
          expected: null,
        },
        upstream: revision(40),
        upstreamEpoch: "ab".repeat(16),
      };
      await store.write({ down });
      await reopen();
      expect(await store.down()).toEqual(down);
    });
  });
}
