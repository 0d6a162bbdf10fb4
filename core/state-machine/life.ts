/** Lives of a cluster whose ledger a link does not follow (L3): one that was refused, one that was left. */
import type { ErrorCode } from "../errors.ts";
import type { Epoch, Lineage, Revision } from "../ids.ts";

/** A life that was refused, and may be chosen. */
export interface Contender extends Lineage {
  /** Where it stood when it was refused first. */
  readonly revision: Revision;
  /** What it was refused with. */
  readonly code: ErrorCode;
}

/** What was taken of a life that an operator decided against. The records stay in our ledger. */
export interface LeftLife {
  readonly epoch: Epoch;
  /** Its revisions that were put aside. */
  readonly from: Revision;
  readonly to: Revision;
  /** Its ledger hash at `to`. */
  readonly hash: Uint8Array;
  /** Our revision at which it was decided. */
  readonly at: Revision;
}
