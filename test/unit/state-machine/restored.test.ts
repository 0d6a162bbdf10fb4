import { utf8 } from "@openclaw/core/bytes.ts";
import { baseParts } from "@openclaw/core/history/base.ts";
import { decodeBasePart, encodeBasePart } from "@openclaw/core/history/base-codec.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { departed } from "@openclaw/core/ledger/lineage.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { leaseOfRow } from "@openclaw/core/state-machine/keyspace.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { restoredWrites } from "@openclaw/core/state-machine/restored.ts";
import { contentHash } from "@openclaw/core/state-machine/state-hash.ts";
import { describe, expect, test } from "vitest";
import { at, epoch, hexed, leaseId, linkId, OneCluster, put, sessionId, sha256, text, txn } from "./one-cluster.ts";

const TTL_MS = 5_000;

/** What a restore makes of a cluster's ledger. */
const restored = (from: OneCluster): OneCluster =>
  restoredWith(from, revision(0), (again) => again.view.write(replay(sha256, again.view, from.ledger)));

/** The same of a base, as it was sent. */
const fromBase = (from: OneCluster): OneCluster =>
  restoredWith(from, from.position.revision, (again) => {
    const records = (first: Revision) => from.ledger.filter((record) => record.revision >= first);
    for (const sent of baseParts({ state: from.view, index: from.index, records }, sha256)) {
      const part = decodeBasePart(encodeBasePart(sent));
      if (part.kind === "rows") again.view.write(part.rows.filter(({ key }) => leaseOfRow(key) === null));
    }
  });

function restoredWith(from: OneCluster, compacted: Revision, fill: (again: OneCluster) => void): OneCluster {
  const next = { ...epoch("e", 2), parent: from.epoch.nonce, departure: from.position.revision };
  const again = new OneCluster(from.cluster, next);
  fill(again);
  again.view.write(
    restoredWrites(again.view, {
      cluster: from.cluster,
      lineage: departed(from.position, next, from.position.hash),
      revision: from.position.revision,
      hash: from.position.hash,
      applyVersion: 1,
      compacted,
      lease: () => ({ ttlMs: TTL_MS, wallDue: 0, salt: new Uint8Array(16).fill(7) }),
    }),
  );
  return again;
}

const held = (key: string, lease: number) =>
  txn([], [{ kind: "put", key: utf8(key), value: utf8("v"), lease: leaseId(lease), previous: false }]);

describe("L3: a restored state", () => {
  test("has the content, goes on at its revision, and takes the next one", () => {
    const shop = new OneCluster("shop");
    for (const value of ["1", "2", "3"]) shop.run(put("a", value));
    const again = restored(shop);
    expect(hexed(contentHash(again.view, sha256))).toEqual(hexed(contentHash(shop.view, sha256)));
    expect(again.position).toMatchObject({
      revision: 3,
      logTime: 0,
      nextDue: null,
      epoch: { counter: 2, departure: 3 },
    });
    expect(again.run(put("a", "4"))).toMatchObject({ ok: true, revision: 4 });
    expect(again.key("a")).toMatchObject({ createRevision: 1, modRevision: 4, version: 4 });
  });

  test("K6: gives each lease its whole time again, ends it then, and knows no lease without a key", () => {
    const shop = new OneCluster("shop");
    for (const lease of [7, 8, 9]) shop.run({ kind: "leaseGrant", lease: leaseId(lease), ttlMs: TTL_MS });
    for (const command of [held("a", 7), held("b", 7), held("c", 8), put("c", "free")]) shop.run(command);
    shop.pass(TTL_MS - 1);
    const again = restored(shop);
    expect(again.query({ kind: "lease", lease: leaseId(7) }).lease).toMatchObject({ remainingMs: TTL_MS });
    expect(again.query({ kind: "lease", lease: leaseId(7) }).lease?.keys.map(text)).toEqual(["a", "b"]);
    for (const lease of [8, 9]) expect(again.query({ kind: "lease", lease: leaseId(lease) }).lease).toBeNull();
    again.pass(TTL_MS - 1);
    expect(again.keys()).toEqual({ a: "v", b: "v", c: "free" });
    again.pass(1);
    expect(again.keys()).toEqual({ c: "free" });
    expect(again.records).toMatchObject([{ principal: "lease:7", events: [{ kind: "delete" }, { kind: "delete" }] }]);
    expect(again.position.nextDue).toBeNull();
    // It counts as one that was granted here does: its key may go, and it may be revoked.
    const other = restored(shop);
    other.run(put("a", "free"));
    expect(other.run({ kind: "leaseRevoke", lease: leaseId(7) })).toMatchObject({ ok: true });
    expect(other.keys()).toEqual({ a: "free", c: "free" });
  });

  test("Q1: runs nothing again of a session or a link of the epoch before, and refuses nothing of a new one", () => {
    const shop = new OneCluster("shop");
    const old = { id: sessionId("1"), seq: at(1), lowWater: at(1) };
    shop.system({ kind: "openSession", session: old.id });
    shop.run(put("a", "1"), old);
    const link = linkId("c".repeat(32));
    const imported = (from: number) =>
      ({ kind: "importCommands", link, from: at(from), lowWater: at(1), commands: [put("b", String(from))] }) as const;
    shop.system(imported(1));
    const again = restored(shop);
    expect(again.run(put("a", "1"), old)).toMatchObject({ ok: false, code: "SESSION_EXPIRED" });
    expect(again.run(put("a", "2"), { ...old, seq: at(2) })).toMatchObject({ ok: false, code: "SESSION_EXPIRED" });
    expect(again.system(imported(2))).toMatchObject({ kind: "importRefused", code: "SESSION_EXPIRED" });
    again.system({ kind: "openSession", session: sessionId("2") });
    expect(again.run(put("a", "3"), { ...old, id: sessionId("2") })).toMatchObject({ ok: true, revision: 3 });
  });

  test.each([
    ["its ledger", restored],
    ["a base", fromBase],
  ] as const)("L4: from %s, takes a child's ledger from its beginning, and nothing of it twice", (_, restoring) => {
    const site = new OneCluster("california", epoch("b"));
    for (const value of ["1", "2", "3"]) site.run(put("a", value));
    const hub = new OneCluster("hub");
    hub.import(site, selectForParent(site.ledger.slice(0, 2), hub.cluster, sha256), site.ledger[1]?.hash);
    const again = restoring(hub);
    expect(hexed(contentHash(again.view, sha256))).toEqual(hexed(contentHash(hub.view, sha256)));
    const items = selectForParent(site.ledger, again.cluster, sha256);
    expect(again.import(site, items)).toMatchObject({ kind: "imported", cursor: 3 });
    expect(again.position.revision).toBe(revision(3));
    expect(again.key("a", site.cluster)).toMatchObject({ modRevision: 3, version: 3 });
  });
});

