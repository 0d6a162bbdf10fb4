/**
 * What a restored state holds besides its content: where it stands, the leases that its keys have, and whose the homes are
 * that a parent declared. Of sessions, links and members it knows nothing. Who goes on with a session or a link of the epoch
 * before is told SESSION_EXPIRED, whatever its window held (Q1); and the members are others.
 */
import type { ClusterId, LeaseId, Lineage, Revision } from "../ids.ts";
import { isClusterId, revision as revisionOf } from "../ids.ts";
import { homesOf } from "./homes.ts";
import { keyRow } from "./key-rows.ts";
import { ANCESTORS_KEY, keyOfRow, keyRange, leaseKeyKey, POSITION_KEY } from "./keyspace.ts";
import { EVENT_OVERHEAD_BYTES, type LeaseRow, markRow, writeLease } from "./lease-rows.ts";
import { linkTowards, noteParent } from "./link-rows.ts";
import { noteLeftOver } from "./moving.ts";
import { ancestorsRow, positionRow } from "./position.ts";
import { Transaction } from "./transaction.ts";
import type { StateView, Write } from "./view.ts";

export interface Restored {
  readonly cluster: ClusterId;
  /** Its present epoch is the new one, which departed from the one before at `revision`. */
  readonly lineage: Lineage;
  readonly revision: Revision;
  /** The ledger's hash there. */
  readonly hash: Uint8Array;
  readonly applyVersion: number;
  /** The revision of the base that it was made from, whose record is the first one kept; 0 where it has the whole ledger. */
  readonly compacted: Revision;
  /** Each lease of a key lives for its whole time again, from the restored cluster's first moment on. */
  readonly lease: (lease: LeaseId) => Pick<LeaseRow, "ttlMs" | "wallDue" | "salt">;
}

/** The rows to add to those of the content, which `view` holds. */
export function restoredWrites(view: StateView, restored: Restored): Write[] {
  const tx = new Transaction(view);
  const leases = new Map<LeaseId, { keys: number; eventBytes: number }>();
  const { from, to } = keyRange(null, new Uint8Array(0), null);
  for (const { key: row, value } of tx.rows(from, to, keyRow)) {
    if (value.lease === null) continue;
    const key = keyOfRow(null, row);
    const { keys, eventBytes } = leases.get(value.lease) ?? { keys: 0, eventBytes: 0 };
    leases.set(value.lease, { keys: keys + 1, eventBytes: eventBytes + EVENT_OVERHEAD_BYTES + key.length });
    tx.write(leaseKeyKey(value.lease, key), markRow, null);
  }
  let nextDue: number | null = null;
  for (const [lease, held] of leases) {
    const row = restored.lease(lease);
    const due = row.ttlMs;
    writeLease(tx, lease, { ...row, ...held, due }, undefined);
    if (nextDue === null || due < nextDue) nextDue = due;
  }
  noteLeftOver(tx);
  const parent = lastParent(tx);
  if (parent !== null) noteParent(tx, parent, revisionOf(0));
  const { cluster, lineage, revision, hash, applyVersion, compacted } = restored;
  tx.write(ANCESTORS_KEY, ancestorsRow, lineage.ancestors);
  const position = { cluster, epoch: lineage.epoch, revision, hash, logTime: 0, applyVersion, nextDue, compacted };
  tx.write(POSITION_KEY, positionRow, position);
  return tx.writes();
}

/**
 * Whose homes these are: of a parent that was left none stay (Q3). An owner may be above it, so that the link counts that
 * brought what the owner wrote. Null: nobody declared any, or what the owner wrote never came.
 */
function lastParent(tx: Transaction): ClusterId | null {
  for (const { owner } of homesOf(tx).rows) {
    const link = owner === null ? null : linkTowards(tx, owner);
    if (isClusterId(link)) return link;
  }
  return null;
}
