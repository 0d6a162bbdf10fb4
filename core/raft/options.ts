/** What a Raft node starts from, and its limits. */
import type { Index, NodeId } from "../ids.ts";
import { BATCH_BYTES_MAX } from "../limits.ts";
import type { LogBase } from "../ports.ts";
import type { Membership, Refused } from "./membership.ts";
import type { Entry, HardState } from "./message.ts";

export interface RaftOptions {
  readonly id: NodeId;
  /** As of `applied`. */
  readonly membership: Membership;
  /** What the disk holds: base, then entries, and the hard state. */
  readonly hardState: HardState;
  readonly base: LogBase;
  readonly entries: readonly Entry[];
  /** What the state holds; at least the base, at most the last entry (R8: the driver resets the log otherwise). */
  readonly applied: Index;
  /** R5: an entry with this index was durable here once. */
  readonly recoverTo: Index;
  /** Uniform in [0, 1): election timeouts, first ReadIndex number. */
  readonly random: () => number;
  /** Monotonic ms: asked once for each entry that this node makes as leader (T1), and nowhere else. */
  readonly now: () => number;
  /** Why the group must not take this node in; null when it may. Default: it may. */
  readonly refusal?: (node: NodeId) => Refused | null;
  /** The least election timeout; default 10. */
  readonly electionTicks?: number;
  /** Default 1. */
  readonly heartbeatTicks?: number;
  /** Entries in one append, committed entries in one Ready; one entry may be larger. Default BATCH_BYTES_MAX. */
  readonly maxBatchBytes?: number;
  /** Unanswered appends to one follower; default 64. */
  readonly maxInflight?: number;
  /** Bytes in the log of a follower that its state does not hold yet; beyond it appends are ignored. Default 128 MiB. */
  readonly maxUnappliedBytes?: number;
  /** Proposed bytes that are not yet committed and on this disk; beyond it OVERLOADED. Default 16 MiB. */
  readonly maxUncommittedBytes?: number;
}

/** Ticks are the driver's; a heartbeat each, and an election after ten to twenty without one, is etcd's proportion. */
export const RAFT_DEFAULTS = {
  refusal: (): Refused | null => null,
  electionTicks: 10,
  heartbeatTicks: 1,
  maxBatchBytes: BATCH_BYTES_MAX,
  maxInflight: 64,
  maxUncommittedBytes: 16 * 1_048_576,
  maxUnappliedBytes: 128 * 1_048_576,
};
