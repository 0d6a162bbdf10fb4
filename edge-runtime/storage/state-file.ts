/** Applied state and ledger on one disk (R6): one connection, whose reads see what its open transaction wrote. */
import { join } from "node:path";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { HistorySource } from "@openclaw/core/history/history-source.ts";
import { type Index, index, type NodeId, PARTITION, type Revision, term } from "@openclaw/core/ids.ts";
import type { LedgerChecked, StoredState } from "@openclaw/core/ports.ts";
import { decodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import { membershipAfter } from "@openclaw/core/raft/membership-codec.ts";
import type { Entry, SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { APPLY_VERSIONS, createApply } from "@openclaw/core/state-machine/apply.ts";
import { initialWrites } from "@openclaw/core/state-machine/position.ts";
import type { Answer, Query, RowsHash } from "@openclaw/core/state-machine/query.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import type { Apply, ApplyOutcome } from "@openclaw/core/state-machine/view.ts";
import { requireIdentity, type StoreIdentity } from "@openclaw/core/store-identity.ts";
import { ensureFolder, fsyncPath } from "./files.ts";
import { checkLedger } from "./ledger-check.ts";
import { PacedScan } from "./paced-scan.ts";
import { packResults } from "./result-batch.ts";
import { sha256 } from "./sha256.ts";
import { type Connection, checkpoint, openExclusive, openingError } from "./sqlite.ts";
import { type PackedApplied, STATE_FILE, type StateCalls, type StateOpening, WAL_BYTES_MAX } from "./state-protocol.ts";
import { StateReads } from "./state-reads.ts";
import { createStateTables, StateTables } from "./state-tables.ts";
import { readIdentity, writeIdentity } from "./store-identity.ts";

export const STATE_FORMAT = 7;

/** R6: a transaction stays open over several batches until it is this old, ms, or this large, bytes. */
const TRANSACTION_MS_MAX = 30;
const TRANSACTION_BYTES_MAX = 1_048_576;
/**
 * SQLite's own checkpoint at a commit bounds the WAL between ours. It does not touch R7's reasoning: it only
 * moves committed pages into the database earlier, and ours then finds nothing left to move.
 */
const WAL_PAGES_MAX = WAL_BYTES_MAX / 4_096;

export const stateIdentity = (cluster: string): StoreIdentity => ({
  format: STATE_FORMAT,
  role: "state",
  cluster,
  partition: PARTITION,
  node: null,
});

interface OpenTransaction {
  readonly since: number;
  readonly timer: NodeJS.Timeout;
  bytes: number;
}

export class StateFile {
  readonly #connection: Connection;
  readonly #tables: StateTables;
  readonly #reads: StateReads;
  readonly #apply: Apply;
  readonly #onError: (error: unknown) => void;
  /** As of the last applied entry, committed or not. */
  #applied: SnapshotMeta;
  readonly #node: NodeId;
  readonly #installed: Index;
  #transaction: OpenTransaction | null = null;
  #copying = false;
  /** Of the last comparison that began since the file was opened. */
  #scan: PacedScan | null = null;

  /**
   * @param onError called when the open transaction could not be committed: nothing may be applied after it
   * @throws OpenClawError DATA_IN_USE, DATA_FOREIGN, DATA_NEWER, DATA_CORRUPT, SQLITE_TOO_OLD, STORAGE_FAILED, STORAGE_FULL
   */
  static open(opening: StateOpening, onError: (error: unknown) => void): StateFile {
    const path = join(opening.folder, STATE_FILE);
    ensureFolder(opening.folder);
    const { cacheBytes } = opening;
    const connection = openExclusive(path, { synchronous: "NORMAL", walPagesMax: WAL_PAGES_MAX, cacheBytes });
    try {
      const wanted = stateIdentity(opening.cluster);
      const found = readIdentity(connection);
      if (found === null) create(connection, opening, wanted);
      else requireIdentity(found, wanted);
      return new StateFile(connection, opening, onError);
    } catch (error) {
      connection.close();
      throw openingError(error, path);
    }
  }

  private constructor(connection: Connection, { cluster, node }: StateOpening, onError: (error: unknown) => void) {
    this.#connection = connection;
    this.#tables = new StateTables(connection);
    this.#reads = new StateReads(this.#tables.state);
    this.#apply = createApply(sha256, cluster, APPLY_VERSIONS);
    this.#onError = onError;
    const mark = this.#tables.applied();
    this.#applied = mark.meta;
    this.#node = node;
    // Another node's row is there from the rename to the next line: a crash between them finds it again.
    this.#installed = mark.node === node ? mark.installed : mark.meta.index;
    if (mark.node !== node) this.#alone(() => this.#putApplied());
  }

  stored(): StoredState {
    const { index: applied, term: appliedTerm, membership } = this.#applied;
    return { applied, appliedTerm, membership, position: this.read({ kind: "position" }), installed: this.#installed };
  }

  /** @param packed entries as `encodeEntries` writes them, the first one following the applied index */
  apply(packed: Uint8Array): PackedApplied {
    const entries = decodeEntries(packed);
    const next = this.#applied.index + 1;
    invariant(
      (entries[0]?.index ?? next) === next,
      `entry ${entries[0]?.index} does not follow the applied index ${next - 1}`,
    );
    try {
      return this.#applyIn(this.#begun(), entries);
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  read<Q extends Query>(question: Q): Answer<Q> {
    return query(this.#tables.state, question, sha256);
  }

  /** The same, of whatever length: while a long answer is made, entries are applied. @throws OpenClawError OVERLOADED, UNAVAILABLE */
  reading<Q extends Query>(question: Q): Answer<Q> | Promise<Answer<Q>> {
    return this.#reads.read(question);
  }

  /** @throws OpenClawError COMPACTED */
  ledger(from: Revision, maxBytes: number): StateCalls["ledger"]["answer"] {
    const { revision, compacted } = this.read({ kind: "position" });
    if (from < compacted) throw new OpenClawError("COMPACTED", `the ledger is kept from revision ${compacted}`);
    return { records: from > revision ? [] : this.#tables.packedRecords(from, maxBytes), revision };
  }

  /** @throws OpenClawError BAD_REQUEST */
  checkLedger({ from, to, maxBytes }: StateCalls["checkLedger"]["ask"]): LedgerChecked {
    return checkLedger(this.#tables, from, to, maxBytes);
  }

  /** As of the entry `round`; null when no comparison began there since the file was opened. */
  compare(round: Index): Promise<RowsHash | null> {
    return this.#scan?.round === round ? this.#scan.sum : Promise.resolve(null);
  }

  /** What the past is read from, and written down in. */
  get past(): HistorySource {
    const { state, history } = this.#tables;
    return {
      sha256,
      state,
      index: history,
      records: (from, maxBytes) => this.#tables.records(from, maxBytes),
      write: (writes) => this.#alone(() => history.write(writes)),
      cut: (below) => this.#alone(() => this.#tables.cut(below)),
    };
  }

  /** In a transaction of its own: if it fails, nothing that was applied is lost with it. */
  #alone<T>(write: () => T): T {
    this.commit();
    this.#connection.exec("BEGIN IMMEDIATE");
    try {
      const written = write();
      this.#connection.exec("COMMIT");
      return written;
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec("ROLLBACK");
      throw error;
    }
  }

  /** Ends the open transaction, if there is one. Not yet durable: `synchronous=NORMAL` syncs at a checkpoint only. */
  commit(): void {
    if (this.#transaction === null) return;
    clearTimeout(this.#transaction.timer);
    this.#transaction = null;
    try {
      this.#putApplied();
      this.#connection.exec("COMMIT");
    } catch (error) {
      // What was applied, and perhaps answered, is not in the file: whoever asked for the commit may go on, the state may not.
      this.#onError(error);
      throw error;
    }
  }

  #putApplied(): void {
    this.#tables.setApplied({ meta: this.#applied, node: this.#node, installed: this.#installed });
  }

  /** R7: everything applied before the call is in the database file, and that is fsynced. */
  checkpoint(): StoredState {
    this.commit();
    const stored = this.stored();
    checkpoint(this.#connection);
    return stored;
  }

  /**
   * Writes a copy of the database to a path where nothing is, a few pages at a time: what is applied meanwhile is in it,
   * too. @param step how many pages come next, given how many are left
   * @throws OpenClawError UNAVAILABLE when the state was closed meanwhile
   */
  async copyTo(path: string, step: (left: number) => number): Promise<void> {
    invariant(!this.#copying, "one copy is made at a time");
    this.commit();
    this.#copying = true;
    try {
      // SQLite keeps the copy in step with what this very connection writes; only an open transaction is in its way.
      await this.#connection.backup(path, { progress: ({ remainingPages }) => step(remainingPages) });
    } catch (error) {
      if (!this.#connection.open) throw new OpenClawError("UNAVAILABLE", "the state was closed while it was copied");
      throw error;
    } finally {
      this.#copying = false;
    }
  }

  /** Bytes that rows may take before the file grows: SQLite keeps the pages of what was deleted, and gives none back. */
  reusable(): number {
    const pragma = (name: string): number => Number(this.#connection.pragma(name, { simple: true }));
    return pragma("freelist_count") * pragma("page_size");
  }

  /** What is being read is told `reason`: resolves when all of it was. */
  endReads(reason: OpenClawError): Promise<void> {
    return this.#reads.close(reason);
  }

  /** Leaves a database file that is whole without its WAL. */
  close(): void {
    this.#scan?.end();
    void this.#reads.close(new OpenClawError("UNAVAILABLE", "a snapshot took the state's place"));
    this.checkpoint();
    this.#connection.close();
  }

  #applyIn(transaction: OpenTransaction, entries: readonly Entry[]): PackedApplied {
    const outcome = this.#run(transaction, entries);
    const records = this.#tables.addRecords(outcome.records);
    const last = entries.at(-1);
    if (last !== undefined) {
      const membership = membershipAfter(this.#applied.membership, entries);
      this.#applied = { index: last.index, term: last.term, membership };
    }
    transaction.bytes += records.length;
    const applied = {
      index: this.#applied.index,
      results: packResults(outcome.results),
      records,
      position: this.read({ kind: "position" }),
    };
    const old = performance.now() - transaction.since >= TRANSACTION_MS_MAX;
    if (this.#copying || old || transaction.bytes >= TRANSACTION_BYTES_MAX) this.commit();
    return applied;
  }

  /** Entries after one that began a comparison are applied when its scan is there to keep what they overwrite. */
  #run(transaction: OpenTransaction, entries: readonly Entry[]): Pick<ApplyOutcome, "records" | "results"> {
    const outcome = this.#apply(this.#tables.state, entries);
    const { writes, comparison } = outcome;
    this.#reads.replaced(writes);
    this.#scan?.before(writes);
    this.#tables.state.write(writes);
    transaction.bytes += writes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
    if (comparison !== null) {
      this.#scan?.end();
      this.#scan = new PacedScan(this.#tables.state, comparison);
    }
    if (outcome.entries === entries.length) return outcome;
    const rest = this.#run(transaction, entries.slice(outcome.entries));
    return { records: [...outcome.records, ...rest.records], results: [...outcome.results, ...rest.results] };
  }

  /** After a failure: what is half-written must not be committed by the timer. */
  #rollBack(): void {
    if (this.#transaction !== null) clearTimeout(this.#transaction.timer);
    this.#transaction = null;
    if (this.#connection.inTransaction) this.#connection.exec("ROLLBACK");
  }

  #begun(): OpenTransaction {
    if (this.#transaction === null) {
      this.#connection.exec("BEGIN IMMEDIATE");
      const timer = setTimeout(() => this.#commitInTime(), TRANSACTION_MS_MAX);
      this.#transaction = { since: performance.now(), bytes: 0, timer };
    }
    return this.#transaction;
  }

  #commitInTime(): void {
    try {
      this.commit();
    } catch {
      // Told to `onError`; nobody else asked.
    }
  }
}

function create(connection: Connection, opening: StateOpening, identity: StoreIdentity): void {
  connection.exec("BEGIN IMMEDIATE");
  createStateTables(connection);
  writeIdentity(connection, identity);
  const tables = new StateTables(connection);
  tables.state.write(initialWrites(opening.cluster, opening.epoch, sha256));
  const meta = { index: index(0), term: term(0), membership: opening.membership };
  tables.setApplied({ meta, node: opening.node, installed: index(0) });
  connection.exec("COMMIT");
  // The names are durable before anything relies on them; the rows are rebuilt from the log if they are lost.
  fsyncPath(opening.folder);
}
