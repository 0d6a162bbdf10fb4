/** A state file made from ledger records instead of entries: what a restored cluster begins with. */
import { join } from "node:path";
import { type BaseHead, type BaseRow, baseMark, baseVersions } from "@openclaw/core/history/base.ts";
import { beginIndex } from "@openclaw/core/history/begin-index.ts";
import { indexRecords, readMark } from "@openclaw/core/history/index-records.ts";
import { pruneKeys, pruneTimes } from "@openclaw/core/history/prune.ts";
import { index, type Revision, revision, term } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { Membership } from "@openclaw/core/raft/membership.ts";
import type { RowsHash } from "@openclaw/core/state-machine/query.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { type Restored, restoredWrites } from "@openclaw/core/state-machine/restored.ts";
import { contentHash } from "@openclaw/core/state-machine/state-hash.ts";
import { ensureFolder, fsyncPath } from "./files.ts";
import { sha256 } from "./sha256.ts";
import { type Connection, openExclusive } from "./sqlite.ts";
import { stateIdentity } from "./state-file.ts";
import { STATE_FILE } from "./state-protocol.ts";
import { createStateTables, StateTables } from "./state-tables.ts";
import { writeIdentity } from "./store-identity.ts";

/** Bytes of records read back at once. */
const STEP_BYTES = 1_048_576;
/** Pages in the WAL at which a commit also checkpoints. */
const WAL_PAGES_MAX = 8_192;

/**
 * The last entry that a restored state has applied. Not zero: a node that joins would then take the log from its first
 * entry instead of a snapshot, and have none of the content.
 */
export const RESTORED_AT = { index: index(1), term: term(1) } as const;

export class StateRestore {
  readonly #folder: string;
  readonly #connection: Connection;
  readonly #tables: StateTables;
  #hash: Uint8Array;
  #begins = revision(0);

  /**
   * @param folder of the data; made here, and of no use before `finish`
   * @param beginning the hash that the ledger begins with
   */
  constructor(folder: string, cluster: string, beginning: Uint8Array) {
    ensureFolder(folder);
    this.#folder = folder;
    this.#connection = openExclusive(join(folder, STATE_FILE), { synchronous: "NORMAL", walPagesMax: WAL_PAGES_MAX });
    this.#connection.exec("BEGIN IMMEDIATE");
    createStateTables(this.#connection);
    writeIdentity(this.#connection, stateIdentity(cluster));
    this.#connection.exec("COMMIT");
    this.#tables = new StateTables(this.#connection);
    this.#hash = beginning;
  }

  /** The ledger's hash after what was taken. */
  get hash(): Uint8Array {
    return this.#hash;
  }

  /** Begins at a base instead of at revision 1: its hash of its own revision is what the ledger is checked from (L7). */
  begin({ last }: BaseHead): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    this.#tables.setLedgerBase(last.revision, last.hash);
    this.#addRecords([last]);
    this.#tables.history.write(baseMark(this.#tables.history, last));
    this.#connection.exec("COMMIT");
  }

  /** Takes rows of the base, leases apart, and the versions of their keys. */
  takeRows(rows: readonly BaseRow[]): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    this.#tables.state.write(rows);
    this.#tables.history.write(baseVersions(rows));
    this.#connection.exec("COMMIT");
  }

  /** Takes the records that follow, which are checked. Up to the departure they are the epoch's before, hashes included (L3). */
  take(records: readonly StoredRecord[]): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    this.#tables.state.write(replay(sha256, this.#tables.state, records));
    this.#addRecords(records);
    this.#connection.exec("COMMIT");
  }

  /**
   * Revisions up to `to`, at which the ledger's hash is `hash`, have no record: what stands is kept, and the ledger begins
   * behind them, as behind a compaction.
   */
  skip(to: Revision, hash: Uint8Array): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    this.#forgetRecords(to);
    this.#tables.setLedgerBase(to, hash);
    this.#tables.history.write(beginIndex(this.#tables.history, to));
    this.#connection.exec("COMMIT");
    this.#hash = hash;
    this.#begins = to;
  }

  /** The last revision that was skipped; 0: none was. */
  get begins(): Revision {
    return this.#begins;
  }

  /** Their versions stand in the history index afterwards, the newest of each key. */
  #forgetRecords(below: Revision): void {
    const { history } = this.#tables;
    for (let next = readMark(history).indexed + 1; ; ) {
      const records = this.#tables.records(revision(next), STEP_BYTES);
      const last = records.at(-1);
      if (last === undefined) break;
      history.write(indexRecords(history, records, 0));
      history.write(pruneKeys(history, records, below));
      next = last.revision + 1;
    }
    for (let writes = pruneTimes(history, below); writes.length > 0; writes = pruneTimes(history, below))
      history.write(writes);
    while (this.#tables.cut(below));
  }

  #addRecords(records: readonly StoredRecord[]): void {
    this.#tables.addRecords(records);
    this.#hash = records.at(-1)?.hash ?? this.#hash;
  }

  content(): RowsHash {
    return contentHash(this.#tables.state, sha256);
  }

  /** Writes what is no content, and leaves a file that is whole and durable. */
  finish(restored: Restored, membership: Membership): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    this.#tables.state.write(restoredWrites(this.#tables.state, restored));
    this.#tables.setApplied({ meta: { ...RESTORED_AT, membership }, node: null, installed: index(0) });
    this.#connection.exec("COMMIT");
    this.close();
    fsyncPath(join(this.#folder, STATE_FILE));
    fsyncPath(this.#folder);
  }

  /** Repeating it is harmless. */
  close(): void {
    this.#connection.close();
  }
}
