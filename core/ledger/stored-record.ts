import type { Revision } from "../ids.ts";

export interface StoredRecord {
  readonly revision: Revision;
  /** An encoded LedgerRecord. */
  readonly record: Uint8Array;
  /** The ledger's hash at this revision. */
  readonly hash: Uint8Array;
}
