/** Runs of link items: revisions without a gap, as they travel in one frame. */
import { OpenClawError } from "../errors.ts";
import { type Revision, revision } from "../ids.ts";
import { firstRevision, lastRevision } from "../ledger/link-item.ts";
import type { LinkItem } from "../ledger/record.ts";

/** True if nothing in the run has a body: taking it changes a cursor and nothing else. */
export const isBare = (items: readonly LinkItem[]): boolean => items.every((item) => item.kind !== "body");

/**
 * Checks that the items follow `after` without a gap or an overlap.
 * @returns the last revision of the run, `after` when it is empty
 * @throws OpenClawError GAP
 */
export function runEnd(items: readonly LinkItem[], after: Revision): Revision {
  let end: number = after;
  for (const item of items) {
    const first = firstRevision(item);
    if (first !== end + 1 || lastRevision(item) < first) {
      throw new OpenClawError("GAP", `revision ${end + 1} was due, ${first} came`);
    }
    end = lastRevision(item);
  }
  return revision(end);
}

/** One run after another, with skips that meet made one. */
export function joinRuns(before: readonly LinkItem[], after: readonly LinkItem[]): readonly LinkItem[] {
  const last = before.at(-1);
  const first = after[0];
  if (last?.kind !== "skip" || first?.kind !== "skip") return [...before, ...after];
  return [...before.slice(0, -1), { kind: "skip", from: last.from, to: first.to, hash: first.hash }, ...after.slice(1)];
}
