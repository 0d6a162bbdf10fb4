/** The Raft log on one disk (R4): one row a batch of entries, one fsync a commit. Runs in the log's worker. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { type Index, index, PARTITION, type Term, term } from "@openclaw/core/ids.ts";
import type { LogBase } from "@openclaw/core/ports.ts";
import { decodeEntries, encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import type Database from "better-sqlite3";
import { ensureFolder, fsyncPath } from "./files.ts";
import type { LogOpening, LogWrite, OpenedLog, PackedEntries } from "./log-protocol.ts";
import { decodeTail, EMPTY_TAIL, encodeTail, type LogTail, movedTail, reconcile } from "./log-tail.ts";
import { sha256 } from "./sha256.ts";
import { type Connection, openExclusive, openingError, orCorrupt } from "./sqlite.ts";
import { readIdentity, requireIdentity, type StoreIdentity, writeIdentity } from "./store-identity.ts";
import { TailFile } from "./tail-file.ts";

export const LOG_FORMAT = 1;
/** 8 MiB: a checkpoint of the log's database copies at most this much, in the worker. */
const WAL_PAGES_MAX = 2_048;

interface BatchRow {
  readonly first: number;
  readonly last: number;
  readonly sum: Uint8Array;
  readonly packed: Uint8Array;
}

export class LogFile {
  readonly #connection: Connection;
  readonly #tailFile: TailFile;
  readonly #statements: Statements;
  #tail: LogTail;

  /**
   * Opens or creates the log, drops what cannot be vouched for, and says what is left.
   * @param onError called when a background write failed
   * @throws OpenClawError DATA_IN_USE, DATA_FOREIGN, DATA_NEWER, DATA_CORRUPT, SQLITE_TOO_OLD, STORAGE_FAILED, STORAGE_FULL
   */
  static open(
    opening: LogOpening,
    onError: (error: unknown) => void,
  ): { readonly file: LogFile; readonly opened: OpenedLog } {
    const path = join(opening.folder, "log.db");
    ensureFolder(opening.folder);
    const connection = openExclusive(path, { synchronous: "FULL", walPagesMax: WAL_PAGES_MAX });
    let tailFile: TailFile | null = null;
    try {
      requireIntact(connection);
      const wanted: StoreIdentity = {
        format: LOG_FORMAT,
        role: "log",
        cluster: opening.cluster,
        partition: PARTITION,
        node: opening.node,
      };
      const found = readIdentity(connection);
      if (found !== null) requireIdentity(found, wanted);
      // After the lock: another process may be writing this file until it is ours.
      tailFile = TailFile.open(join(opening.folder, "log.tail"), onError);
      const copy = tailFile.read();
      if (found === null) {
        if (copy === null) tailFile.initialise();
        createTables(connection, wanted);
        fsyncPath(opening.folder);
      } else if (copy === null) {
        throw new OpenClawError("DATA_CORRUPT", "log.tail is missing or fails its check");
      }
      const file = new LogFile(connection, tailFile, copy);
      return { file, opened: { tail: file.#tail, batches: file.#batches().map((row) => row.packed) } };
    } catch (error) {
      tailFile?.close();
      connection.close();
      throw openingError(error, path);
    }
  }

  private constructor(connection: Connection, tailFile: TailFile, copy: LogTail | null) {
    this.#connection = connection;
    this.#tailFile = tailFile;
    this.#statements = prepare(connection);
    const stored = readTail(connection);
    const rows = this.#readable(stored);
    const termAt = (at: Index): Term => (at === stored.base.index ? stored.base.term : termIn(rows, at));
    const validLast = index(Math.max(rows.at(-1)?.last ?? 0, stored.base.index));
    this.#tail = reconcile({ stored, copy, validLast, termAt });
    if (this.#tail.last !== stored.last || this.#tail.commit !== stored.commit) {
      this.#inCommit(() => this.#repair(rows));
    }
  }

  /** All writes in one transaction with one fsync; when it returns, they are on disk. */
  commit(writes: readonly LogWrite[]): void {
    this.#inCommit(() => {
      for (const write of writes) this.#write(write);
    });
  }

  close(): void {
    this.#tailFile.close();
    // Checkpoints, removes the WAL and gives up the lock.
    this.#connection.close();
  }

