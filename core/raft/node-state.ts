/** What the parts of one Raft node share. Term, vote, role and leader change in election.ts only. */
import type { Index, NodeId, Term } from "../ids.ts";
import type { Configurations } from "./configurations.ts";
import { Durability } from "./durability.ts";
import type { RaftLog } from "./log.ts";
import type { HardState, RaftMessage, StateMark } from "./message.ts";
import type { Quorum } from "./quorum.ts";
import type { Role } from "./ready.ts";
import type { Recovery } from "./recovery.ts";

export class NodeState {
  readonly id: NodeId;
  readonly log: RaftLog;
  readonly configurations: Configurations;
  readonly durability: Durability;
  readonly recovery: Recovery;
  term: Term;
  vote: NodeId | null;
  /** The state holds everything up to here. */
  applied: Index;
  role: Role = "follower";
  leader: NodeId | null = null;
  /** From when a snapshot replaced the log until it is installed: nothing else is written to the log, no campaign. */
  installing = false;
  /** The state is wrong, and a snapshot of this index or a later one is to take its place; null: it is as it should be. */
  stateNeeded: Index | null = null;
  /** What this node's state says of itself, for those who follow it; null: nothing is known of it. */
  mark: StateMark | null = null;
  /** Told that it is no member any more (R10): it campaigns no longer, unless a leader is heard after all. */
  removed = false;
  #messages: RaftMessage[] = [];

  constructor(
    id: NodeId,
    configurations: Configurations,
    hardState: HardState,
    log: RaftLog,
    applied: Index,
    recovery: Recovery,
  ) {
    this.id = id;
    this.configurations = configurations;
    this.log = log;
    this.applied = applied;
    this.recovery = recovery;
    this.durability = new Durability(id, log.lastIndex);
    this.term = hardState.term;
    this.vote = hardState.vote;
  }

  /** Of the latest configuration in the log. */
  get quorum(): Quorum {
    return this.configurations.quorum;
  }

  get hasMessages(): boolean {
    return this.#messages.length > 0;
  }

  envelope(to: NodeId): { readonly from: NodeId; readonly to: NodeId; readonly term: Term } {
    return { from: this.id, to, term: this.term };
  }

  /** Sends at once: only what rule R2 lets go before a write is durable. */
  send(message: RaftMessage): void {
    this.#messages.push(message);
  }

  /** Sends when everything up to now is durable. */
  answer(message: RaftMessage): void {
    this.durability.answer(message);
  }

  takeMessages(): readonly RaftMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  /**
   * Tells the leader that this node holds its log up to `match`, once that is on disk; uncounted while it recovers
   * (R5).
   */
  acknowledge(to: NodeId, match: Index): void {
    const kind = this.recovery.covers(match) ? "appendAccepted" : "appendUncounted";
    this.answer({ kind, ...this.envelope(to), match });
  }
}
