import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Home, LinkItem } from "@openclaw/core/ledger/record.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import { COMMAND_HORIZON_MS, COMMANDS_WAITING_MAX } from "@openclaw/core/limits.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { initialWrites } from "@openclaw/core/state-machine/position.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { contentHash } from "@openclaw/core/state-machine/state-hash.ts";
import { describe, expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { clusterId, epoch, hexed, leaseId, linkId, OneCluster, put, sha256, txn } from "./one-cluster.ts";

const NOTHING = { prefixes: [], collections: [], mirrors: false };

const home = (prefix: string, where: Home, ...without: readonly ClusterId[]): UserCommand => ({
  kind: "setHome",
  prefix: utf8(prefix),
  home: where,
  without,
});
const remove = (key: string): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
const queuedAt = (at: number): Outcome => ({ ok: true, revision: revision(at), response: { kind: "queued" } });

const cursorOf = (at: OneCluster, of: OneCluster): number =>
  at.query({ kind: "link", link: linkId(of.cluster) }).link?.cursor ?? 0;

/** What a child has to tell, of at most `most` revisions. */
const rising = (child: OneCluster, parent: OneCluster, most: number): readonly LinkItem[] => {
  const from = cursorOf(parent, child);
  return selectForParent(child.ledger.slice(from, from + most), parent.cluster, sha256);
};
const falling = (parent: OneCluster, child: OneCluster, most: number): readonly LinkItem[] => {
  const from = cursorOf(child, parent);
  return selectForChild(parent.ledger.slice(from, from + most), child.cluster, NOTHING);
};

function up(child: OneCluster, parent: OneCluster, most = 1_000): boolean {
  const items = rising(child, parent, most);
  if (items.length === 0) return false;
  const end = Math.min(cursorOf(parent, child) + most, child.ledger.length);
  expect(parent.import(child, items, child.ledger[end - 1]?.hash)).toMatchObject({ kind: "imported", cursor: end });
  return true;
}

function down(parent: OneCluster, child: OneCluster, most = 1_000): boolean {
  const items = falling(parent, child, most);
  if (items.length === 0) return false;
  const end = Math.min(cursorOf(child, parent) + most, parent.ledger.length);
  const result = child.import(parent, items, parent.ledger[end - 1]?.hash, "parent");
  expect(result).toMatchObject({ kind: "imported", cursor: end });
  return true;
}

/** Until nobody has news; fails if that does not end (L1). */
function converge(...pairs: readonly (readonly [child: OneCluster, parent: OneCluster])[]): void {
  for (let round = 0; round < 30; round++) {
    let news = false;
    for (const [child, parent] of pairs) news = up(child, parent) || news;
    for (const [child, parent] of pairs) news = down(parent, child) || news;
    if (!news) return;
  }
  throw new Error("the fleet never falls silent");
}

const outcomeOf = (at: OneCluster, handle: number): Outcome | null | undefined =>
  at.query({ kind: "command", revision: revision(handle) }).command?.outcome;

/** L2: a replay of the ledger gives the content, row for row. */
function expectReplayable(...clusters: readonly OneCluster[]): void {
  for (const one of clusters) {
    const again = new MemoryView();
    again.write(initialWrites(one.cluster, one.epoch, sha256));
    for (const record of one.ledger) again.write(replay(again, [record]));
    expect(hexed(contentHash(again, sha256))).toEqual(hexed(contentHash(one.view, sha256)));
  }
}

function family() {
  const hub = new OneCluster("hub", epoch("a"));
  const site = new OneCluster("shop", epoch("b"));
  const other = new OneCluster("mill", epoch("c"));
  for (const one of [site, other]) one.run(put("own", one.cluster));
  converge([site, hub], [other, hub]);
  return { hub, site, other, all: () => converge([site, hub], [other, hub]) };
}

/** `config/` is the hub's, and everybody knows. */
function settled() {
  const fleet = family();
  expect(fleet.hub.run(home("config/", "hub"))).toMatchObject({ ok: true });
  fleet.all();
  return fleet;
}

describe("homes", () => {
  test("Q3: the longest prefix wins", () => {
    const { hub } = family();
    hub.run(home("a/", "hub"));
    hub.run(home("a/b/", "private"));
    const placeOf = (key: string) => hub.records.at(-1)?.home ?? key;
    hub.run(home("a/", "hub", clusterId("shop"), clusterId("mill")));
    hub.run(put("a/1", "x"));
    expect(placeOf("a/1")).toBe("hub");
    hub.run(put("a/b/1", "x"));
    expect(placeOf("a/b/1")).toBe("private");
    hub.run(put("c", "x"));
    expect(placeOf("c")).toBe("site");
  });

  test("Q3: one command over two homes is CROSS_HOME, whatever it does with the keys, and changes nothing", () => {
    const { site } = settled();
    site.run(home("secret/", "private"));
    const before = site.position.revision;
    const value = utf8("x");
    const to = (key: string) => ({ kind: "put", key: utf8(key), value, lease: null, previous: false }) as const;
    const keys = { kind: "key", key: utf8("config/a") } as const;
    const crossing: readonly UserCommand[] = [
      txn([], [to("own"), to("config/a")]),
      txn([], [to("own"), to("secret/a")]),
      txn([], [to("own")], [to("config/a")]),
      txn([{ target: "version", keys, result: "equal", number: 0 }], [to("own")]),
      txn([], [to("own"), { kind: "range", ...plainRange(utf8("config/"), utf8("config0"), 1) }]),
      { kind: "deleteRange", keys: { kind: "range", from: utf8("a"), to: null } },
    ];
    for (const command of crossing) expect(site.run(command)).toMatchObject({ ok: false, code: "CROSS_HOME" });
    expect(site.position.revision).toBe(before);
    expect(site.run(txn([], [to("secret/a"), to("secret/b")]))).toMatchObject({ ok: true });
  });

  test("Q3: a private record goes up as its leaf alone, and its name does not, either", () => {
    const { hub, site } = family();
    site.run(home("secret/", "private"));
    site.run(put("secret/pin", "1234"));
    site.run(put("own", "2"));
    const items = rising(site, hub, 100);
    expect(items.map((item) => (item.kind === "stub" ? item.reason : item.kind))).toEqual([
      "private",
      "private",
      "body",
    ]);
    expect(Buffer.from(JSON.stringify(hexed(items))).includes(Buffer.from("secret").toString("hex"))).toBe(false);
    up(site, hub);
    expect(hub.keys(site.cluster)).toEqual({ own: "2" });
    expect(site.keys()).toEqual({ own: "2", "secret/pin": "1234" });
    // To its own children it does not travel, either.
    expect(selectForChild(site.ledger, clusterId("till"), { ...NOTHING, prefixes: [utf8("")] }).at(-2)?.kind).toBe(
      "skip",
    );
    expectReplayable(site, hub);
  });

  test("Q3: a prefix becomes private, or ceases to be, only while nothing is under it", () => {
    const { site } = family();
    expect(site.run(home("own", "private"))).toMatchObject({ ok: false, code: "NOT_EMPTY" });
    expect(site.run(home("secret/", "private"))).toMatchObject({ ok: true });
    site.run(put("secret/pin", "1"));
    expect(site.run(home("secret/", "site"))).toMatchObject({ ok: false, code: "NOT_EMPTY" });
    site.run(remove("secret/pin"));
    expect(site.run(home("secret/", "site"))).toMatchObject({ ok: true });
    const before = site.position.revision;
    expect(site.run(home("secret/", "site"))).toEqual({ ok: true, revision: before, response: null });
  });

  test("Q3: a lease that holds keys of two homes ends them apart: what is private stays apart", () => {
    const { site } = family();
    site.run(home("secret/", "private"));
    const lease = leaseId(7);
    site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
    for (const key of ["secret/a", "open"])
      site.run(txn([], [{ kind: "put", key: utf8(key), value: utf8("1"), lease, previous: false }]));
    site.run({ kind: "leaseRevoke", lease });
    const [first, second] = site.records.slice(-2);
    expect([first?.home, second?.home].sort()).toEqual(["private", "site"]);
    expect([first?.events.length, second?.events.length]).toEqual([1, 1]);
    expect(first?.salt).not.toEqual(second?.salt);
    expect(site.keys()).toEqual({ own: "shop" });
  });
});

describe("queued commands", () => {
  test("Q2: a write at a site to a hub's prefix runs there once, and its result comes back; L1: then all is silent", () => {
    const { hub, site, other, all } = settled();
    const at = site.position.revision + 1;
    expect(site.run(put("config/rate", "5"))).toEqual(queuedAt(at));
    expect(outcomeOf(site, at)).toBeNull();
    expect(site.query({ kind: "get", origin: null, key: utf8("config/rate") }).row).toBeNull();
    all();
    expect(hub.keys()).toEqual({ "config/rate": "5" });
    expect(hub.key("config/rate")?.version).toBe(1);
    const [written] = hub.records.filter((record) => record.home === "hub");
    expect(written).toMatchObject({ principal: "ada", origin: null });
    expect(outcomeOf(site, at)).toEqual({ ok: true, revision: written?.revision, response: null });
    for (const one of [site, other]) {
      expect(one.query({ kind: "get", origin: null, key: utf8("config/rate") })).toMatchObject({
        origin: "hub",
        row: { value: utf8("5") },
      });
      const under = plainRange(utf8("config/"), utf8("config0"), 0);
      expect(one.query({ kind: "range", origin: null, ...under })).toMatchObject({ origin: "hub", rows: [{}] });
    }
    expectReplayable(hub, site, other);
  });

  test("Q2: sent again, wholly or in part, it runs once all the same", () => {
    const { hub, site } = settled();
    site.run(put("config/a", "1"));
    site.run(put("config/a", "2"));
    const items = rising(site, hub, 100);
    for (let again = 0; again < 3; again++) hub.import(site, items);
    up(site, hub);
    expect(hub.key("config/a")?.version).toBe(2);
    const results = falling(hub, site, 100);
    for (let again = 0; again < 3; again++) site.import(hub, results, hub.position.hash, "parent");
    expect(hub.keys()).toEqual({ "config/a": "2" });
  });

  test("Q2: a refusal at the home comes back as the code that it was refused with", () => {
    const { site, all } = settled();
    const keep = { kind: "put", key: utf8("config/none"), value: null, lease: null, previous: false } as const;
    site.run(txn([], [keep]));
    const at = site.position.revision;
    all();
    expect(outcomeOf(site, at)).toMatchObject({ ok: false, code: "NOT_FOUND" });
  });

  test("Q2: a lease holds no key of another home", () => {
    const { site } = settled();
    const lease = leaseId(7);
    site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
    const attach = { kind: "put", key: utf8("config/a"), value: utf8("1"), lease, previous: false } as const;
    expect(site.run(txn([], [attach]))).toMatchObject({ ok: false, code: "CROSS_HOME" });
  });

  test("Q2: downwards the hub writes to a site's own keys, and hears of it; private ones are refused it", () => {
    const { hub, site, other, all } = family();
    site.run(home("secret/", "private"));
    const to = (key: string, command = put(key, "1")): UserCommand => {
      if (command.kind !== "put" && command.kind !== "deleteRange") throw new Error("a command on keys");
      return { kind: "addressed", to: site.cluster, command };
    };
    expect(hub.run(to("desired/light"))).toMatchObject({ ok: true, response: { kind: "queued" } });
    const at = hub.position.revision;
    hub.run(to("secret/pin"));
    expect(
      hub.run({
        kind: "addressed",
        to: clusterId("nobody"),
        command: { kind: "put", key: utf8("a"), value: utf8("1") },
      }),
    ).toMatchObject({
      ok: false,
      code: "UNKNOWN_CHILD",
    });
    all();
    expect(site.keys()).toEqual({ own: "shop", "desired/light": "1" });
    expect(other.keys()).toEqual({ own: "mill" });
    expect(hub.key("desired/light", site.cluster)?.value).toEqual(utf8("1"));
    expect(outcomeOf(hub, at)).toMatchObject({ ok: true });
    expect(outcomeOf(hub, at + 1)).toMatchObject({ ok: false, code: "FORBIDDEN" });
  });

  test("Q2: after 90 days of log time nothing is known of a command, and it does not run again here", () => {
    const { site, all } = settled();
    site.run(put("config/a", "1"));
    const at = site.position.revision;
    all();
    site.pass(COMMAND_HORIZON_MS - 1);
    expect(outcomeOf(site, at)).toMatchObject({ ok: true });
    site.pass(1);
    expect(outcomeOf(site, at)).toBeUndefined();
    site.run(put("config/b", "1"));
    expect(site.query({ kind: "commands", after: revision(0), limit: 10 }).commands).toHaveLength(1);
  });

  test("X1: beyond the bound of waiting commands a further one is OVERLOADED", () => {
    const { site } = settled();
    for (let i = 0; i < COMMANDS_WAITING_MAX; i++) site.run(put("config/a", "1"));
    expect(site.run(put("config/a", "1"))).toMatchObject({ ok: false, code: "OVERLOADED" });
    expect(site.run(put("own", "1"))).toMatchObject({ ok: true });
  });

  test("Q2: a result of another epoch's command settles nothing", () => {
    const { hub, site } = settled();
    site.run(put("config/a", "1"));
    const at = site.position.revision;
    up(site, hub);
    const restored = new OneCluster("shop", epoch("d"));
    while (restored.position.revision < at - 1) restored.run(put("own", "1"));
    restored.import(hub, falling(hub, restored, 100), hub.position.hash, "parent");
    expect(outcomeOf(restored, at)).toBeUndefined();
  });
});

describe("three tiers", () => {
  function tiers() {
    const central = new OneCluster("central", epoch("a"));
    const region = new OneCluster("region", epoch("b"));
    const site = new OneCluster("shop", epoch("c"));
    site.run(put("own", "1"));
    region.run(put("own", "1"));
    const all = () => converge([site, region], [region, central]);
    all();
    return { central, region, site, all };
  }

  test("Q2, Q3: a middle tier passes on homes, commands and results", () => {
    const { central, region, site, all } = tiers();
    central.run(home("config/", "hub"));
    all();
    site.run(put("config/a", "1"));
    const at = site.position.revision;
    all();
    expect(central.keys()).toEqual({ "config/a": "1" });
    expect(outcomeOf(site, at)).toMatchObject({ ok: true });
    for (const one of [region, site])
      expect(one.query({ kind: "get", origin: null, key: utf8("config/a") })).toMatchObject({
        origin: "central",
        row: {},
      });
    expect(region.query({ kind: "commands", after: revision(0), limit: 10 }).commands).toEqual([]);
    expectReplayable(central, region, site);
  });

  test("Q2: a command goes down two tiers, and its result comes up them", () => {
    const { central, site, all } = tiers();
    central.run({ kind: "addressed", to: site.cluster, command: { kind: "put", key: utf8("own"), value: utf8("2") } });
    const at = central.position.revision;
    all();
    expect(site.keys()).toEqual({ own: "2" });
    expect(outcomeOf(central, at)).toMatchObject({ ok: true, revision: site.key("own")?.modRevision });
  });
});

describe("moving a home", () => {
  test("Q3: to the hub: it queues writes until every site has released the prefix, and has what they had", () => {
    const { hub, site, other } = family();
    site.run(put("config/a", "shop"));
    other.run(put("config/b", "mill"));
    hub.run(put("config/c", "hub"));
    // What the hub has already stays as it is.
    other.run(put("config/c", "mill"));
    converge([site, hub], [other, hub]);
    hub.run(home("config/", "hub"));
    expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: false, waiting: ["mill", "shop"] }]);
    expect(hub.run(put("config/a", "late"))).toMatchObject({ response: { kind: "queued" } });
    const held = hub.position.revision;
    // The site does not know yet: its write is its own, and comes before its release.
    site.run(put("config/a", "shop 2"));
    converge([site, hub]);
    expect(site.run(put("config/d", "after"))).toMatchObject({ response: { kind: "queued" } });
    converge([site, hub]);
    expect(outcomeOf(hub, held)).toBeNull();
    expect(site.key("config/a")?.value).toEqual(utf8("shop 2"));
    converge([site, hub], [other, hub]);
    expect(hub.keys()).toEqual({ "config/a": "late", "config/b": "mill", "config/c": "hub", "config/d": "after" });
    expect(outcomeOf(hub, held)).toMatchObject({ ok: true });
    for (const one of [site, other]) {
      expect(one.query({ kind: "get", origin: null, key: utf8("config/b") })).toMatchObject({ origin: "hub", row: {} });
      expect(one.keys()).toEqual({ own: one.cluster });
    }
    expectReplayable(hub, site, other);
  });

  test("Q3: back to the sites: each has the hub's keys as its own, and runs what the hub has not", () => {
    const { hub, site, other } = settled();
    hub.run(put("config/a", "1"));
    converge([site, hub], [other, hub]);
    site.run(put("config/a", "2"));
    const early = site.position.revision;
    up(site, hub);
    site.run(put("config/a", "3"));
    const late = site.position.revision;
    hub.run(home("config/", "site"));
    site.run(put("config/b", "3"));
    converge([site, hub], [other, hub]);
    expect(hub.keys()).toEqual({ "config/a": "2" });
    expect(site.keys()).toEqual({ own: "shop", "config/a": "3", "config/b": "3" });
    expect(other.keys()).toEqual({ own: "mill", "config/a": "2" });
    expect(outcomeOf(site, early)).toMatchObject({ ok: true });
    expect(outcomeOf(site, late)).toMatchObject({ ok: true, revision: site.key("config/a")?.modRevision });
    expect(site.run(put("config/a", "4"))).toMatchObject({ ok: true, response: null });
    expectReplayable(hub, site, other);
  });

  test("Q3: a child that is gone is not waited for, if an operator says so", () => {
    const { hub, site } = family();
    hub.run(home("config/", "hub"));
    converge([site, hub]);
    expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: false, waiting: ["mill"] }]);
    hub.run(put("config/a", "1"));
    hub.run(home("config/", "hub", clusterId("mill")));
    expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true, waiting: [] }]);
    expect(hub.keys()).toEqual({ "config/a": "1" });
  });

  test("Q3: what is private at a site stays so, whatever the hub declares", () => {
    const { hub, site, all } = family();
    site.run(home("config/", "private"));
    site.run(put("config/pin", "1"));
    hub.run(home("config/", "hub"));
    all();
    expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
    expect(hub.keys()).toEqual({});
    expect(site.keys()).toMatchObject({ "config/pin": "1" });
    expectReplayable(hub, site);
  });

  test("Q3: what its parent declared a site cannot change", () => {
    const { site } = settled();
    for (const where of ["site", "private", "hub"] as const)
      expect(site.run(home("config/", where))).toMatchObject({ ok: false, code: "READ_ONLY" });
  });
});
