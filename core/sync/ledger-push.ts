/** A run of a site's ledger as it is pushed. */
import { OpenClawError } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { spanAt } from "../ledger/lineage.ts";
import { type BeforeParent, selectForParent } from "../ledger/selection.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import type { LedgerSlice, Sha256 } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { Push } from "./child-link.ts";
import { isBare } from "./run.ts";

/** A revision of ours, and the ledger's hash there. */
export interface LedgerEnd {
  readonly revision: Revision;
  readonly hash: Uint8Array;
}

export interface LedgerPush extends Push {
  readonly end: LedgerEnd;
  /** L1: it brings the parent nothing, and nothing is behind it. */
  readonly idle: boolean;
}

interface LedgerPushing extends BeforeParent {
  readonly replica: Pick<Replica, "ledger" | "position">;
  readonly parent: ClusterId;
  readonly sha256: Sha256;
}

/**
 * What follows `after` of a slice that begins there, and not past where an epoch departed (L3). Null: nothing is there yet.
 * @param pushed what was pushed last, or what the parent said that it has: spares a look into the ledger
 */
export async function ledgerPush(
  { replica, parent, sha256, addressed, former }: LedgerPushing,
  after: Revision,
  pushed: LedgerEnd | null,
  slice: LedgerSlice,
): Promise<LedgerPush | null> {
  const to = spanAt(replica.position(), after + 1)?.to ?? Number.POSITIVE_INFINITY;
  const records = slice.records.slice(0, BATCH_ITEMS_MAX).filter((record) => record.revision <= to);
  const last = records.at(-1);
  if (last === undefined) return null;
  const items = selectForParent(records, parent, sha256, { addressed, former });
  const before = pushed?.revision === after ? pushed.hash : await hashAt(replica, after);
  return {
    to: last.revision,
    message: { kind: "pushLedger", items, hash: last.hash, after: before },
    end: { revision: last.revision, hash: last.hash },
    idle: isBare(items) && last.revision === slice.revision,
  };
}

/** Null where it is no longer kept, and at the beginning, which the epoch tells. */
async function hashAt(replica: LedgerPushing["replica"], at: Revision): Promise<Uint8Array | null> {
  if (at === 0) return null;
  try {
    const { records } = await replica.ledger(at, 1);
    return records[0]?.revision === at ? records[0].hash : null;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
    throw error;
  }
}
