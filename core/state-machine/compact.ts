/**
 * From which revision on the past is kept: a replicated number, so that every member refuses the same. What is below it is
 * removed by each member in its own time (`History.prune`).
 */
import type { Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { Outcome } from "./command.ts";
import type { LedgerWriter } from "./ledger-writer.ts";
import { accepted, refused } from "./outcome.ts";
import { parentHolds } from "./position.ts";
import type { Transaction } from "./transaction.ts";

/**
 * As etcd's: nothing is compacted twice, and nothing that is still to come. What the parent does not hold yet is kept for
 * it (S5): that is the next revision after those it holds, as soon as it ever told of one.
 */
export function compact(tx: Transaction, ledger: LedgerWriter, to: Revision): Outcome {
  const { revision: newest, compacted } = ledger.position;
  if (to <= compacted) return refused("COMPACTED", `compacted at ${compacted}`);
  if (to > newest) return refused("REVISION_AHEAD", `revision ${to}, here ${newest}`);
  const holds = parentHolds(tx);
  if (holds !== null && to > holds + 1) return refused("NOT_SHIPPED", `the parent holds revision ${holds}`);
  ledger.compact(revision(to));
  return accepted(newest);
}
