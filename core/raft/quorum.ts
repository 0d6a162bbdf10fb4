/**
 * Majorities (paper §5). In a joint configuration a decision needs one of the old voters and one of the new ones
 * (thesis §4.3).
 */
import { type Index, index, type NodeId } from "../ids.ts";
import type { Membership } from "./membership.ts";

export type Tally = "won" | "lost" | "pending";

export class Quorum {
  /** Old and new ones of a joint configuration, each once. */
  readonly voters: readonly NodeId[];
  /** Voters and learners: whoever gets the log. */
  readonly members: readonly NodeId[];
  readonly #majorities: readonly (readonly NodeId[])[];
  readonly #voters: ReadonlySet<NodeId>;
  readonly #members: ReadonlySet<NodeId>;

  constructor({ voters, outgoing, learners }: Membership) {
    this.#majorities = outgoing.length === 0 ? [voters] : [voters, outgoing];
    this.#voters = new Set([...voters, ...outgoing]);
    this.voters = [...this.#voters];
    this.#members = new Set([...this.#voters, ...learners.map(({ id }) => id)]);
    this.members = [...this.#members];
  }

  has(voter: NodeId): boolean {
    return this.#voters.has(voter);
  }

  hasMember(id: NodeId): boolean {
    return this.#members.has(id);
  }

  /** Whether those who pass `test` are a majority. */
  reached(test: (voter: NodeId) => boolean): boolean {
    return this.#majorities.every((voters) => count(voters, test) >= majority(voters));
  }

  tally(votes: ReadonlyMap<NodeId, boolean>): Tally {
    if (this.reached((voter) => votes.get(voter) === true)) return "won";
    const open = this.reached((voter) => votes.get(voter) !== false);
    return open ? "pending" : "lost";
  }

  /** The highest index that a majority holds, given what each voter holds; 0 without voters. */
  held(match: (voter: NodeId) => Index): Index {
    let least = Number.MAX_SAFE_INTEGER;
    for (const voters of this.#majorities) {
      const matches = voters.map(match).sort((a, b) => b - a);
      least = Math.min(least, matches[majority(voters) - 1] ?? 0);
    }
    return index(least);
  }
}

const majority = (voters: readonly NodeId[]): number => Math.floor(voters.length / 2) + 1;

function count(voters: readonly NodeId[], test: (voter: NodeId) => boolean): number {
  let passing = 0;
  for (const voter of voters) if (test(voter)) passing++;
  return passing;
}
