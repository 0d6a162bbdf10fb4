/** Q3: a home that moves again, or whose owner is lost, while what moved before is done in part. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { keyRange } from "@openclaw/core/state-machine/keyspace.ts";
import { expect, test } from "vitest";
import { expectReplayable, home } from "./family.ts";
import { clusterId, epoch, linkId, OneCluster, put, sha256, txn } from "./one-cluster.ts";

const PARTS = 15;
const KEYS = PARTS * 100;

/** A site with more keys under `config/` than one entry moves, and its hub. */
function pair() {
  const hub = new OneCluster("hub", epoch("a"));
  const shop = new OneCluster("shop", epoch("b"));
  shop.run(put("own", "1"));
  for (let part = 0; part < PARTS; part++) {
    const puts = Array.from({ length: 100 }, (_, i) => {
      const key = utf8(`config/${part}/${i}`);
      return { kind: "put", key, value: utf8("v"), lease: null, previous: false } as const;
    });
    shop.run(txn([], puts));
  }
  wholly(rise(shop, hub));
  return { hub, shop };
}

const cursorOf = (at: OneCluster, of: OneCluster): number =>
  at.query({ kind: "link", link: linkId(of.cluster) }).link?.cursor ?? 0;

/** Tells the parent all that is new, in one run, which may be proposed again. */
function rise(child: OneCluster, parent: OneCluster) {
  const cursor = cursorOf(parent, child);
  const items = selectForParent(child.ledger.slice(cursor), parent.cluster, sha256);
  const { hash } = child.position;
  const after = child.ledger[cursor - 1]?.hash;
  return () => parent.import(child, items, hash, "child", after).kind;
}

function fall(parent: OneCluster, child: OneCluster) {
  const items = selectForChild(parent.ledger.slice(cursorOf(child, parent)), child.cluster, NOTHING);
  const { hash } = parent.position;
  return () => child.import(parent, items, hash, "parent").kind;
}

function wholly(propose: () => string): void {
  for (let time = 0; time < 10; time++) {
    const kind = propose();
    if (kind === "imported") return;
    expect(kind).toBe("unfinished");
  }
  throw new Error("it does not come to an end");
}

/** Of the cluster's own rows. */
const keysOf = (cluster: OneCluster): number => {
  const { from, to } = keyRange(null, utf8("config/"), utf8("config0"));
  return cluster.view.scan(from, to, 10_000).length;
};

test("opened at the hub and back at the sites, heard of in one run: none of the site's keys is lost", () => {
  const { hub, shop } = pair();
  hub.run(home("config/", "hub"));
  wholly(fall(hub, shop));
  wholly(rise(shop, hub));
  expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
  expect(hub.run(home("config/", "site"))).toMatchObject({ ok: true });
  wholly(fall(hub, shop));
  expect(shop.query({ kind: "homes" }).homes).toEqual([]);
  hub.run(put("later", "1"));
  wholly(fall(hub, shop));
  expect(keysOf(shop)).toBe(KEYS);
  expectReplayable(hub, shop);
});

test("back at the sites while the hub had taken a part: when it moves again, the hub takes all of it", () => {
  const { hub, shop } = pair();
  hub.run(home("config/", "hub"));
  wholly(fall(hub, shop));
  const release = rise(shop, hub);
  expect(release()).toBe("unfinished");
  expect(hub.run(home("config/", "site"))).toMatchObject({ ok: true });
  wholly(release);
  wholly(fall(hub, shop));
  shop.run(put("config/0/new", "1"));
  wholly(rise(shop, hub));
  expect(hub.run(home("config/", "hub"))).toMatchObject({ ok: true });
  wholly(fall(hub, shop));
  wholly(rise(shop, hub));
  expect(hub.query({ kind: "homes" }).homes).toMatchObject([{ open: true }]);
  expect(keysOf(hub)).toBe(KEYS + 1);
  expectReplayable(hub, shop);
});

test("the hub is gone for good while the site removes its own: an operator's word still makes the mirror's keys its own", () => {
  const { hub, shop } = pair();
  hub.run(home("config/", "hub"));
  wholly(fall(hub, shop));
  wholly(rise(shop, hub));
  hub.run({ kind: "deleteRange", keys: { kind: "key", key: utf8("config/9/99") } });
  expect(fall(hub, shop)()).toBe("unfinished");
  expect(shop.run(home("config/", "site"))).toMatchObject({ code: "READ_ONLY" });
  const word = () => shop.run(home("config/", "site", clusterId("hub")));
  const outcome = word();
  expect(outcome.ok || outcome.code === "OVERLOADED").toBe(true);
  expect(outcome.ok ? outcome : word()).toMatchObject({ ok: true });
  expect(shop.query({ kind: "homes" }).homes).toEqual([]);
  expectReplayable(shop);
});
