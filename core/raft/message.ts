/**
 * What Raft peers say to each other: one union, one kind a meaning (etcd's one struct for all is what we avoid).
 * Thesis: Ongaro, "Consensus: Bridging Theory and Practice", 2014.
 */
import type { Index, NodeId, Revision, Term } from "../ids.ts";
import type { Membership, MembershipChange } from "./membership.ts";

/** What an entry holds. Of commands Raft looks at the kind only. */
export type EntryKind = "noop" | "commands" | "configuration";

export interface Entry {
  readonly term: Term;
  readonly index: Index;
  readonly kind: EntryKind;
  /** Ms of log time since its leader's last entry (T1); 0 for a leader's first. */
  readonly stamp: number;
  /** A packed batch of commands, or a membership; empty for a no-op. */
  readonly data: Uint8Array;
}

/** What survives a restart besides the log (thesis figure 3.1). Written together, in one record (pitfall 9). */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId | null;
  /** A hint that speeds a restart up; safety never depends on it. */
  readonly commit: Index;
}

/** Where a snapshot ends. */
export interface SnapshotMeta {
  readonly index: Index;
  readonly term: Term;
  /** As of `index`: never an uncommitted configuration (pitfall 15). */
  readonly membership: Membership;
}

/** What the sender's state says of itself: Raft only carries it, and nothing that Raft decides depends on it (C3). */
export interface StateMark {
  readonly applied: Index;
  readonly revision: Revision;
  /** The beginning of the ledger's hash at that revision. */
  readonly hash: Uint8Array;
}

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: Term;
}

export type RaftMessage =
  /** Thesis §9.6. `term` is the term the sender would campaign in. */
  | (Envelope & { readonly kind: "preVote"; readonly lastIndex: Index; readonly lastTerm: Term })
  | (Envelope & { readonly kind: "preVoteResponse"; readonly granted: boolean })
  /** Thesis §3.4. `transfer`: the leader itself asked for this election (§3.10), so that hearing one is no reason to refuse. */
  | (Envelope & {
      readonly kind: "vote";
      readonly lastIndex: Index;
      readonly lastTerm: Term;
      readonly transfer: boolean;
    })
  | (Envelope & { readonly kind: "voteResponse"; readonly granted: boolean })
  /** Thesis §3.5. */
  | (Envelope & {
      readonly kind: "append";
      readonly prevIndex: Index;
      readonly prevTerm: Term;
      readonly entries: readonly Entry[];
      readonly commit: Index;
    })
  /** Everything up to `match` is on the sender's disk. */
  | (Envelope & { readonly kind: "appendAccepted"; readonly match: Index })
  /**
   * `hintIndex`, `hintTerm`: the sender's last entry whose term is at most `prevTerm`, so that the leader skips whole
   * terms.
   */
  | (Envelope & {
      readonly kind: "appendRejected";
      readonly prevIndex: Index;
      readonly hintIndex: Index;
      readonly hintTerm: Term;
    })
  /**
   * R5. The sender lost entries that it had once acknowledged. It holds the leader's log up to `match`, which is not to
   * be counted towards a commit; send what follows, one append at a time.
   */
  | (Envelope & { readonly kind: "appendUncounted"; readonly match: Index })
  /**
   * `match`, `matchTerm`: the last entry that the receiver has acknowledged to this leader. A receiver without that
   * entry has lost it (R5). `context`: the ReadIndex round to confirm, 0 for none (thesis §6.4).
   */
  | (Envelope & {
      readonly kind: "heartbeat";
      readonly match: Index;
      readonly matchTerm: Term;
      readonly commit: Index;
      readonly context: number;
      readonly mark: StateMark | null;
    })
  /** What is committed, of what the receiver is known to hold. No answer: the next heartbeat says it again. */
  | (Envelope & {
      readonly kind: "commit";
      readonly match: Index;
      readonly matchTerm: Term;
      readonly commit: Index;
    })
  /** `context` is the heartbeat's, or 0 from a sender that may confirm nothing. With a higher term: a refusal. */
  | (Envelope & { readonly kind: "heartbeatResponse"; readonly context: number })
  /** A snapshot that the receiver already holds whole, in its own staging area (the bytes travel apart). */
  | (Envelope & { readonly kind: "snapshot"; readonly meta: SnapshotMeta })
  /** The sender's state is wrong, its log is not: send it a snapshot as of this index or later. */
  | (Envelope & { readonly kind: "stateRequest"; readonly atLeast: Index })
  /** A follower asks its leader for a ReadIndex; `context` is the follower's own number. */
  | (Envelope & { readonly kind: "readIndex"; readonly context: number })
  | (Envelope & { readonly kind: "readIndexResponse"; readonly context: number; readonly index: Index })
  /**
   * Commands that a follower's callers propose. Lost when there is no leader: the proposer retries in its session
   * (Q1).
   */
  | (Envelope & { readonly kind: "forward"; readonly data: Uint8Array })
  /** A change of the membership that somebody asked of a follower. Lost like a forward; repeating it changes nothing. */
  | (Envelope & { readonly kind: "changeMembership"; readonly change: MembershipChange })
  /** Somebody asked a follower that leadership go to `target`. */
  | (Envelope & { readonly kind: "transferLeadership"; readonly target: NodeId })
  /** The leader's word to whom it hands over: campaign at once (thesis §3.10). */
  | (Envelope & { readonly kind: "timeoutNow" })
  /** To a candidate that is no member: the configuration at this index and of this term, committed, is without it (R10). */
  | (Envelope & { readonly kind: "removed"; readonly configuration: Index; readonly ofTerm: Term });

export type RaftMessageKind = RaftMessage["kind"];
