/** What a stream brought, in the steps in which it is taken. */
import { lastRevision } from "../ledger/link-item.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import type { EventRun } from "../sync/child-link.ts";

/** Items that are read, stored and shown in one step: whoever types has a turn between two, and so has the device's store. */
export const STEP_ITEMS_MAX = 256;

export type Run = Pick<EventRun, "items" | "to">;

/** A run in parts of one step each. */
export function stepsOf(run: Run): readonly Run[] {
  const steps: Run[] = [];
  let rest = run.items;
  for (; rest.length > STEP_ITEMS_MAX; rest = rest.slice(STEP_ITEMS_MAX)) {
    const items = rest.slice(0, STEP_ITEMS_MAX);
    const last = items.at(-1);
    if (last !== undefined) steps.push({ items, to: lastRevision(last) });
  }
  return [...steps, { items: rest, to: run.to }];
}

/** The runs that come before the next step of a snapshot, as far as one step goes. */
export function takeRuns(waiting: (Run | SnapshotStep)[]): readonly Run[] {
  const runs: Run[] = [];
  let items = 0;
  for (const one of waiting) {
    if (!("items" in one)) break;
    items += one.items.length;
    if (runs.length > 0 && items > STEP_ITEMS_MAX) break;
    runs.push(one);
  }
  waiting.splice(0, runs.length);
  return runs;
}
