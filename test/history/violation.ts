/** Where a history stops being linearizable: its longest beginning that has an order, and the return that ends it. */
import type { Budget } from "./check.ts";
import type { Operation } from "./history.ts";
import { checkKey } from "./one-key.ts";

export interface Violation {
  /** With its answer no order is left. */
  readonly blocked: Operation;
  /** An order of what returned before it. */
  readonly order: readonly Operation[];
  /** What was open when it returned and is not in that order. */
  readonly open: readonly Operation[];
}

/**
 * Every beginning of a linearizable history is linearizable, so the longest one is found by halving.
 * @param operations those of one key that are not linearizable
 * @returns null if the budget was used up before
 */
export function findViolation(operations: readonly Operation[], budget: Budget): Violation | null {
  const deadline = budget.now() + budget.milliseconds;
  const check = (beginning: readonly Operation[]) =>
    checkKey(beginning, { now: budget.now, deadline, bytes: budget.bytes });
  const returns = operations
    .flatMap((operation) => (operation.returned === null ? [] : [{ operation, moment: operation.returned }]))
    .sort((a, b) => a.moment - b.moment);
  const upTo = (count: number): readonly Operation[] => beginningOf(operations, returns[count - 1]?.moment ?? 0);

  /** So many returns have an order, and so many have none. */
  let order: readonly Operation[] = [];
  let good = 0;
  let bad = returns.length;
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    const result = check(upTo(middle));
    if (result.kind === "unknown") return null;
    if (result.kind === "order") {
      good = middle;
      order = result.order;
    } else {
      bad = middle;
    }
  }
  const last = returns[bad - 1];
  if (last === undefined) return null;
  const placed = new Set(order.map(identity));
  const open = operations.filter(
    (operation) =>
      operation.invoked < last.moment &&
      (operation.returned === null || operation.returned > last.moment) &&
      !placed.has(identity(operation)),
  );
  return { blocked: last.operation, order, open };
}

/** What was known at a moment: what had not returned yet was of unknown outcome. */
const beginningOf = (operations: readonly Operation[], moment: number): readonly Operation[] =>
  operations
    .filter(({ invoked }) => invoked <= moment)
    .map((operation) =>
      operation.returned === null || operation.returned <= moment
        ? operation
        : { ...operation, returned: null, outcome: { kind: "unknown" } },
    );

const identity = ({ process, invoked }: Operation): string => `${process} ${invoked}`;