  #inCommit(body: () => void): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    try {
      body();
      this.#tail = { ...this.#tail, commit: this.#tail.commit + 1 };
      writeTail(this.#statements.writeTail, this.#tail);
      this.#connection.exec("COMMIT");
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec("ROLLBACK");
      throw error;
    }
    this.#tailFile.write(this.#tail);
  }

  #write(write: LogWrite): void {
    switch (write.kind) {
      case "append":
        if (write.hardState !== null) this.#tail = { ...this.#tail, hardState: write.hardState };
        if (write.entries !== null) this.#append(write.entries);
        return;
      case "compact":
        this.#compact(write.base);
        return;
      case "reset":
        this.#statements.deleteAll.run();
        this.#tail = movedTail({ ...this.#tail, base: write.base }, write.base.index, write.base.term);
        return;
    }
  }

  #append({ first, last, lastTerm, packed }: PackedEntries): void {
    const { base } = this.#tail;
    invariant(
      first > base.index && first <= this.#tail.last + 1,
      `an append at ${first} leaves no gap after ${this.#tail.last}`,
    );
    if (first <= this.#tail.last) this.#truncate(first);
    this.#insert(first, last, packed);
    this.#tail = movedTail(this.#tail, index(last), term(lastTerm));
  }

  /** Removes entries from `from` on: whole rows, and the end of the row that straddles it. */
  #truncate(from: number): void {
    this.#statements.deleteFrom.run(from);
    const row = this.#statements.newest.get();
    if (row === undefined || row.last < from) return;
    const kept = orCorrupt(`log entries ${row.first}…${row.last}`, () => decodeEntries(row.packed)).filter(
      (entry) => entry.index < from,
    );
    this.#insert(row.first, from - 1, encodeEntries(kept));
  }

  #insert(first: number, last: number, packed: Uint8Array): void {
    this.#statements.insert.run(first, last, batchSum(first, last, packed), packed);
  }

  #compact(base: LogBase): void {
    if (base.index <= this.#tail.base.index) return;
    invariant(base.index <= this.#tail.last, `the log ends at ${this.#tail.last}, before the new base ${base.index}`);
    if (base.index === this.#tail.last) this.#statements.deleteAll.run();
    else this.#statements.deleteBefore.run(base.index + 1);
    this.#tail = { ...this.#tail, base };
  }

  /** Leaves the rows that can be vouched for, up to the tail's last entry. */
  #repair(readable: readonly BatchRow[]): void {
    const vouched = new Set(readable.map((row) => row.first));
    for (const row of this.#batches()) if (!vouched.has(row.first)) this.#statements.deleteOne.run(row.first);
    this.#truncate(this.#tail.last + 1);
  }

  /** Rows that follow the base, or straddle it, without a gap, up to the first that fails its check (R5). */
  #readable(stored: LogTail): readonly BatchRow[] {
    const readable: BatchRow[] = [];
    let next = stored.base.index + 1;
    for (const row of this.#batches()) {
      if (row.last < next && readable.length === 0) continue;
      const follows = readable.length === 0 ? row.first <= next : row.first === next;
      if (!follows || row.last > stored.last || !isIntact(row)) break;
      readable.push(row);
      next = row.last + 1;
    }
    return readable;
  }

  #batches(): readonly BatchRow[] {
    return this.#statements.all.all();
  }
}

const isIntact = (row: BatchRow): boolean =>
  row.sum instanceof Uint8Array &&
  row.packed instanceof Uint8Array &&
  row.last >= row.first &&
  equalBytes(row.sum, batchSum(row.first, row.last, row.packed));

/** Covers where the row stands as well as what it holds: a batch under another index is rot, too. */
function batchSum(first: number, last: number, packed: Uint8Array): Uint8Array {
  const place = new DataView(new ArrayBuffer(16));
  place.setFloat64(0, first);
  place.setFloat64(8, last);
  return createHash("sha256").update(place).update(packed).digest();
}

function termIn(rows: readonly BatchRow[], at: Index): Term {
  const row = rows.find((candidate) => candidate.first <= at && at <= candidate.last);
  const entry =
    row &&
    orCorrupt(`log entries ${row.first}…${row.last}`, () => decodeEntries(row.packed)).find((one) => one.index === at);
  if (entry === undefined) throw new OpenClawError("DATA_CORRUPT", `log entry ${at} is not where its row says`);
  return entry.term;
}

function createTables(connection: Connection, identity: StoreIdentity): void {
  connection.exec(
    `BEGIN IMMEDIATE;
     CREATE TABLE batch (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, sum BLOB NOT NULL, packed BLOB NOT NULL) STRICT;
     CREATE TABLE tail (id INTEGER PRIMARY KEY CHECK (id = 0), sum BLOB NOT NULL, record BLOB NOT NULL) STRICT;`,
  );
  writeIdentity(connection, identity);
  writeTail(connection.prepare(WRITE_TAIL), EMPTY_TAIL);
  connection.exec("COMMIT");
}

const WRITE_TAIL = "INSERT OR REPLACE INTO tail (id, sum, record) VALUES (0, ?, ?)";

type Statements = ReturnType<typeof prepare>;

const prepare = (connection: Connection) => ({
  all: connection.prepare<[], BatchRow>("SELECT first, last, sum, packed FROM batch ORDER BY first"),
  newest: connection.prepare<[], BatchRow>("SELECT first, last, sum, packed FROM batch ORDER BY first DESC LIMIT 1"),
  insert: connection.prepare("INSERT OR REPLACE INTO batch (first, last, sum, packed) VALUES (?, ?, ?, ?)"),
  deleteAll: connection.prepare("DELETE FROM batch"),
  deleteOne: connection.prepare("DELETE FROM batch WHERE first = ?"),
  deleteFrom: connection.prepare("DELETE FROM batch WHERE first >= ?"),
  /** The row that holds the index stays whole; those before it go. */
  deleteBefore: connection.prepare("DELETE FROM batch WHERE first < (SELECT max(first) FROM batch WHERE first <= ?)"),
  writeTail: connection.prepare(WRITE_TAIL),
});

function writeTail(statement: Database.Statement, tail: LogTail): void {
  const record = encodeTail(tail);
  statement.run(sha256(record), record);
}

/** @throws OpenClawError DATA_CORRUPT */
function readTail(connection: Connection): LogTail {
  const row = connection
    .prepare<[], { sum: Uint8Array; record: Uint8Array }>("SELECT sum, record FROM tail WHERE id = 0")
    .get();
  if (row === undefined || !equalBytes(row.sum, sha256(row.record)))
    throw new OpenClawError("DATA_CORRUPT", "the log's tail fails its check");
  return orCorrupt("the log's tail", () => decodeTail(row.record));
}

/** A rotten free list could hand a page in use to the next append; the rows below are read anyway, so the look costs little. */
function requireIntact(connection: Connection): void {
  const verdict = connection.pragma("quick_check(1)", { simple: true });
  if (verdict !== "ok") throw new OpenClawError("DATA_CORRUPT", `log.db: ${String(verdict)}`);
}
