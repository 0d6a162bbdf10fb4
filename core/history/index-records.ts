/** Reads records of the ledger into the history index: each event becomes a version, as apply made a row of it. */
import { invariant } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { isKeyEvent, type LedgerEvent, type LedgerRecord } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import type { StoredRecord } from "../ports.ts";
import { keyRowKey } from "../state-machine/keyspace.ts";
import { Transaction } from "../state-machine/transaction.ts";
import type { StateView, Write } from "../state-machine/view.ts";
import type { Version } from "./history-query.ts";
import {
  afterVersions,
  MARK_KEY,
  type Mark,
  markRow,
  timesKey,
  timesRow,
  versionKey,
  versionRow,
} from "./history-rows.ts";

const NO_MARK: Mark = { indexed: revision(0), pruned: revision(0), latest: null };

export function readMark(index: StateView): Mark {
  const bytes = index.get(MARK_KEY);
  return bytes === undefined ? NO_MARK : markRow.decode(bytes);
}

/**
 * @param records those that follow the mark, at least one
 * @param logTime the state's by now
 */
export function indexRecords(index: StateView, records: readonly StoredRecord[], logTime: number): Write[] {
  const mark = readMark(index);
  const tx = new Transaction(index);
  const keys = new Keys(tx, index);
  const times: number[] = [];
  let next = mark.indexed + 1;
  for (const stored of records) {
    invariant(stored.revision === next, `revision ${stored.revision} does not follow ${next - 1} in the history index`);
    const record = decodeRecord(stored.record);
    times.push(record.time);
    for (const event of record.events) keys.take(record, event);
    next++;
  }
  const earliest = Math.min(...times);
  const bytes = records.reduce((sum, { record }) => sum + record.length, 0);
  const run = { times, earliest, before: mark.latest, bytes, logTime };
  tx.write(timesKey(revision(mark.indexed + 1)), timesRow, run);
  const latest = Math.max(...times, mark.latest ?? Number.NEGATIVE_INFINITY);
  tx.write(MARK_KEY, markRow, { ...mark, indexed: revision(next - 1), latest });
  return tx.writes();
}

/** What a run makes of keys: the newest version of one may be what the run itself wrote. */
class Keys {
  readonly #tx: Transaction;
  readonly #index: StateView;
  readonly #newest = new Map<string, Version>();

  constructor(tx: Transaction, index: StateView) {
    this.#tx = tx;
    this.#index = index;
  }

  take(record: LedgerRecord, event: LedgerEvent): void {
    // What a document was is told by the state itself: it forgets no change. Of commands and homes no past is asked for.
    if (!isKeyEvent(event)) return;
    const row = keyRowKey(record.origin?.cluster ?? null, event.key);
    const name = keyName(record.origin?.cluster ?? null, event.key);
    const before = this.#newest.get(name) ?? newestVersion(this.#index, row, record.revision)?.version;
    const at = record.origin?.revision ?? record.revision;
    const begins = before === undefined || before.value === null;
    const numbers = {
      createRevision: begins || event.kind === "delete" ? at : before.createRevision,
      modRevision: at,
      version: event.kind === "delete" ? 0 : begins ? 1 : before.version + 1,
    };
    const version: Version = {
      value: event.kind === "put" ? event.value : null,
      ...((event.kind === "put" ? event.numbers : null) ?? numbers),
      lease: event.kind === "put" ? event.lease : null,
      principal: record.principal,
      time: record.time,
    };
    this.#newest.set(name, version);
    this.#tx.write(versionKey(row, record.revision), versionRow, version);
  }
}

/** The newest version of a row at or before a revision. */
export function newestVersion(
  index: StateView,
  row: Uint8Array,
  at: Revision,
): { readonly key: Uint8Array; readonly version: Version } | undefined {
  const [found] = index.scan(versionKey(row, at), afterVersions(row), 1);
  return found === undefined ? undefined : { key: found.key, version: versionRow.decode(found.value) };
}

const keyName = (origin: ClusterId | null, key: Uint8Array): string =>
  `${origin ?? ""} ${Reflect.apply(String.fromCharCode, null, key)}`;
