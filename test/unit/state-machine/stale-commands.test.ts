/** Q2, Q3: commands that were queued before their writer heard that the home of their keys was away, and is back. */
import { utf8Text } from "@openclaw/core/bytes.ts";
import type { Revision } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { converge, expectReplayable, falling, home, outcomeOf, settled, up } from "./family.ts";
import { clusterId, epoch, linkId, OneCluster, put } from "./one-cluster.ts";

/** How often a caller's put of the key ran there. */
const ran = (at: OneCluster, key: string): number =>
  at.records
    .filter(({ origin, principal }) => origin === null && principal === "ada")
    .flatMap(({ events }) => events)
    .filter((event) => event.kind === "put" && utf8Text(event.key) === key).length;

const there = (hub: OneCluster): void => {
  for (const where of ["site", "hub"] as const) expect(hub.run(home("config/", where))).toMatchObject({ ok: true });
};

test("of a site that an operator said was gone: it runs where it heard of the home last", () => {
  const { hub, site, other } = settled();
  expect(site.run(put("config/a", "1"))).toMatchObject({ response: { kind: "queued" } });
  const handle = site.position.revision;
  there(hub);
  converge([other, hub]);
  hub.run(home("config/", "hub", clusterId("shop")));
  expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
  up(site, hub);
  converge([site, hub], [other, hub]);
  expect([ran(site, "config/a"), ran(hub, "config/a")]).toEqual([1, 0]);
  expect(outcomeOf(site, handle)).toMatchObject({ ok: true });
  expectReplayable(hub, site, other);
});

test("of a site that ships for the first time", () => {
  const hub = new OneCluster("hub", epoch("a"));
  const site = new OneCluster("shop", epoch("b"));
  hub.run(home("config/", "hub"));
  const items = falling(hub, site, 100);
  expect(site.import(hub, items, hub.position.hash, "parent")).toMatchObject({ kind: "imported" });
  expect(site.run(put("config/a", "1"))).toMatchObject({ response: { kind: "queued" } });
  const handle = site.position.revision;
  there(hub);
  up(site, hub);
  converge([site, hub]);
  expect([ran(site, "config/a"), ran(hub, "config/a")]).toEqual([1, 0]);
  expect(outcomeOf(site, handle)).toMatchObject({ ok: true });
  expectReplayable(hub, site);
});

/** A site below a region below the centre, whose `config/` is, and everybody knows. */
function tiers() {
  const central = new OneCluster("central", epoch("a"));
  const region = new OneCluster("region", epoch("b"));
  const site = new OneCluster("shop", epoch("c"));
  for (const one of [site, region]) one.run(put("own", one.cluster));
  const all = () => converge([site, region], [region, central]);
  all();
  central.run(home("config/", "hub"));
  all();
  return { central, region, site, all };
}

/** How often it ran at the site that wrote it, in the region and at the centre; and the writer knows that it did. */
function expectRan(
  { central, region, site }: Pick<ReturnType<typeof tiers>, "central" | "region" | "site">,
  key: string,
  handle: Revision,
  times: readonly number[],
): void {
  expect([site, region, central].map((tier) => ran(tier, key))).toEqual(times);
  expect(outcomeOf(site, handle)).toMatchObject({ ok: true });
  expectReplayable(central, region, site);
}

test("that a middle tier has handed on: it runs where its writer is", () => {
  const { central, region, site, all } = tiers();
  site.run(put("config/a", "1"));
  const handle = site.position.revision;
  up(site, region);
  there(central);
  up(region, central);
  all();
  expectRan({ central, region, site }, "config/a", handle, [1, 0, 0]);
});

test("that a middle tier takes which has heard by then", () => {
  const { central, region, site, all } = tiers();
  site.run(put("config/a", "1"));
  const handle = site.position.revision;
  there(central);
  converge([region, central]);
  up(site, region);
  all();
  expectRan({ central, region, site }, "config/a", handle, [1, 0, 0]);
});

