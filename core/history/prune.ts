/**
 * What a compaction leaves of the history index: of each key the newest version at or before it, unless that is an earlier
 * delete, and all later ones (etcd). The records are gone through in their order: each takes away what stood under its keys
 * before it. So a step costs what its records did, and keys that were not written since are not looked at.
 */
import { type Revision, revision } from "../ids.ts";
import { isKeyEvent } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import type { StoredRecord } from "../ports.ts";
import { keyRowKey } from "../state-machine/keyspace.ts";
import { Transaction } from "../state-machine/transaction.ts";
import type { StateView, Write } from "../state-machine/view.ts";
import {
  AFTER_TIMES,
  afterVersions,
  firstOfTimes,
  MARK_KEY,
  markRow,
  timesKey,
  timesRow,
  versionKey,
  versionRow,
} from "./history-rows.ts";
import { readMark } from "./index-records.ts";

/** Runs of times that are removed at once. */
const PAGE_RUNS = 128;

/** @param records those at and after the mark, at least one at or before `compacted`; those after it are left alone */
export function pruneKeys(index: StateView, records: readonly StoredRecord[], compacted: Revision): Write[] {
  const tx = new Transaction(index);
  const mark = readMark(index);
  let pruned = mark.pruned;
  for (const { revision: at, record } of records) {
    if (at > compacted) break;
    pruned = at;
    const { origin, events } = decodeRecord(record);
    for (const event of events) {
      if (isKeyEvent(event)) pruneKey(tx, index, keyRowKey(origin?.cluster ?? null, event.key), at, compacted);
    }
  }
  tx.write(MARK_KEY, markRow, { ...mark, pruned });
  return tx.writes();
}

function pruneKey(tx: Transaction, index: StateView, row: Uint8Array, at: Revision, compacted: Revision): void {
  const [before] = index.scan(versionKey(row, revision(at - 1)), afterVersions(row), 1);
  if (before !== undefined) tx.remove(before.key);
  if (at === compacted) return;
  const key = versionKey(row, at);
  const version = index.get(key);
  // Gone where a step before this one, broken off behind its write, has done all this.
  if (version !== undefined && versionRow.decode(version).value === null) tx.remove(key);
}

/** Some of the runs that end before the compaction; none when there are no more. */
export function pruneTimes(index: StateView, compacted: Revision): Write[] {
  return index
    .scan(timesKey(revision(compacted - 1)), AFTER_TIMES, PAGE_RUNS)
    .filter(({ key, value }) => firstOfTimes(key) + timesRow.decode(value).times.length <= compacted)
    .map(({ key }) => ({ key, value: null }));
}
