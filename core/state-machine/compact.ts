/**
 * From which revision on the past is kept: a replicated number, so that every member refuses the same. What is below it is
 * removed by each member in its own time (`History.prune`).
 */
import type { Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { Outcome } from "./command.ts";
import { firstForParent } from "./command-rows.ts";
import type { LedgerWriter } from "./ledger-writer.ts";
import { accepted, type Refusal, refused } from "./outcome.ts";
import { parentHolds } from "./position.ts";
import { noteShed } from "./shed.ts";
import type { Transaction } from "./transaction.ts";

/**
 * As etcd's: nothing is compacted twice, and nothing that is still to come. What the parent does not hold yet is kept for
 * it (S5): that is the next revision after those it holds, as soon as it ever told of one.
 */
export function compact(tx: Transaction, ledger: LedgerWriter, to: Revision): Outcome {
  const wrong = refusal(ledger, to);
  if (wrong !== null) return wrong;
  const holds = parentHolds(tx);
  if (holds !== null && to > holds + 1) return refused("NOT_SHIPPED", `the parent holds revision ${holds}`);
  ledger.compact(to);
  return accepted(ledger.position.revision);
}

/**
 * The same beyond what the parent holds, where there is no other room (S5). The parent gets a snapshot of the revision
 * instead of the records up to it, that of the revision too: so all of those count as shed.
 */
export function shed(tx: Transaction, ledger: LedgerWriter, to: Revision, time: number): Outcome {
  const wrong = refusal(ledger, to);
  if (wrong !== null) return wrong;
  const from = revision((parentHolds(tx) ?? 0) + 1);
  // A queued command runs once or never: it must not be shed on its way (Q2), and the last revision that is goes, too.
  const queued = to > from ? firstForParent(tx, from) : null;
  if (queued !== null && to >= queued) return refused("NOT_SHIPPED", `a command is queued at revision ${queued}`);
  if (to > from) noteShed(tx, null, { from, to, time, told: false });
  ledger.compact(to);
  return accepted(ledger.position.revision);
}

function refusal(ledger: LedgerWriter, to: Revision): Refusal | null {
  const { revision: newest, compacted } = ledger.position;
  if (to <= compacted) return refused("COMPACTED", `compacted at ${compacted}`);
  return to > newest ? refused("REVISION_AHEAD", `revision ${to}, here ${newest}`) : null;
}
