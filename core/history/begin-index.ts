/** The index of a state whose ledger begins behind revisions that are not there. */
import { type Revision, revision } from "../ids.ts";
import { Transaction } from "../state-machine/transaction.ts";
import type { StateView, Write } from "../state-machine/view.ts";
import { MARK_KEY, markRow, timesKey, timesRow } from "./history-rows.ts";
import { readMark } from "./index-records.ts";

/**
 * That the index begins at `at`, a revision without a record of its own, whose time is taken to be the latest one read. What
 * was read before is pruned up to it.
 */
export function beginIndex(index: StateView, at: Revision): Write[] {
  const tx = new Transaction(index);
  const mark = readMark(index);
  const { latest } = mark;
  if (latest !== null)
    tx.write(timesKey(at), timesRow, { times: [latest], earliest: latest, before: null, bytes: 0, logTime: 0 });
  // There is nothing at `at` that a later compaction would have to look at.
  tx.write(MARK_KEY, markRow, { ...mark, indexed: at, pruned: revision(at + 1) });
  return tx.writes();
}
