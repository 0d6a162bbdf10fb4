/**
 * Takes out of one key's history what cannot change the verdict, so that the search has less to try. Each rule keeps
 * every order that could satisfy all observers; the property test compares with a search that has none of them.
 *
 * - What failed, and a get whose answer nobody knows, tell nothing.
 * - Values that nobody ever compares with anything are alike to all observers: one stands for all of them.
 * - A write of unknown outcome may be taken as one that never happened, unless somebody may have seen its value; and it
 *   is of no use after the last who may have.
 */
import { unreachable } from "@openclaw/core/errors.ts";
import type { CellStep } from "./cell-step.ts";
import type { Operation, Value } from "./history.ts";
import type { Timed } from "./model.ts";

export interface RelevantStep {
  readonly operation: Operation;
  readonly timed: Timed<CellStep>;
}

/** @param operations those of one key, well-formed */
export function relevantSteps(operations: readonly Operation[]): readonly RelevantStep[] {
  const steps: { operation: Operation; step: CellStep; returned: number | null }[] = [];
  for (const operation of operations) {
    const step = stepOf(operation);
    if (step !== null) steps.push({ operation, step, returned: operation.returned });
  }
  const rename = standIns(steps.map(({ step }) => step));
  const useful = usefulness(steps);
  return steps.flatMap(({ operation, step, returned }): readonly RelevantStep[] => {
    const { invoked } = operation;
    const renamed = rename(step);
    if (returned !== null) return [{ operation, timed: { kind: "must", step: renamed, invoked, returned } }];
    const usefulUntil = useful(step);
    return usefulUntil <= invoked ? [] : [{ operation, timed: { kind: "may", step: renamed, invoked, usefulUntil } }];
  });
}

/** What the operation did to the cell or saw of it; null if that is nothing. */
function stepOf({ call, outcome }: Operation): CellStep | null {
  if (outcome.kind === "failed") return null;
  switch (call.kind) {
    case "get":
      return outcome.kind === "saw" ? { kind: "read", value: outcome.value } : null;
    case "put":
      return { kind: "write", value: call.value };
    case "delete":
      return { kind: "write", value: null };
    case "append":
      return { kind: "append", value: call.value };
    case "cas":
      if (outcome.kind === "differed") return { kind: "differs", from: call.from };
      if (call.from !== call.to) return { kind: "swap", from: call.from, to: call.to };
      return outcome.kind === "unknown" ? null : { kind: "read", value: call.from };
  }
}

/** Renames values that nobody compares to the first of them. With appends every value may become part of another. */
function standIns(steps: readonly CellStep[]): (step: CellStep) => CellStep {
  const compared = new Set<Value>();
  for (const step of steps) {
    if (step.kind === "append") return (same) => same;
    if (step.kind === "read") compared.add(step.value);
    else if (step.kind !== "write") compared.add(step.from);
  }
  let standIn: { readonly value: Value } | null = null;
  const renamed = (value: Value): Value => {
    if (compared.has(value)) return value;
    standIn ??= { value };
    return standIn.value;
  };
  return (step) => {
    if (step.kind === "write") return { kind: "write", value: renamed(step.value) };
    if (step.kind === "swap") return { kind: "swap", from: step.from, to: renamed(step.to) };
    return step;
  };
}

/** Until when the effect of a step of unknown outcome can matter to somebody whose outcome is known. */
function usefulness(
  steps: readonly { readonly step: CellStep; readonly returned: number | null }[],
): (step: CellStep) => number {
  /** The last moment at which somebody may have seen exactly this value. */
  const seen = new Map<Value, number>();
  /** The last moment at which somebody may have seen that the value was another one than this. */
  const missed = new Map<Value, number>();
  const later = (moments: Map<Value, number>, value: Value, moment: number): boolean => {
    const before = moments.get(value) ?? Number.NEGATIVE_INFINITY;
    if (moment > before) moments.set(value, moment);
    return moment > before;
  };
  const chains: { readonly from: Value; readonly to: Value }[] = [];
  let appends = false;
  for (const { step, returned } of steps) {
    if (step.kind === "append") appends = true;
    if (returned === null) {
      if (step.kind === "swap") chains.push(step);
    } else if (step.kind === "read") later(seen, step.value, returned);
    else if (step.kind === "swap") later(seen, step.from, returned);
    else if (step.kind === "differs") later(missed, step.from, returned);
  }

  const latest = (moments: Map<Value, number>, matches: (value: Value) => boolean): number => {
    let last = Number.NEGATIVE_INFINITY;
    for (const [value, moment] of moments) if (moment > last && matches(value)) last = moment;
    return last;
  };
  if (appends) {
    // What was written may have been seen as a part of something longer, and a cas may have passed it on.
    const text = (step: CellStep): string =>
      ("value" in step ? step.value : step.kind === "swap" ? step.to : null) ?? "";
    const missedAny = latest(missed, () => true);
    const seenIn = (part: string): number => latest(seen, (value) => chains.length > 0 || (value ?? "").includes(part));
    return (step) => Math.max(missedAny, seenIn(text(step)));
  }

  const ofValue = (value: Value): number =>
    Math.max(
      seen.get(value) ?? Number.NEGATIVE_INFINITY,
      latest(missed, (from) => from !== value),
    );
  // A value is also of use to a cas of unknown outcome, as long as what that leaves behind is of use.
  for (let moved = true; moved; ) {
    moved = false;
    for (const { from, to } of chains) if (later(seen, from, ofValue(to))) moved = true;
  }
  return (step) => {
    switch (step.kind) {
      case "write":
        return ofValue(step.value);
      case "swap":
        return ofValue(step.to);
      case "append":
      case "read":
      case "differs":
        return Number.NEGATIVE_INFINITY;
      default:
        return unreachable(step);
    }
  };
}
