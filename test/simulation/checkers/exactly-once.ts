/** Q1, Q2: a write that was asked for once took effect at most once, and one that was refused never. */
import type { History, LedgerWrite } from "./history.ts";

export function doubleFaults({ calls }: History, ledger: readonly LedgerWrite[]): readonly string[] {
  const faults: string[] = [];
  const asked = new Map<string, boolean>();
  for (const call of calls)
    if (call.asked.kind !== "read") asked.set(call.asked.value, call.answer?.kind === "differed");
  const seen = new Map<string, number>();
  for (const { value, revision } of ledger) {
    const before = seen.get(value);
    if (before !== undefined) faults.push(`${value} was written at ${before} and again at ${revision}`);
    seen.set(value, revision);
    const refused = asked.get(value);
    if (refused === undefined) faults.push(`${value} was written by nobody`);
    if (refused === true) faults.push(`${value} was refused and stands at ${revision}`);
  }
  return faults;
}
