/**
 * One member of a cluster: drives raft, the stores and the transport. The one way in is `propose`, the one way out is
 * the ledger.
 */
import { invariant, OpenClawError } from "./errors.ts";
import type { ClusterId, Epoch, Index, NodeId, Revision, Term } from "./ids.ts";
import type { Clock, LedgerSlice, LogStore, Random, StateStore, StoredRecord, Transport } from "./ports.ts";
import type { Membership } from "./raft/message.ts";
import type { RaftStatus, Role } from "./raft/ready.ts";
import type { CommandResult, Outcome, SystemCommand, UserCommand } from "./state-machine/command.ts";
import type { Answer, Position, Query } from "./state-machine/query.ts";

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
  /** One Raft tick. Heartbeat 1 tick, election 10–20 ticks. */
  readonly tickMs: number;
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
  readonly members: readonly NodeId[];
  readonly waiting: number;
}

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

export declare class Replica {
  constructor(options: ReplicaOptions);
  /** Opens the stores, replays the log, takes part. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Runs a user command at most once, retried across leader changes within this replica's session (Q1). @throws OpenClawError OVERLOADED, UNAVAILABLE, SESSION_EXPIRED, STOPPED */
  execute(command: UserCommand, options: ProposeOptions): Promise<Outcome>;
  /** Proposes a command whose repetition is harmless (imports carry cursors), retried until `timeoutMs`. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  propose(command: SystemCommand, options: ProposeOptions): Promise<CommandResult>;
  /** Resolves when a local read is linearizable: ReadIndex, then applied (thesis §6.4). @throws OpenClawError UNAVAILABLE, STOPPED */
  barrier(timeoutMs: number): Promise<void>;
  /** Reads local state; for a linearizable read, `await barrier()` first. */
  read<Q extends Query>(query: Q): Promise<Answer<Q>>;
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice>;
  /** Calls back for every advance; the returned function ends it. */
  follow(listener: (advance: LedgerAdvance) => void): () => void;
  position(): Position;
  status(): ReplicaStatus;
  /** Calls back when role or leader changed. */
  onLeadership(listener: (status: ReplicaStatus) => void): () => void;
}
void invariant;
void OpenClawError;
