/**
 * Leader completeness and state machine safety (paper, figure 3): what was applied anywhere is on the disk of every later
 * leader, and nobody applies another entry at that index. A leader's first message leaves after the write of its own
 * vote, so all that it had before is on its disk by then.
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import { type NodeId, type Term, term } from "@openclaw/core/ids.ts";
import type { StoredLog } from "@openclaw/core/ports.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";

export class LeaderCompleteness {
  /** Committed entries by index, with the latest term that had a leader when the entry was first applied. */
  readonly #committed: { readonly entry: Entry; readonly by: Term }[] = [];
  #latest: Term = term(0);
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  applied(node: NodeId, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const known = this.#committed[entry.index];
      if (known === undefined) this.#committed[entry.index] = { entry, by: this.#latest };
      else if (known.entry !== entry && (known.entry.term !== entry.term || !equalBytes(known.entry.data, entry.data)))
        this.#violation(
          `${node} applied another entry at ${entry.index}: of term ${entry.term}, not ${known.entry.term}`,
        );
    }
  }

  /** `node` leads from now on. */
  leads(node: NodeId, ofTerm: Term, { base, entries }: StoredLog): void {
    if (ofTerm > this.#latest) this.#latest = ofTerm;
    for (let at = base.index + 1; at < this.#committed.length; at++) {
      const known = this.#committed[at];
      // A vote may arrive late, and make a leader of a term that is over: it need not know what came after (§3.6.3).
      if (known === undefined || known.by > ofTerm) continue;
      const { entry: committed } = known;
      const held = entries[at - base.index - 1];
      if (held !== undefined && held.term === committed.term) continue;
      const found = held === undefined ? "not there" : `of term ${held.term}`;
      return this.#violation(
        `${node} leads in term ${ofTerm}, and committed entry ${at} of term ${committed.term} is ${found}`,
      );
    }
  }
}
