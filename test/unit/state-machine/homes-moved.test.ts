import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { describe, expect, test } from "vitest";
import { converge, expectReplayable, falling, family, home, outcomeOf, remove, settled, up } from "./family.ts";
import { clusterId, epoch, header, hexed, leaseId, OneCluster, put, sha256, txn } from "./one-cluster.ts";

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

  test("Q3: what goes to the sites within a prefix that stays the hub's is the hub's still", () => {
    const { hub, site, all } = settled();
    hub.run(home("config/keys/", "hub"));
    all();
    hub.run(put("config/keys/a", "1"));
    all();
    hub.run(home("config/keys/", "site"));
    all();
    expect(site.keys()).toEqual({ own: "shop" });
    expect(site.query({ kind: "get", origin: null, key: utf8("config/keys/a") })).toMatchObject({ origin: "hub" });
    hub.run(remove("config/keys/a"));
    hub.run(home("config/", "site"));
    all();
    // Of what it would have taken then nothing is left to come back now.
    expect(site.keys()).toEqual({ own: "shop" });
    expectReplayable(hub, site);
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

  test("Q3: what a child released before another was said to be gone counts, and so does what it queued", () => {
    const { hub, site } = family();
    hub.run(home("config/", "hub"));
    const items = falling(hub, site, 100);
    expect(site.import(hub, items, hub.position.hash, "parent")).toMatchObject({ kind: "imported" });
    site.run(put("config/a", "1"));
    const at = site.position.revision;
    hub.run(home("config/", "hub", clusterId("mill")));
    converge([site, hub]);
    expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
    expect(outcomeOf(site, at)).toMatchObject({ ok: true });
    expectReplayable(hub, site);
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

  test.each(["config/", "config/keys/"])(
    "Q3: under what is private nothing ends, goes or is told when the hub declares %s",
    (prefix) => {
      const { hub, site, all } = family();
      site.run(home("config/", "private"));
      const lease = leaseId(7);
      site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
      for (const key of ["config/keys/pin", "config/keys/seat"])
        site.run(
          txn(
            [],
            [
              {
                kind: "put",
                key: utf8(key),
                value: utf8("1"),
                lease: key.endsWith("t") ? lease : null,
                previous: false,
              },
            ],
          ),
        );
      const before = site.keys();
      hub.run(home(prefix, "hub"));
      all();
      expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
      hub.run(put("config/keys/pin", "hub's"));
      all();
      hub.run(home(prefix, "site"));
      all();
      expect(site.keys()).toEqual(before);
      const shipped = selectForParent(site.ledger, hub.cluster, sha256);
      expect(Buffer.from(JSON.stringify(hexed(shipped))).includes(Buffer.from("pin").toString("hex"))).toBe(false);
      expect(Buffer.from(JSON.stringify(hexed(shipped))).includes(Buffer.from("seat").toString("hex"))).toBe(false);
      expectReplayable(hub, site);
    },
  );

  test("Q3: what is within a private prefix does not become the hub's, nor the sites', while something is under it", () => {
    const { hub } = family();
    hub.run(home("config/keys/", "hub"));
    hub.run(home("config/", "private"));
    hub.run(put("config/a/pin", "1"));
    expect(hub.run(home("config/a/", "hub"))).toMatchObject({ code: "NOT_EMPTY" });
    hub.run(home("config/keys/", "hub", clusterId("shop"), clusterId("mill")));
    hub.run(put("config/keys/a", "1"));
    expect(hub.run(home("config/keys/", "site"))).toMatchObject({ code: "NOT_EMPTY" });
  });

  test("Q2, Q3: away and back while a site is cut off: what it had queued before runs once", () => {
    const { hub, site, other, all } = settled();
    const add = (at: OneCluster, key: string) => at.run(put(key, "1"));
    add(site, "config/a");
    const early = site.position.revision;
    hub.run(home("config/", "site"));
    hub.run(home("config/", "hub"));
    converge([other, hub]);
    // It ships before it hears that the home was away.
    up(site, hub);
    all();
    expect(outcomeOf(site, early)).toMatchObject({ ok: true });
    expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
    const ran = (at: OneCluster) =>
      at.records.filter(
        ({ origin, principal, events }) => origin === null && principal === "ada" && events[0]?.kind === "put",
      ).length;
    // Its first one is of the site's own key.
    expect(ran(hub) + ran(site) - 1).toBe(1);
    expect(hub.key("config/a")).toMatchObject({ version: 1 });
    expect(add(site, "config/a")).toMatchObject({ response: { kind: "queued" } });
    all();
    expect(hub.key("config/a")).toMatchObject({ version: 2 });
    expectReplayable(hub, site, other);
  });

  test("Q2, Q3: what was held here fails where the home goes further up", () => {
    const region = new OneCluster("region", epoch("b"));
    const central = new OneCluster("central", epoch("a"));
    const site = new OneCluster("shop", epoch("c"));
    site.run(put("own", "1"));
    converge([site, region], [region, central]);
    region.run(home("config/", "hub"));
    region.run(put("config/a", "1"));
    const held = region.position.revision;
    central.run(home("config/", "hub"));
    converge([region, central]);
    expect(outcomeOf(region, held)).toMatchObject({ ok: false, code: "READ_ONLY" });
    converge([site, region], [region, central]);
    expect(region.run(put("config/a", "1"))).toMatchObject({ response: { kind: "queued" } });
    converge([site, region], [region, central]);
    expect(central.keys()).toEqual({ "config/a": "1" });
    expectReplayable(region, central, site);
  });

  test("X1: no more goes to the sites at once than they can make their own in one step", () => {
    const { hub } = settled();
    hub.commit(...Array.from({ length: 10_001 }, (_, i) => ({ header: header(i), ...put(`config/${i}`, "1") })));
    expect(hub.run(home("config/", "site"))).toMatchObject({ code: "TXN_TOO_LARGE" });
    hub.run({ kind: "deleteRange", keys: { kind: "key", key: utf8("config/0") } });
    expect(hub.run(home("config/", "site"))).toMatchObject({ ok: true });
  });

  test("Q3: what its parent declared a site cannot change, nor a part of it", () => {
    const { site } = settled();
    for (const where of ["site", "private", "hub"] as const)
      expect(site.run(home("config/", where))).toMatchObject({ ok: false, code: "READ_ONLY" });
    for (const where of ["private", "hub"] as const)
      expect(site.run(home("config/keys/", where))).toMatchObject({ ok: false, code: "READ_ONLY" });
  });

  test("Q3: a part that a site had declared for those below it becomes the parent's with all that is around it", () => {
    const { hub, site, other, all } = family();
    site.run(home("config/keys/", "hub"));
    site.run(put("config/keys/a", "1"));
    all();
    hub.run(home("config/", "hub"));
    all();
    expect(site.query({ kind: "homes" }).homes).toMatchObject([{ owner: "hub", open: true }]);
    expect(hub.keys()).toEqual({ "config/keys/a": "1" });
    expect(site.keys()).toEqual({ own: "shop" });
    expect(site.run(put("config/keys/a", "2"))).toMatchObject({ response: { kind: "queued" } });
    expectReplayable(hub, site, other);
  });
});
