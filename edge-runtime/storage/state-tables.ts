/** The tables of state.db: the state's rows, the ledger, how far both have come, and the history index. */
import { EMPTY_BYTES, equalBytes } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Index, index, isNodeId, type NodeId, type Revision, revision } from "@openclaw/core/ids.ts";
import type { LedgerMark } from "@openclaw/core/ledger/verify.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { metaTuple, readMeta } from "@openclaw/core/raft/entry-codec.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { packRecords, unpackRecords } from "./record-batch.ts";
import { RowTable } from "./row-table.ts";
import { sha256 } from "./sha256.ts";
import { type Connection, orCorrupt } from "./sqlite.ts";

/** Called inside a transaction. */
export function createStateTables(connection: Connection): void {
  connection.exec(
    `CREATE TABLE state (k BLOB PRIMARY KEY, v BLOB NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE history (k BLOB PRIMARY KEY, v BLOB NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE ledger (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, packed BLOB NOT NULL) STRICT;
     CREATE TABLE ledger_base (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
     CREATE TABLE applied (id INTEGER PRIMARY KEY CHECK (id = 0), sum BLOB NOT NULL, record BLOB NOT NULL) STRICT;`,
  );
}

/** Rows removed at once: each may be 1 MiB and more. */
const CUT_ROWS = 16;

/** How far a state has come, and through whose hands: a file in which another node wrote last came from there. */
export interface AppliedMark {
  readonly meta: SnapshotMeta;
  /** Who applied up to there; null: nobody, it was made of a backup. */
  readonly node: NodeId | null;
  /** The index of the snapshot that it was installed from at that node; 0: it grew there. */
  readonly installed: Index;
}

/** Records of one batch, as they are stored. */
export interface LedgerRow {
  readonly first: number;
  readonly last: number;
  readonly packed: Uint8Array;
}

/** Prepared statements over one connection: what they write is in whatever transaction is open. */
export class StateTables {
  readonly state: RowTable;
  /** The history index; derived from the ledger. */
  readonly history: RowTable;
  readonly #putLedger;
  readonly #ledgerFrom;
  /** The row that was unpacked last. */
  #held: { readonly first: number; readonly records: readonly StoredRecord[] } | null = null;
  readonly #ledgerBelow;
  readonly #packed;
  readonly #cut;
  readonly #putBase;
  readonly #base;
  readonly #putApplied;
  readonly #applied;

