/**
 * How much of the past fits what shall be kept of it. Age is counted in log time (T1), because no node's wall clock may
 * decide what is lost: so it is never overstated, and stands still while nothing is written.
 */
import { type Revision, revision } from "../ids.ts";
import type { Position } from "../state-machine/query.ts";
import { keyAfter } from "../state-machine/row-pages.ts";
import type { StateView } from "../state-machine/view.ts";
import type { HistoryQuery } from "./history-query.ts";
import { AFTER_TIMES, firstOfTimes, timesKey, timesRow } from "./history-rows.ts";

/** Runs read between two pauses. */
const PAGE_RUNS = 64;

/** Runs are kept whole; of the newest one, if even that is too much, the present state. */
export function* outgrown(
  index: StateView,
  { revision: newest, logTime, compacted }: Position,
  { ageMs, bytes }: Extract<HistoryQuery, { kind: "outgrown" }>,
): Generator<void, { readonly revision: Revision }> {
  let first: Revision = newest;
  let total = 0;
  for (let next = timesKey(newest); ; ) {
    const page = index.scan(next, AFTER_TIMES, PAGE_RUNS);
    for (const { key, value } of page) {
      const run = timesRow.decode(value);
      total += run.bytes;
      if ((bytes !== null && total > bytes) || (ageMs !== null && run.logTime < logTime - ageMs))
        return { revision: first };
      first = firstOfTimes(key);
      // What is compacted already, and not removed yet, counts no more.
      if (first <= compacted) return { revision: revision(0) };
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_RUNS) return { revision: revision(0) };
    next = keyAfter(last.key);
    yield;
  }
}
