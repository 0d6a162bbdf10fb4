/** Q3: homes of a parent that is gone for good. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { expect, test } from "vitest";
import { converge, expectReplayable, home, settled, up } from "./family.ts";
import { clusterId, epoch, OneCluster, put } from "./one-cluster.ts";

const HUB = clusterId("hub");

test("what its mirror has is the cluster's own from then on, and nothing that was handed to it runs here", () => {
  const { hub, site, all } = settled();
  hub.run(put("config/a", "1"));
  hub.run(put("config/b", "1"));
  all();
  const handed = site.run(put("config/a", "queued"));
  expect(handed).toMatchObject({ ok: true, response: { kind: "queued" } });
  expect(site.run(home("config/", "site"))).toMatchObject({ ok: false, code: "READ_ONLY" });
  expect(site.run(home("config/", "site", clusterId("mill")))).toMatchObject({ ok: false, code: "READ_ONLY" });
  expect(site.run(home("config/", "hub", HUB))).toMatchObject({ ok: false, code: "READ_ONLY" });

  expect(site.run(home("config/", "site", HUB))).toMatchObject({ ok: true });
  expect(site.query({ kind: "homes" }).homes).toEqual([]);
  expect(site.keys()).toMatchObject({ "config/a": "1", "config/b": "1" });
  const { commands } = site.query({ kind: "commands", after: revision(0), limit: 10 });
  expect(commands.map(({ outcome }) => outcome)).toMatchObject([{ ok: false, code: "OUTCOME_UNKNOWN" }]);
  expect(site.run(put("config/a", "2"))).toMatchObject({ ok: true, response: null });
  expect(site.keys()).toMatchObject({ "config/a": "2" });
  expectReplayable(site);
});

test("what had not moved yet stays the cluster's own, and those below it have their own again", () => {
  const central = new OneCluster("central", epoch("c"));
  const region = new OneCluster("region", epoch("d"));
  const shop = new OneCluster("shop", epoch("e"));
  const tiers = [
    [region, central],
    [shop, region],
  ] as const;
  shop.run(put("config/own", "shop's"));
  converge(...tiers);
  central.run(home("config/", "hub"));
  central.run(put("config/a", "1"));
  converge(...tiers);
  expect(shop.query({ kind: "homes" }).homes).toMatchObject([{ owner: "central", open: true }]);
  expect(region.run(home("config/", "site", central.cluster))).toMatchObject({ ok: true });
  converge([shop, region]);
  for (const one of [region, shop]) {
    expect(one.query({ kind: "homes" }).homes).toEqual([]);
    expect(one.keys()).toMatchObject({ "config/a": "1", "config/own": "shop's" });
    expect(one.run(put("config/a", one.cluster))).toMatchObject({ ok: true, response: null });
  }
  expectReplayable(region, shop);
});

test("X1: more keys than move at once are refused, and nothing changes", () => {
  const { hub, site, all } = settled();
  for (let i = 0; i < 10_001; i++) hub.run(put(`config/${i}`, "1"));
  all();
  up(site, hub);
  expect(site.run(home("config/", "site", HUB))).toMatchObject({ ok: false, code: "TXN_TOO_LARGE" });
  expect(site.query({ kind: "homes" }).homes).toHaveLength(1);
  expect(site.query({ kind: "get", origin: null, key: utf8("config/7") }).row).not.toBeNull();
});
