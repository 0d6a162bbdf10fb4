/**
 * Rule R5: a node that once had an entry on disk and has it no longer is not whole. Somebody may have counted on that
 * entry, so until the log is on disk up to `target` again, as a leader sends it, the node
 *
 * - does not campaign, and grants neither pre-vote nor vote;
 * - answers appends with `appendUncounted`, which a leader does not count towards a commit;
 * - confirms no ReadIndex round (it may have forgotten a later term, too).
 *
 * Evidence is the log store's high-water mark, the stored commit, and a leader whose heartbeat names an entry that this
 * node acknowledged to it (heartbeat `match`, `matchTerm`).
 */
import type { Index } from "../ids.ts";

export class Recovery {
  #target: Index | null;

  constructor(evidence: Index, lastIndex: Index) {
    this.#target = evidence > lastIndex ? evidence : null;
  }

  /** Null when this node is whole. */
  get target(): Index | null {
    return this.#target;
  }
  get active(): boolean {
    return this.#target !== null;
  }

  /** Somebody knows that this node had the log up to `upTo`. */
  lost(upTo: Index): void {
    if (this.#target === null || upTo > this.#target) this.#target = upTo;
  }

  /** Whether an acknowledgement of the log up to `match` would come from a whole node. */
  covers(match: Index): boolean {
    return this.#target === null || match >= this.#target;
  }

  durable(upTo: Index): void {
    if (this.#target !== null && upTo >= this.#target) this.#target = null;
  }
}
