/** Who leads, as this replica knows it: notices changes and tells of them. */
import type { NodeId, Term } from "../ids.ts";
import type { Raft } from "../raft/raft.ts";
import type { Role } from "../raft/ready.ts";
import type { ReplicaStatus } from "./contract.ts";

export class Leadership {
  readonly #listeners = new Set<(status: ReplicaStatus) => void>();
  #role: Role = "follower";
  #leader: NodeId | null = null;
  #term: Term | null = null;

  follow(listener: (status: ReplicaStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at Raft; true when there is another leader than before, to whom everything must be offered again. */
  note(raft: Raft, status: () => ReplicaStatus): boolean {
    if (raft.role === this.#role && raft.leader === this.#leader && raft.term === this.#term) return false;
    const another = raft.leader !== null && (raft.leader !== this.#leader || raft.term !== this.#term);
    this.#role = raft.role;
    this.#leader = raft.leader;
    this.#term = raft.term;
    const now = status();
    for (const listener of this.#listeners) listener(now);
    return another;
  }
}
