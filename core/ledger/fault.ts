/** What a check of a ledger finds (verify.ts). */
import type { Revision } from "../ids.ts";

/**
 * - `unreadable`: what is stored does not decode
 * - `order`: another revision stands where this one should; it is missing, or stands elsewhere
 * - `record`: the record's bytes are not those that were hashed
 * - `hash`: the stored hash is not that of the record, and what follows was chained to the right one
 * - `chain`: record and hash do not agree, and nothing that follows tells which of them is wrong
 * - `position`: the state's own row says that the ledger ends elsewhere, or under another hash
 */
export type LedgerFaultKind = (typeof LEDGER_FAULTS)[number];

export const LEDGER_FAULTS = ["unreadable", "order", "record", "hash", "chain", "position"] as const;

export interface LedgerFault {
  readonly revision: Revision;
  readonly kind: LedgerFaultKind;
  readonly details: string;
}
