/** What was applied last, for a link that is level with the ledger: an event alone is shipped without being read back. */
import { type Revision, revision } from "../ids.ts";
import type { LedgerSlice } from "../ports.ts";
import type { LedgerAdvance } from "../replica/contract.ts";
import type { Replica } from "../replica.ts";

/** More than so many revisions are read from the disk, while others are on their way. */
const REVISIONS_MAX = 64;

export class LedgerNews {
  readonly #replica: Pick<Replica, "ledger" | "position">;
  #seen: Revision = revision(0);
  #last: { readonly after: Revision; readonly advance: LedgerAdvance } | null = null;

  constructor(replica: Pick<Replica, "ledger" | "position">) {
    this.#replica = replica;
  }

  begin(): void {
    this.#seen = this.#replica.position().revision;
  }

  advanced(advance: LedgerAdvance): void {
    this.#last = { after: this.#seen, advance };
    this.#seen = advance.revision;
  }

  position(): ReturnType<Replica["position"]> {
    return this.#replica.position();
  }

  /** As the replica's own. @throws OpenClawError COMPACTED, OVERLOADED */
  async ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    return this.#told(from, maxBytes) ?? this.#replica.ledger(from, maxBytes);
  }

  #told(from: Revision, maxBytes: number): LedgerSlice | null {
    const last = this.#last;
    if (last?.after !== from - 1 || last.advance.revision - last.after > REVISIONS_MAX) return null;
    const { records, revision: newest } = last.advance;
    const bytes = records.reduce((sum, { record }) => sum + record.length, 0);
    return records[0]?.revision === from && bytes <= maxBytes ? { records, revision: newest } : null;
  }
}
