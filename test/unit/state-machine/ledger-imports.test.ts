import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import { describe, expect, test } from "vitest";
import { change, clusterId, epoch, leaseId, linkId, OneCluster, only, push, put, sha256, txn } from "./one-cluster.ts";

const EVERYTHING: Subscription = { prefixes: [utf8("")], collections: ["notes"], mirrors: true };

const up = (child: OneCluster, parent: OneCluster, from = 1): readonly LinkItem[] =>
  selectForParent(child.ledger.slice(from - 1), parent.cluster, sha256);
const down = (parent: OneCluster, child: OneCluster, from = 1): readonly LinkItem[] =>
  selectForChild(parent.ledger.slice(from - 1), child.cluster, EVERYTHING);

const cursorOf = (at: OneCluster, of: OneCluster): number =>
  at.query({ kind: "link", link: linkId(of.cluster) }).link?.cursor ?? 0;

/** Ships everything both ways until nobody has news; fails if that does not end. */
function converge(pairs: readonly (readonly [child: OneCluster, parent: OneCluster])[]): void {
  for (let round = 0; round < 20; round++) {
    let news = false;
    for (const [child, parent] of pairs) {
      const rising = up(child, parent, cursorOf(parent, child) + 1);
      const falling = down(parent, child, cursorOf(child, parent) + 1);
      if (rising.length > 0) expect(parent.import(child, rising)).toMatchObject({ kind: "imported" });
      // What the import above added is for the next round: the hash belongs to the items.
      const end = parent.ledger[cursorOf(child, parent) + count(falling) - 1];
      if (end !== undefined && falling.length > 0)
        expect(child.import(parent, falling, end.hash)).toMatchObject({ kind: "imported" });
      news ||= rising.length > 0 || falling.length > 0;
    }
    if (!news) return;
  }
  throw new Error("the fleet never falls silent");
}

const count = (items: readonly LinkItem[]): number =>
  items.reduce((sum, item) => sum + (item.kind === "skip" ? item.to - item.from + 1 : 1), 0);

function siteAndHub() {
  const site = new OneCluster("california", epoch("b"));
  const hub = new OneCluster("hub");
  for (const value of ["1", "2", "3"]) site.run(put("a", value));
  return { site, hub };
}

