import { revision } from "@openclaw/core/ids.ts";
import { departed } from "@openclaw/core/ledger/lineage.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { describe, expect, test } from "vitest";
import { epoch, linkId, OneCluster, put, sha256 } from "./one-cluster.ts";

const LINK = linkId("california");

/** A hub that has the first `taken` of the site's five revisions. */
function pair(taken: number) {
  const site = new OneCluster("california", epoch("b"));
  for (const value of ["1", "2", "3", "4", "5"]) site.run(put("a", value));
  const hub = new OneCluster("hub");
  const items = selectForParent(site.ledger.slice(0, taken), hub.cluster, sha256);
  hub.import(site, items, site.ledger[taken - 1]?.hash);
  const next = { ...epoch("e", 2), parent: site.epoch.nonce, departure: revision(4) };
  const hash = site.ledger[3]?.hash ?? new Uint8Array(32);
  return { site, hub, lineage: departed(site.position, next, hash) };
}

const succeed = ({ hub, lineage }: Pick<ReturnType<typeof pair>, "hub" | "lineage">) =>
  hub.system({ kind: "succeedEpoch", link: LINK, cluster: CALIFORNIA, lineage, holds: null });
const CALIFORNIA = new OneCluster("california").cluster;

describe("L3: a link", () => {
  test("follows its cluster into an epoch that has all that was taken", () => {
    const at = pair(4);
    expect(succeed(at)).toMatchObject({ kind: "imported", cursor: 4 });
    expect(at.hub.query({ kind: "link", link: LINK }).link).toMatchObject({ epoch: at.lineage.epoch, cursor: 4 });
    // Twice is as good as once, and takes no revision (L1).
    const { revision: before } = at.hub.position;
    expect(succeed(at)).toMatchObject({ kind: "imported" });
    expect(at.hub.position.revision).toBe(before);
  });

  test("does not where the epoch departed below the cursor, or from another hash", () => {
    const behind = pair(5);
    expect(succeed(behind)).toMatchObject({ kind: "importRefused", code: "EPOCH_BEHIND", cursor: 5 });
    const other = pair(4);
    const [{ epoch: before } = { epoch: epoch("b") }] = other.lineage.ancestors;
    const lineage = { ...other.lineage, ancestors: [{ epoch: before, hash: new Uint8Array(32).fill(9) }] };
    expect(succeed({ hub: other.hub, lineage })).toMatchObject({ kind: "importRefused", code: "FORK" });
  });

  test("finds at the departure that what lies before it is not what the new epoch departed from", () => {
    const { site, hub, lineage } = pair(2);
    const [{ epoch: before } = { epoch: epoch("b") }] = lineage.ancestors;
    const wrong = { ...lineage, ancestors: [{ epoch: before, hash: new Uint8Array(32).fill(9) }] };
    expect(succeed({ hub, lineage: wrong })).toMatchObject({ kind: "imported", cursor: 2 });
    const items = selectForParent(site.ledger.slice(2, 4), hub.cluster, sha256);
    const hash = site.ledger[3]?.hash ?? new Uint8Array(32);
    const command = {
      kind: "importLedger",
      side: "child",
      link: LINK,
      cluster: site.cluster,
      epoch: wrong.epoch,
      items,
      hash,
      after: null,
    } as const;
    expect(hub.system(command)).toMatchObject({ kind: "importRefused", code: "FORK", cursor: 2 });
  });

  test("takes no run that goes past a departure", () => {
    const { site, hub, lineage } = pair(2);
    expect(succeed({ hub, lineage })).toMatchObject({ kind: "imported" });
    const items = selectForParent(site.ledger.slice(2), hub.cluster, sha256);
    const hash = site.ledger[4]?.hash ?? new Uint8Array(32);
    const command = {
      kind: "importLedger",
      side: "child",
      link: LINK,
      cluster: site.cluster,
      epoch: lineage.epoch,
      items,
      hash,
      after: null,
    } as const;
    expect(hub.system(command)).toMatchObject({ kind: "importRefused", code: "MALFORMED_FRAME" });
  });

  test("is not settled on differences that were read before more of the life was taken", () => {
    const { hub, lineage, site } = pair(5);
    const settle = (cursor: number) =>
      hub.system({
        kind: "settleEpoch",
        link: LINK,
        cluster: site.cluster,
        from: site.epoch.nonce,
        cursor: revision(cursor),
        parting: revision(4),
        kept: null,
        lineage,
        holds: null,
        changes: [],
      });
    expect(settle(4)).toMatchObject({ kind: "importRefused", code: "GAP", cursor: 5 });
    expect(hub.query({ kind: "lives", link: LINK }).left).toEqual([]);
    expect(settle(5)).toMatchObject({ kind: "imported", cursor: 4 });
  });

  test("is settled once: a second decision that was made on the same look is refused", () => {
    const { hub, lineage, site } = pair(5);
    const settle = {
      kind: "settleEpoch",
      link: LINK,
      cluster: site.cluster,
      from: site.epoch.nonce,
      cursor: revision(5),
      parting: revision(4),
      kept: null,
      lineage,
      holds: null,
      changes: [],
    } as const;
    expect(hub.system(settle)).toMatchObject({ kind: "imported", cursor: 4 });
    expect(hub.system(settle)).toMatchObject({ kind: "importRefused", code: "WRONG_EPOCH" });
    expect(hub.query({ kind: "lives", link: LINK }).left).toMatchObject([{ epoch: site.epoch, from: 5, to: 5 }]);
  });
});
