/** Whether a child, or a parent, goes on with the ledger of which we hold a part (L3). */
import { equalBytes } from "../bytes.ts";
import type { Revision } from "../ids.ts";
import { PARTITION, revision } from "../ids.ts";
import { hashesAlong } from "../ledger/chain.ts";
import { beginningOf, chainedTo, spanAt } from "../ledger/lineage.ts";
import { firstRevision, lastRevision } from "../ledger/link-item.ts";
import type { LinkItem } from "../ledger/record.ts";
import type { Sha256 } from "../ports.ts";
import type { SystemCommand } from "./command.ts";
import { type LedgerLinkRow, markOf } from "./link-rows.ts";
import { type Refusal, refused } from "./outcome.ts";
import type { Transaction } from "./transaction.ts";

export type ImportLedger = Extract<SystemCommand, { kind: "importLedger" }>;

/**
 * L3: what the sender has up to our cursor is what we took. Its items above would not tell: a skip's hash is taken over,
 * whatever it follows.
 */
export function partedBelow(
  sha256: Sha256,
  row: LedgerLinkRow,
  { side, cluster, items, after }: ImportLedger,
): Refusal | null {
  const [first] = items;
  if (first === undefined || row.cursor === 0) return null;
  // A parent's connection begins where both ends agree, and its runs follow each other.
  if (side === "parent" && after === null) return null;
  const below = items.filter((item) => lastRevision(item) <= row.cursor);
  const next = items[below.length];
  if (next !== undefined && firstRevision(next) <= row.cursor)
    return refused("GAP", `a skip from ${firstRevision(next)} on runs over ${row.cursor}`);
  const at = revision(firstRevision(first) - 1);
  // What a ledger begins with need not be told.
  const follows = at === 0 ? beginningOf(sha256, cluster, PARTITION, row) : after;
  if (follows === null)
    return below.length === 0 ? null : refused("GAP", `an overlap from ${at + 1} on that follows nothing known`);
  const span = spanAt(row, at + 1);
  const before = span === null ? follows : chainedTo(sha256, cluster, PARTITION, span.epoch, at, follows);
  const hash = below.length === 0 ? follows : hashesAlong(sha256, before, PARTITION, below).at(-1);
  return hash === undefined || equalBytes(hash, row.hash)
    ? null
    : refused("FORK", `another hash at ${row.cursor}, which was taken`);
}

/**
 * L3: after a restore no link tells what was taken of the sender, and what is at or below its mark would be known unseen. The
 * record of the mark is in its ledger, too, or it is another ledger.
 */
export function otherThanTaken(
  tx: Transaction,
  { side, cluster, epoch }: ImportLedger,
  cursor: Revision,
  items: readonly LinkItem[],
  leaves: readonly (Uint8Array | null)[],
): Refusal | null {
  const record = markOf(tx, { cluster, epoch: epoch.nonce })?.record ?? null;
  if (record === null || record.revision <= cursor) return null;
  const place = items.findIndex((item) => lastRevision(item) >= record.revision);
  const item = items[place];
  // A parent skips what is not subscribed to any more; a child tells of all that it wrote.
  if (item === undefined || (item.kind === "skip" && side === "parent")) return null;
  const leaf = leaves[place] ?? null;
  return leaf !== null && equalBytes(leaf, record.leaf)
    ? null
    : refused("FORK", `another record at ${record.revision}, which was taken`);
}
