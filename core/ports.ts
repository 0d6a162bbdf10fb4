/**
 * What core needs of the world. Each port has a contract suite in test/contracts that every implementation passes.
 * Nothing here names Node, the DOM, libp2p or a database.
 */
import type { HistoryAnswer, HistoryQuery } from "./history/history-query.ts";
import type { Epoch, Index, NodeId, Revision, Term } from "./ids.ts";
import type { LedgerFault } from "./ledger/fault.ts";
import type { StoredRecord } from "./ledger/stored-record.ts";
import type { Membership } from "./raft/membership.ts";
import type { Entry, HardState, RaftMessage, SnapshotMeta } from "./raft/message.ts";
import type { CommandResult } from "./state-machine/command.ts";
import type { Answer, Position, Query, RowsHash } from "./state-machine/query.ts";

export type { StoredRecord } from "./ledger/stored-record.ts";

export interface Clock {
  /** Monotonic milliseconds since an arbitrary start: the only time that decides anything. */
  now(): number;
  /** Wall clock, ms since 1970: an annotation. */
  wall(): number;
  /** Calls back once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** Resolves when whatever else waits for this thread has had its turn: input, painting, other work. */
export type NextTurn = () => Promise<void>;

export interface Random {
  /** Uniform in [0, 1). */
  unit(): number;
  /** Unpredictable bytes: ids, salts. */
  bytes(length: number): Uint8Array;
}

/** SHA-256, synchronous: 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** SHA-256 where it may come later: browsers have it built in, and answer in a turn of their own. */
export type Digest = (bytes: Uint8Array) => Promise<Uint8Array>;

/** Best effort between nodes of one cluster: may lose, delay, reorder and repeat; never alters. Bounded: what is over the limit is dropped and counted. */
export interface Transport {
  send(to: NodeId, messages: readonly RaftMessage[]): void;
  /**
   * Streams a snapshot, from the byte that the receiver asks for; resolves when it has staged every chunk and taken
   * `meta`. @throws OpenClawError UNAVAILABLE
   */
  sendSnapshot(to: NodeId, header: SnapshotHeader, chunks: SnapshotChunks): Promise<void>;
  /** Called once, before anything else. */
  receive(handlers: TransportHandlers): void;
}

/** The bytes of a snapshot from an offset on: a transfer that broke off goes on where it stopped. Asked once. */
export type SnapshotChunks = (from: number) => AsyncIterable<Uint8Array>;

/** What a snapshot is, whoever sends it. */
export interface SnapshotContent {
  readonly meta: SnapshotMeta;
  readonly epoch: Epoch;
  readonly bytes: number;
  /** The SHA-256 of each `SNAPSHOT_PIECE_BYTES`, one after the other: what came is checked piece by piece. */
  readonly pieces: Uint8Array;
  /** SHA-256 over `pieces`, and so over the whole: two snapshots of one hash have the same bytes. */
  readonly hash: Uint8Array;
}

export interface SnapshotHeader extends SnapshotContent {
  readonly from: NodeId;
  readonly term: Term;
}

export interface TransportHandlers {
  messages(messages: readonly RaftMessage[]): void;
  /** Asks for the bytes that are not here yet; resolves when the snapshot is staged whole and its hash is right. */
  snapshot(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void>;
}

/** The Raft log on one disk (R4). After any rejection the node stops: the disk can no longer be vouched for. */
export interface LogStore {
  /** @throws OpenClawError DATA_CORRUPT, DATA_IN_USE, DATA_NEWER, DATA_FOREIGN */
  open(): Promise<StoredLog>;
  /**
   * Resolves when all of it is fsynced. Entries replace everything at and above the first one's index. Calls complete in
   * order; those that wait share one fsync (R3). @throws OpenClawError STORAGE_FAILED, STORAGE_FULL
   */
  append(hardState: HardState | null, entries: readonly Entry[]): Promise<void>;
  /** Forgets entries up to and including `base.index`: they are in a state that is durable (R7). */
  compact(base: LogBase): Promise<void>;
  /** Forgets every entry; the next one follows `base` (R8). `missing`: entries up to there were durable once (R5). */
  reset(base: LogBase, missing?: Index): Promise<void>;
  close(): Promise<void>;
}

export interface LogBase {
  readonly index: Index;
  readonly term: Term;
}

export interface StoredLog {
  readonly hardState: HardState;
  /** What the first entry follows. */
  readonly base: LogBase;
  readonly entries: readonly Entry[];
  /** R5: an entry with this index was once durable here; more than the last entry means that some were lost. */
  readonly highWater: Index;
}

/**
 * Applied state and ledger (R6). `apply` runs core's `apply` inside the store's own transaction, off the main thread.
 * State, ledger, cursors and applied index move together or not at all.
 */
export interface StateStore {
  /** Creates an empty state on first use. @throws as LogStore.open */
  open(): Promise<StoredState>;
  /** Applies committed entries in order. Not yet durable: the Raft log is (R6). */
  apply(entries: readonly Entry[]): Promise<Applied>;
  read<Q extends Query>(query: Q): Promise<Answer<Q>>;
  /**
   * Reads the state as it was. May take longer than a read of the present, and holds up nothing meanwhile.
   * @throws OpenClawError REVISION_AHEAD, COMPACTED, BAD_REQUEST, OVERLOADED; UNAVAILABLE when a snapshot takes its place
   */
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>>;
  /** Encoded records from `from` on, at most `maxBytes` (at least one if there is one). @throws OpenClawError COMPACTED */
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice>;
  /**
   * Hashes the stored ledger again, from `from` on: at most about `maxBytes` at once, and not far past `to`. What is wrong
   * with it is in the answer; it does not stop the store.
   */
  checkLedger(from: Revision, to: Revision | null, maxBytes: number): Promise<LedgerChecked>;
  /**
   * The hash of all rows as they were after the entry `round`, which began a comparison: they are hashed while later
   * entries are applied. Null: it was given up, or the entry was applied before the store was opened.
   */
  compare(round: Index): Promise<RowsHash | null>;
  /** Makes everything applied so far durable, completely, and says what that covers (R7). */
  checkpoint(): Promise<StoredState>;
  /**
   * A consistent copy of the applied state as of its meta, whose index is at least `atLeast`: one that is still kept, or
   * a new one. The caller disposes of it; it is kept for a while, so that a transfer that broke off finds the same bytes.
   */
  snapshot(atLeast: Index): Promise<StateSnapshot>;
  /** A base of such a copy. The caller disposes of it. @throws OpenClawError OVERLOADED, UNAVAILABLE, STORAGE_FULL */
  base(atLeast: Index): Promise<StateBase>;
  /**
   * Stages a received snapshot beside the state; replaces an earlier staged one. Asks for the bytes that it does not hold
   * from an earlier try. Rejects when a piece is not what the header announced.
   */
  stage(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void>;
  /** Makes the staged snapshot with this meta the state: fsync, rename, fsync of the folder (R8). */
  install(meta: SnapshotMeta): Promise<StoredState>;
  /**
   * As `install`, in place of a state that is wrong: it may take the state back, and keeps the wrong one aside, under the
   * name of the round that told, in place of an earlier one.
   */
  replace(meta: SnapshotMeta, round: Index): Promise<StoredState>;
  close(): Promise<void>;
}

export interface StoredState {
  readonly applied: Index;
  readonly appliedTerm: Term;
  readonly membership: Membership;
  readonly position: Position;
  /** The index of the snapshot that this state was installed from; 0: it grew here from the first entry. */
  readonly installed: Index;
}

export interface Applied {
  readonly index: Index;
  /** One for each command of each entry, in order, with what finds its waiter. */
  readonly results: readonly { readonly proposer: string; readonly request: number; readonly result: CommandResult }[];
  /** Records written, encoded, in order; may be empty. */
  readonly records: readonly StoredRecord[];
  /** After the last of these entries. */
  readonly position: Position;
}

export interface LedgerSlice {
  readonly records: readonly StoredRecord[];
  /** The state's revision when this was read. */
  readonly revision: Revision;
}

export interface LedgerChecked {
  /** The first revision that was looked at: later than asked where what was asked for was compacted. */
  readonly from: Revision;
  /** Right up to here; `from` − 1 where nothing is. */
  readonly sound: Revision;
  /** The state's revision. */
  readonly revision: Revision;
  /** The first wrong revision; null when there is none as far as was looked. */
  readonly fault: LedgerFault | null;
  /** Nothing is left to look at: asked up to `to`, or to the end. */
  readonly done: boolean;
}

export interface StateBase {
  /** As `encodeBasePart` writes them, read as they are asked for; once. @throws OpenClawError BAD_REQUEST at revision 0, UNAVAILABLE */
  parts(): AsyncIterable<Uint8Array>;
  dispose(): Promise<void>;
}

export interface StateSnapshot extends SnapshotContent {
  /** @throws OpenClawError UNAVAILABLE when the copy rotted on the disk: the next one is made afresh */
  readonly chunks: SnapshotChunks;
  dispose(): Promise<void>;
}
