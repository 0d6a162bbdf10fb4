/** What a neighbour that lies may not bring about: each link speaks for its own cluster and what is below it. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { SnapshotHead, SnapshotStep } from "@openclaw/core/ledger/snapshot.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { describe, expect, test } from "vitest";
import { converge, expectReplayable, family } from "./family.ts";
import { epoch, linkId, OneCluster, put, sha256 } from "./one-cluster.ts";

function step(to: OneCluster, from: OneCluster, side: "child" | "parent", one: SnapshotStep) {
  const { cluster, epoch: life } = from;
  return to.system({ kind: "importSnapshot", side, link: linkId(cluster), cluster, epoch: life, step: one });
}

const headOf = (at: number, parts: Partial<SnapshotHead>): SnapshotHead => ({
  at: revision(at),
  hash: sha256(utf8("at")),
  subscription: null,
  kept: null,
  origins: [],
  homes: [],
  ...parts,
});

const CONFIG = { prefix: utf8("config/"), owner: null, open: true };

describe("a snapshot", () => {
  test("S4, Q3: of a child is of its own ledger: it subscribes to nothing and declares no home", () => {
    const { hub, site } = family();
    hub.run(put("config/a", "hub"));
    const at = site.position.revision;
    for (const wrong of [
      { subscription: NOTHING, homes: [CONFIG] },
      { subscription: NOTHING },
      { kept: NOTHING },
      { homes: [CONFIG] },
    ])
      expect(step(hub, site, "child", { kind: "begin", head: headOf(at, wrong) })).toMatchObject({
        code: "MALFORMED_FRAME",
      });
    expect(hub.query({ kind: "homes" }).homes).toEqual([]);
    expect(hub.keys()).toEqual({ "config/a": "hub" });
  });

  test("L2: a middle tier that learns of an open home replays to the same", () => {
    const region = new OneCluster("region", epoch("b"));
    const site = new OneCluster("shop", epoch("c"));
    const central = new OneCluster("central", epoch("a"));
    site.run(put("own", "1"));
    converge([site, region]);
    const head = headOf(9, { subscription: NOTHING, homes: [CONFIG] });
    const piece = { section: 0, from: utf8("config/"), to: null, rows: [], documents: [] };
    for (const one of [
      { kind: "begin", head },
      { kind: "piece", at: head.at, piece },
      { kind: "end", at: head.at },
    ] as const)
      expect(step(region, central, "parent", one)).toMatchObject({ kind: "snapshotTaken" });
    expect(region.query({ kind: "homes" }).homes).toMatchObject([{ owner: "central", waiting: ["shop"] }]);
    expectReplayable(region);
  });
});