test("Q3: goes on removing what a parent's mirror answers for, where that was cut", () => {
  const hub = new OneCluster("hub", epoch("a"));
  const shop = new OneCluster("shop", epoch("b"));
  const carry = (from: OneCluster, to: OneCluster, side: "child" | "parent") => {
    const { cursor } = to.query({ kind: "link", link: linkId(from.cluster) }).link ?? { cursor: 0 };
    const records = from.ledger.slice(cursor);
    const items =
      side === "child" ? selectForParent(records, to.cluster, sha256) : selectForChild(records, to.cluster, NOTHING);
    return items.length === 0 ? "nothing" : to.import(from, items, from.position.hash, side).kind;
  };
  shop.run(put("own", "1"));
  carry(shop, hub, "child");
  const puts = (part: number) =>
    Array.from({ length: 100 }, (_, i) => {
      const key = utf8(`config/${part}/${i}`);
      return { kind: "put", key, value: utf8("v"), lease: null, previous: false } as const;
    });
  for (let part = 0; part < 15; part++) shop.run(txn([], puts(part)));
  hub.run({ kind: "setHome", prefix: utf8("config/"), home: "hub", without: [] });
  expect(carry(hub, shop, "parent")).toBe("imported");
  while (carry(shop, hub, "child") === "unfinished") expect(hub.query({ kind: "homes" }).homes[0]?.open).toBe(false);
  expect(carry(hub, shop, "parent")).toBe("unfinished");
  const again = restored(shop);
  expect(Object.keys(again.keys())).toHaveLength(15 * 100 + 1 - 1_024);
  hub.run(put("config/new", "1"));
  again.system({ kind: "succeedEpoch", link: linkId("hub"), cluster: hub.cluster, lineage: hub.position, holds: null });
  while (carry(hub, again, "parent") === "unfinished") expect(again.ledger.length).toBeLessThan(100);
  expect(Object.keys(again.keys())).toEqual(["own"]);
  expect(again.query({ kind: "get", origin: null, key: utf8("config/new") }).row).not.toBeNull();
});

describe.each([
  ["its ledger", restored],
  ["a base", fromBase],
] as const)("Q3, S4: made of %s", (_, restoring) => {
  /** Below one hub, then below another, made again, and below the first one. */
  function backBelow(...homes: readonly ("hub" | "site")[]) {
    const [hub, other] = ["hub", "other"].map((name, i) => new OneCluster(name, epoch(String(i + 1))));
    if (hub === undefined || other === undefined) throw new Error("no hubs");
    const shop = new OneCluster("shop", epoch("b"));
    const follow = (site: OneCluster, parent: OneCluster) =>
      site.system({
        kind: "succeedEpoch",
        link: linkId(parent.cluster),
        cluster: parent.cluster,
        lineage: parent.position,
        holds: revision(0),
      });
    shop.run(put("own", "1"));
    follow(shop, hub);
    hub.run(put("own", "1"));
    for (const home of homes) hub.run({ kind: "setHome", prefix: utf8("config/"), home, without: [] });
    const items = selectForChild(hub.ledger, shop.cluster, { ...NOTHING, prefixes: [utf8("")] });
    expect(shop.import(hub, items, hub.position.hash, "parent")).toMatchObject({ kind: "imported" });
    follow(shop, other);
    expect(shop.query({ kind: "homes" }).homes).toEqual([]);
    const again = restoring(shop);
    expect(follow(again, hub)).toMatchObject({ kind: "imported" });
    return again.query({ kind: "stream", link: linkId("hub") }).snapshot;
  }

  test("asks a parent for its homes that it left with others, and no other one", () => {
    expect(backBelow("hub")).toMatchObject({ head: { at: 0 } });
    expect(backBelow()).toBeNull();
    expect(backBelow("hub", "site")).toBeNull();
  });
});
