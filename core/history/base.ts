/**
 * A base: what stood at one revision, without the ledger that led to it. A backup begins with one where the ledger's
 * beginning is compacted, and a state that is made from it is as one that was compacted at that revision: it has the
 * revision's record, and of each key the version that stands.
 */
import { toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import type { StoredRecord } from "../ledger/stored-record.ts";
import type { Sha256 } from "../ports.ts";
import { keyRow } from "../state-machine/key-rows.ts";
import { BASE, isContent, isKeyRow, keyRowKey } from "../state-machine/keyspace.ts";
import { readPosition } from "../state-machine/position.ts";
import type { RowsHash } from "../state-machine/query.ts";
import { rowsOf } from "../state-machine/row-pages.ts";
import { RowsChain } from "../state-machine/state-hash.ts";
import { Transaction } from "../state-machine/transaction.ts";
import type { Row, StateView, Write } from "../state-machine/view.ts";
import { MARK_KEY, markRow, timesKey, timesRow, versionKey, versionOf, versionRow } from "./history-rows.ts";
import type { HistorySource } from "./history-source.ts";
import { newestVersion, readMark } from "./index-records.ts";

/** Bytes of rows at which a part is closed; a row that is larger is a part of its own. */
const PART_BYTES = 65_536;
/** Bytes of records read at once. */
const STEP_BYTES = 65_536;

export interface BaseHead {
  readonly cluster: ClusterId;
  /** The epoch's nonce. */
  readonly epoch: string;
  /** The record of the revision, with the ledger's hash there. */
  readonly last: StoredRecord;
}

/** Which revision put a key last, who, and when: the row of a key does not tell. */
export interface Stamp {
  readonly at: Revision;
  readonly principal: string;
  readonly time: number;
}

/** A row of the state; of a key's, its stamp. */
export interface BaseRow extends Row {
  readonly stamp: Stamp | null;
}

export type BasePart =
  | ({ readonly kind: "head" } & BaseHead)
  /** In the order of their keys, at least one. */
  | { readonly kind: "rows"; readonly rows: readonly BaseRow[] }
  /** How many rows are content, and their hash. */
  | { readonly kind: "end"; readonly content: RowsHash };

export type BaseSource = Pick<HistorySource, "state" | "index" | "records">;

/** The base of a state that does not change meanwhile: a head, rows, an end. @throws OpenClawError BAD_REQUEST at revision 0 */
export function* baseParts(source: BaseSource, sha256: Sha256): Generator<BasePart> {
  const { cluster, epoch, revision: at } = readPosition(source.state);
  const [last] = at === 0 ? [] : source.records(at, 1);
  if (last === undefined) throw new OpenClawError("BAD_REQUEST", "nothing was written yet");
  yield { kind: "head", cluster, epoch: epoch.nonce, last };
  const stamps = new Stamps(source, at);
  const content = new RowsChain(sha256);
  let rows: BaseRow[] = [];
  let bytes = 0;
  for (const { from, to } of BASE) {
    for (const row of rowsOf(source.state, from, to)) {
      if (isContent(row.key)) content.add(row);
      rows.push({ ...row, stamp: isKeyRow(row.key) ? stamps.of(row.key) : null });
      bytes += row.key.length + row.value.length;
      if (bytes < PART_BYTES) continue;
      yield { kind: "rows", rows };
      rows = [];
      bytes = 0;
    }
  }
  if (rows.length > 0) yield { kind: "rows", rows };
  yield { kind: "end", content: content.end() };
}

/** From the history index, and of what that has not read yet, from the ledger: a bounded number of revisions. */
class Stamps {
  readonly #index: StateView;
  readonly #at: Revision;
  readonly #unread = new Map<string, Stamp>();

  constructor({ index, records }: BaseSource, at: Revision) {
    this.#index = index;
    this.#at = at;
    for (let next = readMark(index).indexed + 1; next <= at; ) {
      for (const stored of records(revision(next), STEP_BYTES)) {
        const { principal, time, origin, events } = decodeRecord(stored.record);
        const stamp = { at: stored.revision, principal, time };
        for (const event of events)
          if (event.kind === "put") this.#unread.set(toHex(keyRowKey(origin?.cluster ?? null, event.key)), stamp);
        next = stored.revision + 1;
      }
    }
  }

  of(row: Uint8Array): Stamp {
    const unread = this.#unread.size === 0 ? undefined : this.#unread.get(toHex(row));
    if (unread !== undefined) return unread;
    const found = newestVersion(this.#index, row, this.#at);
    if (found === undefined)
      throw new OpenClawError("DATA_CORRUPT", `the history index does not have the key ${toHex(row)}`);
    const { principal, time } = found.version;
    return { at: versionOf(found.key).at, principal, time };
  }
}

/** The versions that stand at the base, for a history index that begins there. */
export function baseVersions(rows: readonly BaseRow[]): Write[] {
  return rows.flatMap(({ key, value, stamp }) => {
    if (stamp === null) return [];
    const { at, principal, time } = stamp;
    return [{ key: versionKey(key, at), value: versionRow.encode({ ...keyRow.decode(value), principal, time }) }];
  });
}

/** That the index has read everything up to the base, whose own time it knows. */
export function baseMark(index: StateView, { revision: at, record }: StoredRecord): Write[] {
  const tx = new Transaction(index);
  const { time } = decodeRecord(record);
  tx.write(timesKey(at), timesRow, { times: [time], earliest: time, before: null, bytes: record.length, logTime: 0 });
  tx.write(MARK_KEY, markRow, { indexed: at, pruned: at, latest: time });
  return tx.writes();
}
