/** Is a history linearizable? Keys are independent, so each is checked by itself (Herlihy and Wing 1990, locality). */
import { cell } from "./cell.ts";
import { HistoryError, type Operation, type Value } from "./history.ts";
import { canEndSo } from "./recorder.ts";
import { relevantSteps } from "./relevance.ts";
import { search } from "./search.ts";

export interface Budget {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** For the whole history. Each key gets an equal part of what is left; keys of few operations come first. */
  readonly milliseconds: number;
  /** For what is remembered of one key at a time. */
  readonly bytes: number;
}

export type Result =
  | { readonly verdict: "linearizable" }
  /** One key is enough; the others may not have been looked at. */
  | { readonly verdict: "not linearizable"; readonly violation: Violation }
  | { readonly verdict: "unknown"; readonly undecided: readonly Undecided[] };

export type Verdict = Result["verdict"];

export interface Undecided {
  readonly key: string;
  readonly operations: number;
  /** Which part of the budget was used up. */
  readonly because: "time" | "memory";
}

/** The furthest that any order comes: everything that returned before `blocked` fits, and `blocked` does not. */
export interface Violation {
  readonly key: string;
  readonly operations: number;
  readonly blocked: Operation;
  /** What else was open when it returned, and is not in the order. */
  readonly open: readonly Operation[];
  /** The number of operations in that order, and the last of them. */
  readonly placed: number;
  readonly last: readonly Operation[];
}

/** Enough for histories that are not made to be hard. */
export const DEFAULT_BUDGET = { milliseconds: 60_000, bytes: 1024 * 1024 * 1024 } as const;

/** @throws HistoryError if an operation contradicts itself */
export function checkHistory(operations: readonly Operation[], budget: Budget): Result {
  const keys = [...byKey(operations)].sort(([, a], [, b]) => a.length - b.length);
  const end = budget.now() + budget.milliseconds;
  const undecided: Undecided[] = [];
  for (const [i, [key, ofKey]] of keys.entries()) {
    const now = budget.now();
    const deadline = now + (end - now) / (keys.length - i);
    const steps = relevantSteps(ofKey);
    const timed = steps.map((step) => step.timed);
    const found = search<Value, (typeof timed)[number]["step"]>(cell, timed, {
      now: budget.now,
      deadline,
      bytes: budget.bytes,
    });
    const operationsAt = (indexes: readonly number[]): readonly Operation[] =>
      indexes.flatMap((index) => steps[index]?.operation ?? []);
    switch (found.kind) {
      case "order":
        break;
      case "unknown":
        undecided.push({ key, operations: ofKey.length, because: found.because });
        break;
      case "none": {
        const [blocked] = operationsAt([found.blocked]);
        if (blocked === undefined) throw new Error("an impasse at no operation");
        const { placed } = found;
        const [open, last] = [operationsAt(found.open), operationsAt(found.last)];
        const violation = { key, operations: ofKey.length, blocked, open, placed, last };
        return { verdict: "not linearizable", violation };
      }
    }
  }
  return undecided.length === 0 ? { verdict: "linearizable" } : { verdict: "unknown", undecided };
}

function byKey(operations: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const operation of operations) {
    requireWellFormed(operation);
    const ofKey = keys.get(operation.key);
    if (ofKey === undefined) keys.set(operation.key, [operation]);
    else ofKey.push(operation);
  }
  return keys;
}

function requireWellFormed({ process, call, outcome, invoked, returned }: Operation): void {
  const what = `process ${process}: a ${call.kind} invoked at ${invoked}`;
  if (!canEndSo(call, outcome)) throw new HistoryError(`${what} cannot end with "${outcome.kind}"`);
  if ((returned === null) !== (outcome.kind === "unknown")) {
    throw new HistoryError(`${what} has ${returned === null ? "no return" : "a return"} and is "${outcome.kind}"`);
  }
  if (Number.isNaN(invoked) || (returned !== null && !(returned > invoked))) {
    throw new HistoryError(`${what} returned at ${returned}`);
  }
}
