/** What was applied last: a link that is level with the ledger need not have it read back. */
import { type Revision, revision } from "../ids.ts";
import type { LedgerSlice } from "../ports.ts";
import type { LedgerAdvance } from "../replica/contract.ts";

/** Revisions of one batch that are shipped as they were told: many are read from the disk while others are on their way. */
const REVISIONS_MAX = 64;

export class LedgerNews {
  #last: { readonly after: Revision; readonly advance: LedgerAdvance } | null = null;
  #seen = revision(0);

  /** @param seen where the ledger ends when it begins to be followed */
  begin(seen: Revision): void {
    this.#seen = seen;
  }

  advanced(advance: LedgerAdvance): void {
    this.#last = { after: this.#seen, advance };
    this.#seen = advance.revision;
  }

  /** What follows `after`; null where that is not what was applied last, or is more than `maxBytes`. */
  after(after: number, maxBytes: number): LedgerSlice | null {
    const last = this.#last;
    if (last?.after !== after || last.advance.revision - after > REVISIONS_MAX) return null;
    const { records, revision: newest } = last.advance;
    const bytes = records.reduce((sum, { record }) => sum + record.length, 0);
    return records[0]?.revision === after + 1 && bytes <= maxBytes ? { records, revision: newest } : null;
  }
}
