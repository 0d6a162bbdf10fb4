/** Q1, Q2: a write that was asked for once took effect at most once, and one that was refused never. */
import type { History, LedgerWrite } from "./history.ts";

export function doubleFaults({ calls }: History, ledger: readonly LedgerWrite[]): readonly string[] {
  const faults: string[] = [];
  const asked = new Map<string, boolean>();
  for (const call of calls) if ("value" in call.asked) asked.set(call.asked.value, call.answer?.kind === "differed");
  const seen = new Map<string, number>();
  for (const { value, revision } of ledger) {
    if (value === null) continue;
    const before = seen.get(value);
    if (before !== undefined) faults.push(`${value} was written at ${before} and again at ${revision}`);
    seen.set(value, revision);
    const refused = asked.get(value);
    if (refused === undefined) faults.push(`${value} was written by nobody`);
    if (refused === true) faults.push(`${value} was refused and stands at ${revision}`);
  }
  return [...faults, ...deleteFaults(calls, ledger)];
}

/** Deletes have no value that tells them apart: a key is deleted no more often than that was asked for. */
function deleteFaults(calls: History["calls"], ledger: readonly LedgerWrite[]): readonly string[] {
  const left = new Map<string, number>();
  for (const { key, asked, answer } of calls)
    if (asked.kind === "delete" && answer?.kind !== "saw") left.set(key, (left.get(key) ?? 0) + 1);
  return ledger.flatMap(({ key, value, revision }) => {
    if (value !== null) return [];
    const more = (left.get(key) ?? 0) - 1;
    left.set(key, more);
    return more < 0 ? [`${key} was deleted at ${revision}, once more than anybody asked`] : [];
  });
}
