/**
 * A record of another cluster's ledger that was taken here, by its leaf (L3). Who goes on with that ledger has the very same
 * record there, or it is another ledger. That tells also where no hash of the chain is known any more, as after a restore
 * without links.
 */
import { type Encodable, TupleReader } from "../codec.ts";
import { isNonce, type Revision, revision } from "../ids.ts";
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
