/** Majorities of one set of voters (paper §5). A joint configuration becomes two of these. */
import { type Index, index, type NodeId } from "../ids.ts";
import type { Membership } from "./message.ts";

export type Tally = "won" | "lost" | "pending";

export class Quorum {
  readonly voters: readonly NodeId[];
  readonly #ids: ReadonlySet<NodeId>;

  constructor(membership: Membership) {
    this.voters = membership.voters;
    this.#ids = new Set(membership.voters);
  }

  get majority(): number {
    return Math.floor(this.voters.length / 2) + 1;
  }

  has(id: NodeId): boolean {
    return this.#ids.has(id);
  }

  /** Whether those who pass `test` are a majority. */
  reached(test: (voter: NodeId) => boolean): boolean {
    let count = 0;
    for (const voter of this.voters) if (test(voter)) count++;
    return count >= this.majority;
  }

  tally(votes: ReadonlyMap<NodeId, boolean>): Tally {
    if (this.reached((voter) => votes.get(voter) === true)) return "won";
    const open = this.reached((voter) => votes.get(voter) !== false);
    return open ? "pending" : "lost";
  }

  /** The highest index that a majority holds, given what each voter holds; 0 without voters. */
  held(match: (voter: NodeId) => Index): Index {
    const matches = this.voters.map(match).sort((a, b) => b - a);
    return matches[this.majority - 1] ?? index(0);
  }
}
