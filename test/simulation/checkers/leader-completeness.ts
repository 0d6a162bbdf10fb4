/**
 * Leader completeness and state machine safety (paper, figure 3): what was applied anywhere is on the disk of every later
 * leader, and nobody applies another entry at that index. A leader's first message leaves after the write of its own
 * vote, so all that it had before is on its disk by then.
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { NodeId, Term } from "@openclaw/core/ids.ts";
import type { StoredLog } from "@openclaw/core/ports.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";

export class LeaderCompleteness {
  /** Committed entries by index. */
  readonly #committed: Entry[] = [];
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  applied(node: NodeId, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const known = this.#committed[entry.index];
      if (known === undefined) this.#committed[entry.index] = entry;
      else if (known !== entry && (known.term !== entry.term || !equalBytes(known.data, entry.data)))
        this.#violation(`${node} applied another entry at ${entry.index}: of term ${entry.term}, not ${known.term}`);
    }
  }

  /** `node` leads from now on. */
  leads(node: NodeId, term: Term, { base, entries }: StoredLog): void {
    for (let at = base.index + 1; at < this.#committed.length; at++) {
      const committed = this.#committed[at];
      const held = entries[at - base.index - 1];
      if (committed === undefined || (held !== undefined && held.term === committed.term)) continue;
      const found = held === undefined ? "not there" : `of term ${held.term}`;
      return this.#violation(
        `${node} leads in term ${term}, and committed entry ${at} of term ${committed.term} is ${found}`,
      );
    }
  }
}
