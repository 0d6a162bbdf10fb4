/** A run of a site's ledger as it is pushed. */
import type { ClusterId, Revision } from "../ids.ts";
import { spanAt } from "../ledger/lineage.ts";
import { selectForParent } from "../ledger/selection.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { Push } from "./child-link.ts";
import { isBare } from "./run.ts";

export interface LedgerPush extends Push {
  /** L1: it brings the parent nothing, and nothing is behind it. */
  readonly idle: boolean;
}

/** From `from` on, about `maxBytes` of it, and not past where an epoch departed (L3). Null: nothing is there yet. */
export async function ledgerPush(
  { replica, parent, sha256 }: LedgerPushing,
  from: Revision,
  maxBytes: number,
): Promise<LedgerPush | null> {
  const slice = await replica.ledger(from, maxBytes);
  const to = spanAt(replica.position(), from)?.to ?? Number.POSITIVE_INFINITY;
  const records = slice.records.slice(0, BATCH_ITEMS_MAX).filter((record) => record.revision <= to);
  const last = records.at(-1);
  if (last === undefined) return null;
  const items = selectForParent(records, parent, sha256);
  const message = { kind: "pushLedger", items, hash: last.hash } as const;
  return { to: last.revision, message, idle: isBare(items) && last.revision === slice.revision };
}

interface LedgerPushing {
  readonly replica: Pick<Replica, "ledger" | "position">;
  readonly parent: ClusterId;
  readonly sha256: Sha256;
}
