/** Clusters without Raft that are one another's children and parents, and what they tell each other. */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Home, LinkItem } from "@openclaw/core/ledger/record.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { initialWrites } from "@openclaw/core/state-machine/position.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { contentHash } from "@openclaw/core/state-machine/state-hash.ts";
import { expect } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { epoch, hexed, linkId, OneCluster, put, sha256 } from "./one-cluster.ts";

export const home = (prefix: string, where: Home, ...without: readonly ClusterId[]): UserCommand => ({
  kind: "setHome",
  prefix: utf8(prefix),
  home: where,
  without,
});
export const remove = (key: string): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
export const queuedAt = (at: number): Outcome => ({ ok: true, revision: revision(at), response: { kind: "queued" } });

const cursorOf = (at: OneCluster, of: OneCluster): number =>
  at.query({ kind: "link", link: linkId(of.cluster) }).link?.cursor ?? 0;

/** What a child has to tell, of at most `most` revisions. */
export const rising = (child: OneCluster, parent: OneCluster, most: number): readonly LinkItem[] => {
  const from = cursorOf(parent, child);
  return selectForParent(child.ledger.slice(from, from + most), parent.cluster, sha256);
};
export const falling = (parent: OneCluster, child: OneCluster, most: number): readonly LinkItem[] => {
  const from = cursorOf(child, parent);
  return selectForChild(parent.ledger.slice(from, from + most), child.cluster, NOTHING);
};

export function up(child: OneCluster, parent: OneCluster, most = 1_000): boolean {
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
export function converge(...pairs: readonly (readonly [child: OneCluster, parent: OneCluster])[]): void {
  for (let round = 0; round < 30; round++) {
    let news = false;
    for (const [child, parent] of pairs) news = up(child, parent) || news;
    for (const [child, parent] of pairs) news = down(parent, child) || news;
    if (!news) return;
  }
  throw new Error("the fleet never falls silent");
}

export const outcomeOf = (at: OneCluster, handle: number): Outcome | null | undefined =>
  at.query({ kind: "command", revision: revision(handle) }).command?.outcome;

/** L2: a replay of the ledger gives the content, row for row. */
export function expectReplayable(...clusters: readonly OneCluster[]): void {
  for (const one of clusters) {
    const again = new MemoryView();
    again.write(initialWrites(one.cluster, one.epoch, sha256));
    for (const record of one.ledger) again.write(replay(sha256, again, [record]));
    expect(hexed(contentHash(again, sha256))).toEqual(hexed(contentHash(one.view, sha256)));
  }
}

export function family() {
  const hub = new OneCluster("hub", epoch("a"));
  const site = new OneCluster("shop", epoch("b"));
  const other = new OneCluster("mill", epoch("c"));
  for (const one of [site, other]) one.run(put("own", one.cluster));
  converge([site, hub], [other, hub]);
  return { hub, site, other, all: () => converge([site, hub], [other, hub]) };
}

/** `config/` is the hub's, and everybody knows. */
export function settled() {
  const fleet = family();
  expect(fleet.hub.run(home("config/", "hub"))).toMatchObject({ ok: true });
  fleet.all();
  return fleet;
}