describe("imports", () => {
  test("L4: each body takes one revision here, keeps its origin, and lives under (origin, key)", () => {
    const { site, hub } = siteAndHub();
    hub.run(put("a", "the hub's own"));
    expect(hub.import(site, up(site, hub))).toEqual({ kind: "imported", cursor: 3, outcomes: [] });
    expect(hub.position.revision).toBe(4);
    expect(hub.keys()).toEqual({ a: "the hub's own" });
    expect(hub.key("a", site.cluster)).toMatchObject({ createRevision: 1, modRevision: 3, version: 3 });
    expect(hub.records[1]).toMatchObject({
      revision: 2,
      principal: "ada",
      origin: { cluster: "california", epoch: epoch("b").nonce, revision: 1 },
      link: "california",
    });
    expect(hub.records[1]?.time).toBe(site.records[0]?.time);
  });

  test("K6: a mirror has no lease, in its row and in its record", () => {
    const site = new OneCluster("california", epoch("b"));
    const lease = leaseId(7);
    site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
    site.run(txn([], [{ kind: "put", key: utf8("a"), value: utf8("1"), lease, previous: false }]));
    const hub = new OneCluster("hub");
    expect(hub.import(site, up(site, hub))).toMatchObject({ kind: "imported", cursor: 1 });
    expect(site.key("a")).toMatchObject({ lease: 7 });
    expect(hub.key("a", site.cluster)).toMatchObject({ lease: null, version: 1 });
    expect(hub.records[0]?.events).toMatchObject([{ kind: "put", lease: null }]);
  });

  test("L4: at or below the cursor an import changes nothing; an overlap is trimmed; a gap names the cursor", () => {
    const { site, hub } = siteAndHub();
    const items = up(site, hub);
    const early = site.ledger[1]?.hash ?? new Uint8Array(0);
    expect(hub.import(site, items.slice(1))).toMatchObject({ kind: "importRefused", code: "GAP", cursor: 0 });
    hub.import(site, items.slice(0, 2), early);
    expect(hub.import(site, items.slice(0, 2), early)).toMatchObject({ kind: "imported", cursor: 2 });
    expect(hub.import(site, items)).toMatchObject({ kind: "imported", cursor: 3 });
    expect(hub.position.revision).toBe(3);
    const before = hub.view.rows();
    expect(hub.import(site, items)).toMatchObject({ kind: "imported", cursor: 3 });
    expect(hub.import(site, [])).toMatchObject({ kind: "imported", cursor: 3 });
    expect(hub.view.rows()).toEqual(before);
  });

  test("L3: another ledger under the same revisions is a FORK, altered or not in a body", () => {
    const { site, hub } = siteAndHub();
    const items = up(site, hub);
    expect(hub.import(site, items, new Uint8Array(32))).toMatchObject({ code: "FORK", cursor: 0 });
    const [first] = items;
    if (first?.kind !== "body") throw new Error("a body");
    const altered = { ...first, record: first.record.map((byte, i) => (i === 5 ? byte ^ 1 : byte)) };
    expect(hub.import(site, [altered, ...items.slice(1)])).toMatchObject({ code: "FORK", cursor: 0 });
    hub.import(site, items);
    const twin = new OneCluster("california", epoch("b"));
    for (const value of ["1", "2", "another"]) twin.run(put("a", value));
    expect(hub.import(twin, up(twin, hub))).toMatchObject({ code: "FORK", cursor: 3 });
    twin.run(put("b", "1"));
    expect(hub.import(twin, up(twin, hub, 4))).toMatchObject({ code: "FORK", cursor: 3 });
    expect(hub.position.revision).toBe(3);
  });

  test("L3: of two copies of a site that part, one cannot go on over the other's revisions behind a skip", () => {
    const [original, copy] = [new OneCluster("california", epoch("b")), new OneCluster("california", epoch("b"))];
    for (const one of [original, copy]) one.run(put("a", "common"));
    original.run(put("a", "original"));
    for (const value of ["copy", "echo", "echo"]) copy.run(put("a", value));
    const hub = new OneCluster("hub");
    hub.import(original, up(original, hub));
    const hashAt = (one: OneCluster, at: number): Uint8Array => one.ledger[at - 1]?.hash ?? new Uint8Array(0);
    const skip = (from: number) =>
      ({ kind: "skip", from: revision(from), to: revision(4), hash: hashAt(copy, 4) }) as const;
    const go = (items: readonly LinkItem[], after: number) =>
      hub.import(copy, items, hashAt(copy, 4), "child", hashAt(copy, after));
    expect(go([skip(3)], 2)).toMatchObject({ kind: "importRefused", code: "FORK", cursor: 2 });
    expect(go([...up(copy, hub).slice(1, 2), skip(3)], 1)).toMatchObject({ code: "FORK", cursor: 2 });
    // Nor by all of its ledger, which follows nothing that could be told (simulated hierarchy, seed 298400026909).
    const whole = [...up(copy, hub).slice(0, 2), skip(3)];
    const ofAll = (items: readonly LinkItem[]) => hub.import(copy, items, hashAt(copy, 4), "child", null);
    expect(ofAll(whole)).toMatchObject({ kind: "importRefused", code: "FORK", cursor: 2 });
    // Nor where what it follows is kept no longer: from the cursor on it is seen.
    expect(ofAll(whole.slice(1))).toMatchObject({ kind: "importRefused", code: "GAP", cursor: 2 });
    // Where a skip runs over the cursor, the sender begins again there, and then it is seen.
    expect(go([skip(2)], 1)).toMatchObject({ kind: "importRefused", code: "GAP", cursor: 2 });
    // Of the ledger that was taken all of it goes on.
    original.run(put("a", "more"));
    const end = { kind: "skip", from: revision(3), to: revision(3), hash: hashAt(original, 3) } as const;
    expect(hub.import(original, [end], hashAt(original, 3), "child", hashAt(original, 2))).toMatchObject({ cursor: 3 });
  });

  test("L3: the first epoch seen is pinned; another one is WRONG_EPOCH", () => {
    const { site, hub } = siteAndHub();
    hub.import(site, up(site, hub));
    const rebuilt = new OneCluster("california", epoch("e", 2));
    rebuilt.run(put("a", "1"));
    expect(hub.import(rebuilt, up(rebuilt, hub))).toMatchObject({ code: "WRONG_EPOCH", cursor: 3 });
  });

  test("a link carries its own cluster's ledger and no other", () => {
    const { site, hub } = siteAndHub();
    const wrong = {
      kind: "importLedger",
      side: "child",
      cluster: site.cluster,
      epoch: site.epoch,
      items: up(site, hub),
      hash: site.position.hash,
      after: null,
    } as const;
    expect(hub.system({ ...wrong, link: linkId("alaska") })).toMatchObject({ code: "WRONG_CLUSTER" });
    expect(site.import(site, up(site, hub))).toMatchObject({ code: "WRONG_CLUSTER" });
  });

  test("L2: skips and stubs move the cursor along the chain and take no revision (L1)", () => {
    const { site, hub } = siteAndHub();
    const hashes = site.ledger.map((record) => record.hash);
    const skip: LinkItem = { kind: "skip", from: revision(1), to: revision(2), hash: hashes[1] ?? new Uint8Array() };
    expect(hub.import(site, [skip, ...up(site, hub, 3)])).toMatchObject({ kind: "imported", cursor: 3 });
    expect(hub.position.revision).toBe(1);
    const other = new OneCluster("hub");
    expect(other.import(site, [{ ...skip, to: revision(3), hash: hashes[2] ?? new Uint8Array() }])).toMatchObject({
      cursor: 3,
    });
    expect(other.position.revision).toBe(0);
  });

  test("X1: items that do not follow each other, and bodies that are no records, are refused whole", () => {
    const { site, hub } = siteAndHub();
    const [first, second, third] = up(site, hub);
    if (first?.kind !== "body" || second === undefined || third === undefined) throw new Error("three bodies");
    expect(hub.import(site, [first, third])).toMatchObject({ code: "MALFORMED_FRAME", cursor: 0 });
    expect(hub.import(site, [second, first, third])).toMatchObject({ code: "MALFORMED_FRAME" });
    expect(hub.position.revision).toBe(0);
  });

  test("L4: what an origin's mark covers is taken once, whichever link brings it", () => {
    const { site, hub } = siteAndHub();
    const middle = new OneCluster("middle", epoch("c"));
    middle.import(site, up(site, middle));
    hub.import(middle, up(middle, hub));
    expect(hub.position.revision).toBe(3);
    expect(hub.import(site, up(site, hub))).toMatchObject({ kind: "imported", cursor: 3 });
    expect(hub.position.revision).toBe(3);
    expect(hub.keys(site.cluster)).toEqual({ a: "3" });
  });

  test("L5: a change that is known is a no-op that still moves the cursor", () => {
    const site = new OneCluster("california", epoch("b"));
    const hub = new OneCluster("hub");
    const both = change(1, "a", 1, []);
    site.run(push("log", both));
    hub.run(push("log", both));
    expect(hub.import(site, up(site, hub))).toMatchObject({ kind: "imported", cursor: 1 });
    expect(hub.position.revision).toBe(1);
  });

  test("L1, L5: three tiers converge, then nobody has anything to say, and nothing is doubled", () => {
    const hub = new OneCluster("hub", epoch("1"));
    const west = new OneCluster("west", epoch("2"));
    const east = new OneCluster("east", epoch("3"));
    const california = new OneCluster("california", epoch("4"));
    const alaska = new OneCluster("alaska", epoch("5"));
    const pairs = [
      [california, west],
      [alaska, west],
      [west, hub],
      [east, hub],
    ] as const;
    california.run(put("quake", "1"));
    california.run(push("log", change(1, "a", 1, [])));
    alaska.run(push("log", change(2, "b", 1, [])));
    west.run(put("west", "own"));
    east.run(push("log", change(3, "c", 1, [])));
    hub.run(put("notice", "1"));
    converge(pairs);
    alaska.run(push("log", change(4, "b", 2, [1, 2, 3])));
    converge(pairs);
    const all = [hub, west, east, california, alaska];
    for (const cluster of all) {
      expect(
        cluster
          .document("log")
          .changes.map((one) => one.hash)
          .sort(),
      ).toEqual(
        hub
          .document("log")
          .changes.map((one) => one.hash)
          .sort(),
      );
      expect(cluster.document("log")).toMatchObject({ position: 4, pending: 0 });
      // Six own writes and one more: each once everywhere, and echoes nowhere.
      expect(cluster.position.revision).toBe(7);
    }
    expect(alaska.keys(clusterId("california"))).toEqual({ quake: "1" });
    expect(east.keys(clusterId("california"))).toEqual({ quake: "1" });
    expect(california.keys(clusterId("california"))).toEqual({});
    const before = all.map((cluster) => cluster.view.rows());
    converge(pairs);
    expect(all.map((cluster) => cluster.view.rows())).toEqual(before);
  });

  test("S3: the parent's word is replicated, never goes back, takes no revision, and cannot exceed what we have", () => {
    const { site, hub } = siteAndHub();
    const parent = hub.cluster;
    for (const [said, kept] of [
      [2, 2],
      [1, 2],
      [4, 2],
      [3, 3],
    ] as const) {
      expect(site.system({ kind: "parentHolds", parent, epoch: "ab".repeat(16), revision: revision(said) })).toEqual({
        kind: "noted",
      });
      expect(site.position.parentHolds).toBe(kept);
    }
    expect(site.position.revision).toBe(3);
  });

  test("what a link has reached can be asked", () => {
    const { site, hub } = siteAndHub();
    hub.import(site, up(site, hub));
    expect(only(hub.query({ kind: "links" }).links)).toEqual({
      link: "california",
      ancestors: [],
      cursor: 3,
      hash: new Uint8Array(site.position.hash),
      epoch: site.epoch,
      outcomes: [],
    });
    expect(hub.query({ kind: "link", link: linkId("alaska") }).link).toBeNull();
  });
});
