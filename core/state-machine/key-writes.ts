/**
 * What one command does to this cluster's own keys: it reads and writes rows, and gathers the events of the revision that
 * it takes. What it may read and write is bounded: a command runs between two others, and its record travels.
 */
import { OpenClawError, unreachable } from "../errors.ts";
import type { LeaseId, Revision } from "../ids.ts";
import type { Home, KeyEvent } from "../ledger/record.ts";
import { EVENTS_MAX, RANGE_ROWS_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import { type KeyRow, keyRow, setKey } from "./key-rows.ts";
import { keyOfRow, keyRange, keyRowKey } from "./keyspace.ts";
import { EVENT_OVERHEAD_BYTES, moveKey } from "./lease-rows.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { type KeySelector, type KeyValue, rowBytes } from "./operation.ts";
import type { Transaction } from "./transaction.ts";

/** Bytes of rows that one command may read. */
const READ_BYTES_MAX = 64 * 1_048_576;

export class KeyWrites {
  readonly #tx: Transaction;
  readonly #ledger: LedgerWriter;
  readonly #events: KeyEvent[] = [];
  #eventBytes = 0;
  #rowsRead = 0;
  #bytesRead = 0;

  /** True if one more event of a key like this finds no room. */
  isFullFor(bytes: number): boolean {
    return this.#events.length === EVENTS_MAX || this.#eventBytes + EVENT_OVERHEAD_BYTES + bytes > RECORD_BYTES_MAX;
  }

  constructor(tx: Transaction, ledger: LedgerWriter) {
    this.#tx = tx;
    this.#ledger = ledger;
  }

  get(key: Uint8Array): KeyRow | undefined {
    return this.#tx.read(keyRowKey(null, key), keyRow);
  }

  /** The selected rows as they stand now, ascending. @throws OpenClawError TXN_TOO_LARGE */
  *select(keys: KeySelector): Generator<KeyValue> {
    switch (keys.kind) {
      case "key": {
        const row = this.get(keys.key);
        if (row !== undefined) yield this.#read({ key: keys.key, ...row });
        return;
      }
      case "range": {
        const { from, to } = keyRange(null, keys.from, keys.to);
        for (const { key, value } of this.#tx.rows(from, to, keyRow))
          yield this.#read({ key: keyOfRow(null, key), ...value });
        return;
      }
      default:
        unreachable(keys);
    }
  }

  /** @throws OpenClawError TXN_TOO_LARGE; with a lease, LEASE_NOT_FOUND, LEASE_FULL */
  put(key: Uint8Array, value: Uint8Array, lease: LeaseId | null): void {
    this.#write({ kind: "put", key, value, lease, numbers: null, encryption: null });
  }

  /** @throws OpenClawError TXN_TOO_LARGE */
  remove(key: Uint8Array): void {
    this.#write({ kind: "delete", key });
  }

  /** Deletes the selected keys, and returns what they were. @throws OpenClawError TXN_TOO_LARGE */
  delete(keys: KeySelector): readonly KeyValue[] {
    const deleted: KeyValue[] = [];
    for (const row of this.select(keys)) {
      if (deleted.length === EVENTS_MAX) throw tooLarge(`more than ${EVENTS_MAX} keys at once`);
      deleted.push(row);
    }
    for (const { key } of deleted) this.remove(key);
    return deleted;
  }

  /** The revision of what was written, or the present one where nothing was: that takes none (L1). @param home of every key */
  commit(author: Author, home: Home): Revision {
    return this.#events.length === 0 ? this.#ledger.position.revision : this.#ledger.append(author, this.#events, home);
  }

  #write(event: KeyEvent): void {
    this.#eventBytes += EVENT_OVERHEAD_BYTES + event.key.length + (event.kind === "put" ? event.value.length : 0);
    if (this.#events.length === EVENTS_MAX || this.#eventBytes > RECORD_BYTES_MAX)
      throw tooLarge(`more than ${EVENTS_MAX} events, or ${RECORD_BYTES_MAX} bytes of them`);
    const row = keyRowKey(null, event.key);
    const current = this.#tx.read(row, keyRow);
    moveKey(this.#tx, event.key, current?.lease ?? null, event.kind === "put" ? event.lease : null);
    setKey(this.#tx, row, current, event, this.#ledger.next);
    this.#events.push(event);
  }

  #read(row: KeyValue): KeyValue {
    this.#rowsRead++;
    this.#bytesRead += rowBytes(row);
    if (this.#rowsRead > RANGE_ROWS_MAX || this.#bytesRead > READ_BYTES_MAX)
      throw tooLarge(`reads more than ${RANGE_ROWS_MAX} rows, or ${READ_BYTES_MAX} bytes of them`);
    return row;
  }
}

const tooLarge = (details: string): OpenClawError => new OpenClawError("TXN_TOO_LARGE", details);
