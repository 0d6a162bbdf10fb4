/**
 * The history as the general checker of test/history takes it: it is shown values only, and knows no revisions. So it
 * does not have to believe what the ledger says of the order.
 */
import { checkHistory } from "../../history/check.ts";
import type { Operation, Outcome, Call as ValueCall } from "../../history/history.ts";
import type { Call, History } from "./history.ts";

/** Looks at the clock before the search of one history is given up: a budget that is the same in each run. */
const LOOKS_MAX = 1_000;
const BYTES_MAX = 256 * 1_048_576;

/** @returns what is wrong; a history that is too hard to decide is none */
export function callFaults(history: History): readonly string[] {
  let looks = 0;
  const result = checkHistory(operations(history), { now: () => looks++, milliseconds: LOOKS_MAX, bytes: BYTES_MAX });
  if (result.verdict !== "not linearizable") return [];
  return [`no order of the ${result.operations.length} calls of ${result.key} explains what callers were told`];
}

function operations({ calls }: History): readonly Operation[] {
  const processes = new Map<string, number>();
  const values = valuesByRevision(calls);
  return calls.flatMap((call): readonly Operation[] => {
    const asked = callOf(call, values);
    // Nobody can have been told of the revision that it expects: see valuesByRevision.
    if (asked === null) throw new Error(`${call.process} expects a revision that no caller was told of`);
    const process = processes.get(call.process) ?? processes.size;
    processes.set(call.process, process);
    const returned = call.answer === null ? null : call.ended;
    return [{ process, key: call.key, call: asked, invoked: call.began, returned, outcome: outcomeOf(call) }];
  });
}

/** Every value is written once: a key's revision stands for its value. Whoever compares was told of both. */
function valuesByRevision(calls: readonly Call[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const { key, asked, answer } of calls) {
    if (answer?.kind === "wrote" && "value" in asked) values.set(`${key} ${answer.revision}`, asked.value);
    if (answer?.kind === "saw" && answer.row !== null) values.set(`${key} ${answer.row.revision}`, answer.row.value);
  }
  return values;
}

function callOf({ key, asked, answer }: Call, values: ReadonlyMap<string, string>): ValueCall | null {
  switch (asked.kind) {
    case "read":
      return { kind: "get" };
    case "delete":
      // One that found nothing is an observation.
      return answer?.kind === "saw" ? { kind: "get" } : { kind: "delete" };
    case "put":
      return { kind: "put", value: asked.value };
    case "compareAndSet": {
      const from = asked.expected === 0 ? null : values.get(`${key} ${asked.expected}`);
      return from === undefined ? null : { kind: "cas", from, to: asked.value };
    }
  }
}

function outcomeOf({ answer }: Call): Outcome {
  switch (answer?.kind) {
    case undefined:
      return { kind: "unknown" };
    case "wrote":
      return { kind: "ok" };
    case "differed":
      return { kind: "differed" };
    case "saw":
      return { kind: "saw", value: answer.row?.value ?? null };
  }
}
