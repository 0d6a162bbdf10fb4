/** The rows that hold replicated state: one ordered map from bytes to bytes, whatever stores it. */

import type { Index } from "../ids.ts";
import type { StoredRecord } from "../ledger/stored-record.ts";
import type { Entry } from "../raft/message.ts";
import type { CommandResult } from "./command.ts";

/** Synchronous reads of the state as of the last applied entry. */
export interface StateView {
  get(key: Uint8Array): Uint8Array | undefined;
  /** Rows with from ≤ key < to (`to` null: to the end), ascending, at most `limit`. */
  scan(from: Uint8Array, to: Uint8Array | null, limit: number): readonly Row[];
  /** How many rows `scan` would go through, without reading them: of the first `limit` or so, and where the others begin. */
  count(from: Uint8Array, to: Uint8Array | null, limit: number): RowCount;
}

export interface RowCount {
  readonly rows: number;
  /** Where the rest of the range begins; null when this was all. */
  readonly next: Uint8Array | null;
}

export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** `value` null deletes. At most one write a key. */
export interface Write {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** What applying a run of entries asks of the store: all of it, in one transaction, with the applied index. */
export interface ApplyOutcome {
  /** How many of the entries were applied: all of them, or those up to one that began a comparison. */
  readonly entries: number;
  /** The last one began a comparison: its index, as of which all rows are to be hashed. Null: it did not. */
  readonly comparison: Index | null;
  readonly writes: readonly Write[];
  readonly records: readonly StoredRecord[];
  readonly results: readonly CommandAnswer[];
}

/** What a command came to, with what finds its waiter. */
export interface CommandAnswer {
  readonly proposer: string;
  readonly request: number;
  readonly result: CommandResult;
}

/**
 * The signature of `apply` in apply.ts. Pure: same view and entries, same outcome, everywhere and always (R9). Whoever has
 * entries left over applies those next.
 */
export type Apply = (view: StateView, entries: readonly Entry[]) => ApplyOutcome;
