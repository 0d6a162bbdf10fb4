/**
 * How far the parent's ledger was known where a command was queued (Q2): which moves of homes whoever queued it had heard of,
 * and did not answer by running it.
 */
import { type ClusterId, linkOfCluster, type Revision, revision } from "../ids.ts";
import { epochsOf, isOf, knownOf } from "../ledger/lineage.ts";
import type { Seen } from "../ledger/record.ts";
import { ANCESTORS_KEY, ledgerLinkKey, originMarksOf } from "./keyspace.ts";
import { ledgerLinkRow, markOf, markRow, parentOf } from "./link-rows.ts";
import { newestMarks } from "./origins.ts";
import { ancestorsRow, type PositionRow } from "./position.ts";
import type { Transaction } from "./transaction.ts";

/** By its link, or what came of it: after a restore the link begins anew, or there is none (L4). Null until it told something. */
export function seenOfParent(tx: Transaction): Seen | null {
  const cluster = parentOf(tx);
  if (cluster === null) return null;
  const link = tx.read(ledgerLinkKey(linkOfCluster(cluster)), ledgerLinkRow);
  if (link === undefined) return lastMark(tx, cluster);
  let last = link.cursor;
  for (const { nonce } of epochsOf(link)) {
    const { mark } = markOf(tx, { cluster, epoch: nonce }) ?? { mark: last };
    if (mark > last && isOf(link, { epoch: nonce, revision: mark })) last = mark;
  }
  return { epoch: link.epoch.nonce, revision: last };
}

/** Of the epoch that was followed last. */
function lastMark(tx: Transaction, cluster: ClusterId): Seen | null {
  const { from, to } = originMarksOf(cluster);
  const [newest] = newestMarks(tx.rows(from, to, markRow));
  return newest === undefined ? null : { epoch: newest.epoch, revision: newest.mark };
}

/** How much that is of our ledger: where another life of ours was known, what both have. */
export function seenOfOurs(tx: Transaction, { epoch }: Pick<PositionRow, "epoch">, seen: Seen | null): Revision {
  if (seen === null) return revision(0);
  return knownOf({ epoch, ancestors: tx.read(ANCESTORS_KEY, ancestorsRow) ?? [] }, seen);
}
