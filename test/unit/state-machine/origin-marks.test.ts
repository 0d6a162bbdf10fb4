/** Of an origin that was met in several epochs, the last one that was followed counts, whatever the nonces (L3, Q2). */
import { utf8 } from "@openclaw/core/bytes.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { expect, test } from "vitest";
import { epoch, OneCluster, put, sha256 } from "./one-cluster.ts";

function shipAll(from: OneCluster, to: OneCluster): void {
  const last = from.ledger.at(-1);
  expect(to.import(from, selectForParent(from.ledger, to.cluster, sha256), last?.hash)).toMatchObject({
    kind: "imported",
  });
}

test.each([
  ["f", "1"],
  ["1", "f"],
])("a command for a site that moved, from epoch %s to epoch %s, goes where it is now", (before, after) => {
  const hub = new OneCluster("hub", epoch("a"));
  const regions = ["north", "south"].map((name) => new OneCluster(name, epoch("b")));
  for (const [i, region] of regions.entries()) {
    const shop = new OneCluster("shop", epoch(i === 0 ? before : after, i + 1));
    // The first life wrote more than the one that came after it.
    for (let k = 0; k < 4 - 3 * i; k++) shop.run(put(`k${k}`, String(i)));
    shipAll(shop, region);
    shipAll(region, hub);
  }
  const shop = new OneCluster("shop").cluster;
  const command = { kind: "put", key: utf8("k"), value: utf8("for it") } as const;
  expect(hub.run({ kind: "addressed", to: shop, command })).toMatchObject({ ok: true });
  const [event] = hub.records.at(-1)?.events ?? [];
  expect(event).toMatchObject({ kind: "command", via: "south", to: "shop" });
  const { marks } = hub.query({ kind: "marks", origin: shop });
  expect(marks.map((mark) => [mark.epoch, Number(mark.revision)])).toEqual([
    [after.repeat(32), 1],
    [before.repeat(32), 4],
  ]);
  expect(hub.query({ kind: "origins" }).origins).toContainEqual({
    cluster: shop,
    epoch: after.repeat(32),
    link: "south",
  });
});
