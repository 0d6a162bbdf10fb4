/** Which revision was the last one at a wall time (T2). */
import { OpenClawError } from "../errors.ts";
import { type Revision, revision } from "../ids.ts";
import { keyAfter } from "../state-machine/row-pages.ts";
import type { StateView } from "../state-machine/view.ts";
import type { HistoryAnswers } from "./history-query.ts";
import { AFTER_TIMES, firstOfTimes, timesKey, timesRow } from "./history-rows.ts";

/** Runs read between two pauses. */
const PAGE_RUNS = 64;
const NEWEST = timesKey(revision(Number.MAX_SAFE_INTEGER));

/**
 * The last revision stamped at or before the time. From the newest run back: wall clocks may have been put back, so a later
 * revision may have an earlier time.
 * @throws OpenClawError COMPACTED, BAD_REQUEST for a time before the first revision
 */
export function* revisionAt(
  index: StateView,
  time: number,
  compacted: Revision,
): Generator<void, HistoryAnswers["revisionAt"]> {
  let first: number | null = null;
  for (let next = NEWEST; ; ) {
    const page = index.scan(next, AFTER_TIMES, PAGE_RUNS);
    for (const { key, value } of page) {
      const { times, earliest, before } = timesRow.decode(value);
      first = times[0] ?? first;
      if (earliest > time) continue;
      const last = times.findLastIndex((one) => one <= time);
      const found = revision(firstOfTimes(key) + last);
      if (found < compacted) throw new OpenClawError("COMPACTED", `the history is kept from revision ${compacted}`);
      const later = (before ?? Number.NEGATIVE_INFINITY) > time || times.slice(0, last).some((one) => one > time);
      return { revision: found, time: times[last] ?? time, ambiguous: later };
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_RUNS) break;
    next = keyAfter(last.key);
    yield;
  }
  if (compacted > 1) throw new OpenClawError("COMPACTED", `the history is kept from revision ${compacted}`);
  const since = first === null ? "" : `; the first is of ${first} ms since 1970`;
  throw new OpenClawError("BAD_REQUEST", `no revision was written by then${since}`);
}
