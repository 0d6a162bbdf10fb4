/** What Raft asks of its driver, and the order in which it must be done. */
import type { Index, NodeId, Term } from "../ids.ts";
import type { Membership } from "./membership.ts";
import type { Entry, HardState, RaftMessage, SnapshotMeta } from "./message.ts";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** A follower that asked for a state, as of this index or later, because its own is wrong. */
export interface StateRequest {
  readonly to: NodeId;
  readonly atLeast: Index;
}

export interface ReadState {
  /** The number given to `readIndex`. */
  readonly context: number;
  /** A local read is linearizable once this index is applied. */
  readonly index: Index;
}

/**
 * One round of work. The ordering contract:
 *
 * 1. `messages` may leave at once: a leader's appends (thesis §10.2.1), heartbeats, requests for a (pre-)vote whose own
 *    vote is already durable, ReadIndex traffic.
 * 2. `snapshot`, if any, is installed first (rule R8), then reported with `snapshotInstalled`. Until then other
 *    snapshots and appends are ignored; the rest of Raft goes on, so later Readys may be taken meanwhile.
 * 3. `hardState` and `entries` go to disk in one record; entries replace everything at and above their first index.
 *    When they are durable: send `afterDurable`, then call `durable({term, index})` with the values of `persisted`.
 *    Votes, and every response, are in `afterDurable` (rule R2). Writes may be in flight while later Readys are taken;
 *    they complete in order, and each is reported once. A Ready that writes nothing has nothing in `afterDurable`: what
 *    waits for a write in flight comes as `messages` after its report.
 * 4. `committed` is applied in order; `applied(index)` reports it.
 */
export interface Ready {
  readonly messages: readonly RaftMessage[];
  readonly snapshot: SnapshotMeta | null;
  /** The snapshot takes the place of a wrong state, and the log goes on after it: it is not reset (state-loss.ts). */
  readonly logStays: boolean;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly afterDurable: readonly RaftMessage[];
  /**
   * The end of the write; null when nothing has to be written. Its report vouches only for what no later write
   * replaces (R2, pitfall 11).
   */
  readonly persisted: { readonly term: Term; readonly index: Index } | null;
  readonly committed: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /**
   * ReadIndex contexts that were dropped (the leader changed, or too many wait): ask again. Without a leader they
   * wait.
   */
  readonly readsDropped: readonly number[];
  /**
   * Followers that need a snapshot because the log no longer reaches back to them. Report with `snapshotSent` or
   * `snapshotFailed`.
   */
  readonly snapshotsTo: readonly NodeId[];
  /** Followers that asked for a snapshot because their state is wrong; nothing is to be reported of those. */
  readonly statesTo: readonly StateRequest[];
  /** Command batches forwarded by followers, for this leader to propose. */
  readonly forwarded: readonly Uint8Array[];
}

export interface RaftStatus {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly leader: NodeId | null;
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  readonly commit: Index;
  readonly applied: Index;
  /** R5: the index this node must reach before it votes or acknowledges; null when it is whole. */
  readonly recoveringTo: Index | null;
  /** The state is wrong; a snapshot of this index or later is to take its place. Null: it is as it should be. */
  readonly stateNeeded: Index | null;
  /** The latest in the log, committed or not. */
  readonly membership: Membership;
  /** The last committed one that this node knows of. */
  readonly committedMembership: Membership;
  /** This node is no member any more, by its log or by a member's word (R10). */
  readonly removed: boolean;
  /** A leader's: who is to take over (thesis §3.10). */
  readonly transferringTo: NodeId | null;
  /** A leader's view of each member; empty elsewhere. */
  readonly progress: readonly { readonly id: NodeId; readonly match: Index; readonly active: boolean }[];
}
