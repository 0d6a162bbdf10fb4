/**
 * Rule R5: a node that once had an entry on disk and has it no longer is not whole. Somebody may have counted on that
 * entry, so until the log is on disk up to `target` again, as a leader sends it, the node
 *
 * - does not campaign, and grants a pre-vote or vote only to a log that reaches as far as its own ever did, whatever
 *   was lost of it: the comparison of logs (paper §5.4.1) then says of both what it says of whole ones;
 * - answers appends with `appendUncounted`, which a leader does not count towards a commit;
 * - confirms no ReadIndex round (it may have forgotten a later term, too).
 *
 * Evidence is the log store's high-water mark, the stored commit, and a leader whose heartbeat names an entry that this
 * node acknowledged to it (heartbeat `match`, `matchTerm`).
 */
import type { Index, Term } from "../ids.ts";

export class Recovery {
  #target: Index | null;
  /** No lost entry is of a later term. 0: that was lost, too. */
  #term: Term;

  /** @param term of the stored hard state, which is durable in two places before any entry of it is */
  constructor(evidence: Index, lastIndex: Index, term: Term) {
    this.#target = evidence > lastIndex ? evidence : null;
    this.#term = term;
  }

  /** Null when this node is whole. */
  get target(): Index | null {
    return this.#target;
  }
  get active(): boolean {
    return this.#target !== null;
  }

  /** Somebody knows that this node had the log up to `upTo`, in no later term than this one. */
  lost(upTo: Index, term: Term): void {
    if (this.#target === null || upTo > this.#target) this.#target = upTo;
    if (term > this.#term) this.#term = term;
  }

  /** Whether a log that ends like this is at least as up-to-date as this node's was before it lost entries. */
  isReached(lastIndex: Index, lastTerm: Term): boolean {
    if (this.#target === null) return true;
    if (this.#term === 0) return false;
    return lastTerm > this.#term || (lastTerm === this.#term && lastIndex >= this.#target);
  }

  /** Whether an acknowledgement of the log up to `match` would come from a whole node. */
  covers(match: Index): boolean {
    return this.#target === null || match >= this.#target;
  }

  durable(upTo: Index): void {
    if (this.#target !== null && upTo >= this.#target) this.#target = null;
  }
}
