/**
 * A record of another cluster's ledger that was taken here, by its leaf (L3). Who goes on with that ledger has the very same
 * record there, or it is another ledger. That tells also where no hash of the chain is known any more, as after a restore
 * without links.
 */
import { equalBytes } from "../bytes.ts";
import { type Encodable, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { isNonce, type Lineage, type Revision, revision } from "../ids.ts";
import type { LedgerSlice, Sha256 } from "../ports.ts";
import { leafHash } from "./chain.ts";
import { spansOf } from "./lineage.ts";
import { readHash } from "./record-codec.ts";

export interface Witness {
  /** Nonce of the epoch that wrote it. */
  readonly epoch: string;
  readonly revision: Revision;
  /** H(salt, record without its salt), of the record as its own cluster has it (L2). */
  readonly leaf: Uint8Array;
}

export const witnessTuple = ({ epoch, revision: at, leaf }: Witness): Encodable => [epoch, at, leaf];

/** @throws OpenClawError MALFORMED_FRAME */
export function readWitness(value: Encodable): Witness {
  const reader = new TupleReader(value, "witness");
  const witness = {
    epoch: reader.that(isNonce, "a nonce"),
    revision: revision(reader.count()),
    leaf: readHash(reader),
  };
  reader.end();
  return witness;
}

/** True if that ledger holds a revision of that epoch there, or would, if it went so far. */
export const isOf = (lineage: Lineage, { epoch, revision: at }: Pick<Witness, "epoch" | "revision">): boolean =>
  spansOf(lineage).some((span) => span.epoch.nonce === epoch && span.after < at && (span.to === null || at <= span.to));

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
