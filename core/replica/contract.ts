/** What a replica is made of, and what it tells. */
import type { OpenClawError } from "../errors.ts";
import type { ClusterId, Epoch, Index, NodeId, Revision, Term } from "../ids.ts";
import type { Clock, LogStore, Random, StateStore, StoredRecord, Transport } from "../ports.ts";
import type { Membership } from "../raft/membership.ts";
import type { RaftStatus, Role } from "../raft/ready.ts";
import type { ApplyVersions } from "../state-machine/apply.ts";
import type { Comparison } from "../state-machine/finding.ts";
import type { Agreement } from "./comparisons.ts";
import type { RetentionLimits } from "./log-retention.ts";
import type { Proposed } from "./proposals.ts";
import type { SnapshotTransfer } from "./snapshot-progress.ts";

export interface ReplicaOptions {
  readonly cluster: ClusterId;
  readonly id: NodeId;
  /** Founding voters, used when the stores are empty. */
  readonly membership: Membership;
  readonly epoch: Epoch;
  readonly log: LogStore;
  readonly state: StateStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** The meanings of commands that this node supports, those of its state store (R9). */
  readonly applyVersions: ApplyVersions;
  /** One Raft tick, ms. Heartbeat 2 ticks, election 10–20 ticks. */
  readonly tickMs: number;
  /** How much of the log is kept; the default suits a node. */
  readonly retention?: RetentionLimits;
  /** Bound on a snapshot on its way to a follower; the default suits a node. */
  readonly snapshotBytesPerSecond?: number;
  /** Of log time, between two comparisons of states that begin by themselves (C1); the default suits a node. */
  readonly compareEveryMs?: number;
  /** Why a command must not be proposed here now (S5); by default nothing speaks against any. */
  readonly refusal?: (command: Proposed) => OpenClawError | null;
  /** The replica can no longer vouch for its disk, or an invariant broke: stop the process. Called at most once. */
  readonly onFatal: (error: Error) => void;
}

export interface ProposeOptions {
  readonly principal: string;
  /** Give up with UNAVAILABLE after this long. */
  readonly timeoutMs: number;
}

export interface ReplicaStatus {
  readonly cluster: ClusterId;
  readonly id: NodeId;
  readonly epoch: Epoch;
  readonly raft: RaftStatus;
  readonly role: Role;
  readonly leader: NodeId | null;
  readonly term: Term;
  readonly applied: Index;
  readonly revision: Revision;
  /** As replicated here (T1, R9). */
  readonly logTime: number;
  readonly applyVersion: number;
  /** The newest apply version that this node supports. */
  readonly supports: number;
  /** Whether this replica's state is what a majority's is, and what replicas last found. */
  readonly agreement: Agreement;
  readonly comparison: Comparison;
  readonly members: readonly NodeId[];
  readonly waiting: number;
  readonly snapshots: { readonly sending: SnapshotTransfer | null; readonly receiving: SnapshotTransfer | null };
}

/** Rows that take no revision (L1), and that somebody at every node acts on: of members, with their membership, and of sites. */
export type FollowedRows = "members" | "sites";

/**
 * What watchers, the uplink and children see, in ledger order, after it is applied here. After a snapshot was installed
 * the records between are not delivered: a listener whose next revision is not the first record's, or who is behind
 * `revision` with no records, pages from `ledger`.
 */
export interface LedgerAdvance {
  readonly records: readonly StoredRecord[];
  readonly revision: Revision;
  /** The parent holds our ledger up to here (S3). */
  readonly parentHolds: Revision;
}
