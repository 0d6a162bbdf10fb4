import type { Revision } from "../ids.ts";
import type { StoredRecord } from "../ledger/stored-record.ts";
import type { Sha256 } from "../ports.ts";
import type { StateView, Write } from "../state-machine/view.ts";

export interface HistorySource {
  readonly sha256: Sha256;
  readonly state: StateView;
  readonly index: StateView;
  /** Records from `from` on, at most `maxBytes` but at least one if there is one. */
  records(from: Revision, maxBytes: number): readonly StoredRecord[];
  /** All of it or nothing. */
  write(writes: readonly Write[]): void;
  /**
   * Forgets records below `below`, not all at once, and keeps the hash before the first one that is left, so that the chain
   * can be checked from there (L2). False when none is left that could be forgotten.
   */
  cut(below: Revision): boolean;
}
