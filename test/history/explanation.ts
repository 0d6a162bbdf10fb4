/** Why a history is not linearizable, or why nobody knows, in a few lines for a person. */
import type { Budget, Result } from "./check.ts";
import type { Operation, Value } from "./history.ts";
import { findViolation, type Violation } from "./violation.ts";

/** Of the order before the violation so many operations are shown. */
const LAST_MAX = 12;

/**
 * @param moment what a moment of the history is: "line" for one that was read from a file
 * @param budget for finding the place
 */
export function explanation(result: Result, moment: string, budget: Budget): readonly string[] {
  switch (result.verdict) {
    case "linearizable":
      return [];
    case "unknown":
      return result.undecided.map(
        ({ key, operations, because }) =>
          `key ${JSON.stringify(key)}, ${operations} operations: the budget of ${because} is used up`,
      );
    case "not linearizable": {
      const key = `key ${JSON.stringify(result.key)}, ${result.operations.length} operations`;
      const violation = findViolation(result.operations, budget);
      if (violation === null) return [`${key}: the budget was used up before the place was found`];
      return [`${key}: no order has a place for`, ...ofViolation(violation, moment)];
    }
  }
}

function ofViolation({ blocked, open, order }: Violation, moment: string): readonly string[] {
  const line = (operation: Operation): string => `  ${described(operation, moment)}`;
  const shown = order.slice(-LAST_MAX);
  return [
    line(blocked),
    order.length === 0
      ? "and nothing had taken effect before"
      : `What had returned before has one; its last ${shown.length} of ${order.length} are`,
    ...shown.map(line),
    ...(open.length === 0 ? [] : ["and open were then, outside of this order", ...open.map(line)]),
  ];
}

function described({ process, call, outcome, invoked, returned }: Operation, moment: string): string {
  const end = returned === null ? "outcome unknown" : `returned at ${moment} ${returned}`;
  const answer = (): string => {
    switch (outcome.kind) {
      case "saw":
        return ` → ${said(outcome.value)}`;
      case "differed":
        return " → the value differed";
      case "failed":
        return " → failed";
      case "ok":
      case "unknown":
        return "";
    }
  };
  return `process ${process}: ${asked(call)}${answer()} (invoked at ${moment} ${invoked}, ${end})`;
}

function asked(call: Operation["call"]): string {
  switch (call.kind) {
    case "get":
    case "delete":
      return call.kind;
    case "put":
    case "append":
      return `${call.kind} ${said(call.value)}`;
    case "cas":
      return `cas ${said(call.from)} to ${said(call.to)}`;
  }
}

/** The end of a long value tells more: appends are there. */
const said = (value: Value): string =>
  value === null ? "nil" : JSON.stringify(value.length > 60 ? `…${value.slice(-60)}` : value);
