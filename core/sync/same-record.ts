/** What another cluster has of our ledger, compared with what is in it (L3). */
import { equalBytes } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { Lineage, Revision } from "../ids.ts";
import { leafHash } from "../ledger/chain.ts";
import { isOf } from "../ledger/lineage.ts";
import type { Witness } from "../ledger/witness.ts";
import type { LedgerSlice, Sha256 } from "../ports.ts";

/** Of those that are about this life of the ledger, the last one above a revision. */
export const lastOf = (witnesses: readonly Witness[], lineage: Lineage, above: number): Witness | null =>
  witnesses.reduce<Witness | null>(
    (last, one) => (one.revision > (last?.revision ?? above) && isOf(lineage, one) ? one : last),
    null,
  );

/** Our own ledger; what it holds is applied here by now. */
export interface OwnLedger {
  position(): Lineage & { readonly revision: Revision };
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice>;
}

/**
 * Compares what another cluster has of our ledger. What is of another life of it, or compacted here, tells nothing.
 * @throws OpenClawError FORK
 */
export async function requireSame(own: OwnLedger, sha256: Sha256, witness: Witness): Promise<void> {
  const { revision: at, leaf } = witness;
  const position = own.position();
  if (!isOf(position, witness)) return;
  if (at > position.revision)
    throw new OpenClawError("FORK", `the other end has revision ${at}, this cluster ends at ${position.revision}`);
  const record = await recordAt(own, at);
  if (record !== null && !equalBytes(leafHash(sha256, record), leaf))
    throw new OpenClawError("FORK", `the other end has another record of this cluster's revision ${at}`);
}

async function recordAt(own: OwnLedger, at: Revision): Promise<Uint8Array | null> {
  try {
    const { records } = await own.ledger(at, 1);
    return records[0]?.revision === at ? records[0].record : null;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
    throw error;
  }
}