  constructor(connection: Connection) {
    this.state = new RowTable(connection, "state");
    this.history = new RowTable(connection, "history");
    this.#putLedger = connection.prepare("INSERT INTO ledger (first, last, packed) VALUES (?, ?, ?)");
    this.#ledgerFrom = connection.prepare<[number], LedgerRow>(
      `SELECT first, last, packed FROM ledger
       WHERE first >= (SELECT coalesce(max(first), 0) FROM ledger WHERE first <= ?) ORDER BY first`,
    );
    this.#ledgerBelow = connection
      .prepare<[number, number], number>("SELECT first FROM ledger WHERE last < ? ORDER BY first LIMIT ?")
      .pluck();
    this.#packed = connection.prepare<[number], Uint8Array>("SELECT packed FROM ledger WHERE first = ?").pluck();
    this.#cut = connection.prepare("DELETE FROM ledger WHERE first <= ?");
    this.#putBase = connection.prepare("INSERT OR REPLACE INTO ledger_base (id, revision, hash) VALUES (0, ?, ?)");
    this.#base = connection.prepare<[], { revision: number; hash: Uint8Array }>(
      "SELECT revision, hash FROM ledger_base WHERE id = 0",
    );
    this.#putApplied = connection.prepare("INSERT OR REPLACE INTO applied (id, sum, record) VALUES (0, ?, ?)");
    this.#applied = connection.prepare<[], { sum: Uint8Array; record: Uint8Array }>(
      "SELECT sum, record FROM applied WHERE id = 0",
    );
  }

  /** Adds one packed row, and returns what it holds. */
  addRecords(records: readonly StoredRecord[]): Uint8Array<ArrayBuffer> {
    const packed = packRecords(records);
    const first = records[0];
    const last = records.at(-1);
    if (first !== undefined && last !== undefined) this.#putLedger.run(first.revision, last.revision, packed);
    return packed;
  }

  /** Records from `from` on, at most `maxBytes` but at least one if there is one. @throws OpenClawError COMPACTED, DATA_CORRUPT */
  records(from: Revision, maxBytes: number): readonly StoredRecord[] {
    return [...this.#parts(from, maxBytes)].flatMap(({ part }) => part);
  }

  /** The same as batches: a row of which all is wanted goes as it is stored. @throws OpenClawError COMPACTED, DATA_CORRUPT */
  packedRecords(from: Revision, maxBytes: number): readonly Uint8Array<ArrayBuffer>[] {
    return [...this.#parts(from, maxBytes)].map(({ row, part, whole }) =>
      whole ? new Uint8Array(row.packed) : packRecords(part),
    );
  }

  /** Row by row, what of it is wanted. */
  *#parts(
    from: Revision,
    maxBytes: number,
  ): Generator<{ readonly row: LedgerRow; readonly part: readonly StoredRecord[]; readonly whole: boolean }> {
    let left = maxBytes;
    let begun = false;
    for (const row of this.#ledgerFrom.iterate(from)) {
      if (!begun && row.first > from)
        throw new OpenClawError("COMPACTED", `the ledger is kept from revision ${row.first}`);
      const records = this.#unpacked(row);
      const part: StoredRecord[] = [];
      for (const record of records) {
        if (record.revision < from) continue;
        left -= record.record.length + record.hash.length;
        if (begun && left < 0) break;
        begun = true;
        part.push(record);
      }
      if (part.length > 0) yield { row, part, whole: part.length === records.length };
      if (left < 0) return;
    }
  }

  /** The rows of the ledger as they stand: from the one that holds `from` on, by the revision each is filed under. */
  ledgerRows(from: Revision): IterableIterator<LedgerRow> {
    return this.#ledgerFrom.iterate(from);
  }

  /** Who reads in small pieces comes back to the same row: it is unpacked once. */
  #unpacked(row: LedgerRow): readonly StoredRecord[] {
    if (this.#held?.first !== row.first) {
      const records = orCorrupt(`ledger ${row.first}…${row.last}`, () => unpackRecords(row.packed));
      this.#held = { first: row.first, records };
    }
    return this.#held.records;
  }

  /** Removes some of the rows that hold nothing at or above `below`; false when there are none. */
  cut(below: Revision): boolean {
    const rows = this.#ledgerBelow.all(below, CUT_ROWS);
    const last = rows.at(-1);
    if (last === undefined) return false;
    const record = orCorrupt(`ledger …${last}`, () => unpackRecords(this.#packed.get(last) ?? EMPTY_BYTES)).at(-1);
    if (record === undefined) throw new OpenClawError("DATA_CORRUPT", `ledger …${last} holds nothing`);
    this.setLedgerBase(record.revision, record.hash);
    this.#cut.run(record.revision);
    return true;
  }

  setLedgerBase(revision: Revision, hash: Uint8Array): void {
    this.#putBase.run(revision, hash);
  }

  /** What the first record follows that is kept: its revision, and the ledger's hash there; null: the beginning. */
  ledgerBase(): LedgerMark | null {
    const base = this.#base.get();
    return base === undefined ? null : { revision: revision(base.revision), hash: base.hash };
  }

  setApplied({ meta, node, installed }: AppliedMark): void {
    const record = encode([metaTuple(meta), node, installed]);
    this.#putApplied.run(sha256(record), record);
  }

  /** @throws OpenClawError DATA_CORRUPT */
  applied(): AppliedMark {
    const row = this.#applied.get();
    if (row === undefined || !equalBytes(row.sum, sha256(row.record))) {
      throw new OpenClawError("DATA_CORRUPT", "the state's applied index fails its check");
    }
    return orCorrupt("the state's applied index", () => readMark(row.record));
  }
}

function readMark(record: Uint8Array): AppliedMark {
  const reader = new TupleReader(decode(record), "applied mark");
  const mark = {
    meta: readMeta(reader.any()),
    node: reader.orNull((field) => field.that(isNodeId, "a node id")),
    installed: index(reader.count()),
  };
  reader.end();
  return mark;
}