test("what a site queues behind its release is handed on while the middle tier waits for others", () => {
  const { central, region, site } = tiers();
  const other = new OneCluster("mill", epoch("d"));
  other.run(put("own", "mill"));
  const all = () => converge([site, region], [other, region], [region, central]);
  all();
  there(central);
  converge([region, central]);
  // The other one is cut off.
  converge([site, region], [region, central]);
  expect(site.run(put("config/a", "1"))).toMatchObject({ response: { kind: "queued" } });
  const handle = site.position.revision;
  converge([site, region], [region, central]);
  expect(central.query({ kind: "homes" }).homes).toMatchObject([{ open: false, waiting: ["region"] }]);
  expect(outcomeOf(site, handle)).toBeNull();
  all();
  expect(ran(central, "config/a")).toBe(1);
  expect(outcomeOf(site, handle)).toMatchObject({ ok: true });
  expectReplayable(central, region, site, other);
});

test("within what a middle tier was the home of, queued while that tells that all of it is its parent's", () => {
  const { central, region, site, all } = tiers();
  central.run(home("config/", "site"));
  all();
  region.run(home("config/keys/", "hub"));
  all();
  central.run(home("config/", "hub"));
  converge([region, central]);
  const told = region.records.findLast(({ origin, events }) => origin !== null && events[0]?.kind === "home");
  const cursor = site.query({ kind: "link", link: linkId("region") }).link?.cursor ?? 0;
  const most = (told?.revision ?? 0) - cursor;
  const items = falling(region, site, most);
  expect(
    site.import(region, items, told === undefined ? undefined : region.ledger[told.revision - 1]?.hash, "parent"),
  ).toMatchObject({ kind: "imported", cursor: told?.revision });
  expect(site.run(put("config/keys/a", "1"))).toMatchObject({ response: { kind: "queued" } });
  const handle = site.position.revision;
  up(site, region);
  all();
  expectRan({ central, region, site }, "config/keys/a", handle, [1, 0, 0]);
});

describe("is no reason to refuse what is on its way: the home was upwards all along", () => {
  test("a longer prefix is declared", () => {
    const { hub, site, all } = settled();
    site.run(put("config/keys/a", "1"));
    const handle = site.position.revision;
    hub.run(home("config/keys/", "hub"));
    up(site, hub);
    all();
    expect([ran(site, "config/keys/a"), ran(hub, "config/keys/a")]).toEqual([0, 1]);
    expect(outcomeOf(site, handle)).toMatchObject({ ok: true });
    expectReplayable(hub, site);
  });

  test("an operator says above a middle tier that a child is gone", () => {
    const { central, region, site, all } = tiers();
    const gone = new OneCluster("mill", epoch("d"));
    gone.run(put("own", "mill"));
    up(gone, central);
    central.run(home("keys/", "hub"));
    all();
    site.run(put("keys/a", "1"));
    const handle = site.position.revision;
    central.run(home("keys/", "hub", gone.cluster));
    converge([region, central]);
    up(site, region);
    all();
    expectRan({ central, region, site }, "keys/a", handle, [0, 0, 1]);
  });

  test("what a middle tier was the home of becomes its parent's", () => {
    const { central, region, site, all } = tiers();
    region.run(home("keys/", "hub"));
    all();
    site.run(put("keys/a", "1"));
    const handle = site.position.revision;
    central.run(home("keys/", "hub"));
    converge([region, central]);
    up(site, region);
    all();
    expectRan({ central, region, site }, "keys/a", handle, [0, 0, 1]);
  });

  test("what was around a longer prefix goes away and comes back", () => {
    const { hub, site, all } = settled();
    hub.run(home("config/keys/", "hub"));
    all();
    site.run(put("config/a", "1"));
    site.run(put("config/keys/a", "1"));
    there(hub);
    up(site, hub);
    all();
    expect(["config/a", "config/keys/a"].map((key) => [ran(site, key), ran(hub, key)])).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expectReplayable(hub, site);
  });
});
