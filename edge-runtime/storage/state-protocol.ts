/** What the main thread asks of the state's worker. */
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type { ClusterId, Epoch, Index, NodeId, Revision } from "@openclaw/core/ids.ts";
import type { LedgerChecked, SnapshotContent, SnapshotHeader, StoredState } from "@openclaw/core/ports.ts";
import type { Membership } from "@openclaw/core/raft/membership.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import type { Answer, Position, Query, RowsHash } from "@openclaw/core/state-machine/query.ts";

/** The state's name in the data folder. */
export const STATE_FILE = "state.db";

/** Bytes of the WAL, a transaction or two more, between two checkpoints. */
export const WAL_BYTES_MAX = 32 * 1_048_576;

/** Bytes of pages that SQLite keeps in memory, unless configured otherwise. */
export const STATE_CACHE_BYTES = 8 * 1_048_576;

export interface StateOpening {
  readonly folder: string;
  readonly cluster: ClusterId;
  /** Whose state it is. */
  readonly node: NodeId;
  /** Those a new state starts with. */
  readonly epoch: Epoch;
  readonly membership: Membership;
  /** Of pages that SQLite keeps in memory. */
  readonly cacheBytes: number;
}

export interface PackedApplied {
  readonly index: Index;
  /** As `packResults` writes them. */
  readonly results: Uint8Array;
  /** As `packRecords` writes them. */
  readonly records: Uint8Array;
  readonly position: Position;
}

export interface SnapshotFile extends SnapshotContent {
  readonly path: string;
}

export interface StateCalls {
  open: { ask: StateOpening; answer: StoredState };
  /** Entries as `encodeEntries` writes them. */
  apply: { ask: Uint8Array; answer: PackedApplied };
  read: { ask: Query; answer: Answer<Query> };
  history: { ask: HistoryQuery; answer: HistoryAnswer<HistoryQuery> };
  ledger: {
    ask: { readonly from: Revision; readonly maxBytes: number };
    /** Records as batches, each as `packRecords` writes it. */
    answer: { readonly records: readonly Uint8Array[]; readonly revision: Revision };
  };
  checkLedger: {
    ask: { readonly from: Revision; readonly to: Revision | null; readonly maxBytes: number };
    answer: LedgerChecked;
  };
  compare: { ask: Index; answer: RowsHash | null };
  checkpoint: { ask: null; answer: StoredState };
  /** One of at least this index. */
  snapshot: { ask: Index; answer: SnapshotFile };
  /** By path: nobody reads it just now. */
  dropSnapshot: { ask: string; answer: null };
  /** By path: its bytes are not what they were. */
  rottenSnapshot: { ask: string; answer: null };
  /** What the database writes over before it grows, and whether what was compacted is still being removed. */
  room: { ask: null; answer: { readonly reusable: number; readonly removing: boolean } };
  /** Those that nobody reads, and a wrong state that was kept aside. */
  dropCopies: { ask: null; answer: null };
  /** Answers with the number that the chunks carry, as a later stage replaces this one, and the bytes that are here. */
  stageBegin: { ask: SnapshotHeader; answer: { readonly stage: number; readonly held: number } };
  stageChunk: { ask: { readonly stage: number; readonly chunk: Uint8Array }; answer: null };
  stageEnd: { ask: number; answer: null };
  stageAbort: { ask: number; answer: null };
  install: { ask: SnapshotMeta; answer: StoredState };
  replace: { ask: { readonly meta: SnapshotMeta; readonly round: Index }; answer: StoredState };
  close: { ask: null; answer: null };
}
