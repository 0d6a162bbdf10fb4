/**
 * Log matching (paper, figure 3): if two logs hold an entry of one index and term, they are the same up to it. By
 * induction it is enough that entries of one index and term are equal and follow an entry of one term.
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { NodeId, Term } from "@openclaw/core/ids.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";

interface Seen {
  readonly entry: Entry;
  /** Of the entry before it, once that is known. */
  previous: Term | null;
}

/** More terms than a run has. */
const TERMS = 65_536;

export class LogMatching {
  readonly #seen = new Map<number, Seen>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** These entries are on the disk of `node`, one after the other. */
  logged(node: NodeId, entries: readonly Entry[]): void {
    let previous: Term | null = null;
    for (const entry of entries) {
      const name = entry.index * TERMS + entry.term;
      const seen = this.#seen.get(name);
      if (seen === undefined) this.#seen.set(name, { entry, previous });
      else this.#compare(node, entry, previous, seen);
      previous = entry.term;
    }
  }

  #compare(node: NodeId, entry: Entry, previous: Term | null, seen: Seen): void {
    const where = `entry ${entry.index} of term ${entry.term} at ${node}`;
    if (entry.kind !== seen.entry.kind || !equalBytes(entry.data, seen.entry.data)) {
      this.#violation(`${where} is another one elsewhere`);
    }
    if (previous === null) return;
    seen.previous ??= previous;
    if (seen.previous !== previous) {
      this.#violation(`${where} follows an entry of term ${previous}, elsewhere one of term ${seen.previous}`);
    }
  }
}
