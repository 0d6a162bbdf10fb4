/** Why a history is not linearizable, or why nobody knows, in a few lines for a person. */
import type { Result, Violation } from "./check.ts";
import type { Operation, Value } from "./history.ts";

/** @param moment what a moment of the history is: "line" for one that was read from a file */
export function explanation(result: Result, moment: string): readonly string[] {
  switch (result.verdict) {
    case "linearizable":
      return [];
    case "unknown":
      return result.undecided.map(
        ({ key, operations, because }) =>
          `key ${JSON.stringify(key)}, ${operations} operations: the budget of ${because} is used up`,
      );
    case "not linearizable":
      return ofViolation(result.violation, moment);
  }
}

function ofViolation({ key, operations, blocked, open, placed, last }: Violation, moment: string): readonly string[] {
  const line = (operation: Operation): string => `    ${described(operation, moment)}`;
  return [
    `key ${JSON.stringify(key)}, ${operations} operations: there is no place for`,
    line(blocked),
    placed === 0
      ? "  and nothing before it in the order that comes furthest"
      : `  after the ${placed} of the order that comes furthest, which ends with`,
    ...last.map(line),
    ...(open.length === 0 ? [] : ["  while these were open and have no place yet", ...open.map(line)]),
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
