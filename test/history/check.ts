/** Is a history linearizable? Keys are independent, so each is checked by itself (Herlihy and Wing 1990, locality). */
import { HistoryError, type Operation } from "./history.ts";
import { checkKey } from "./one-key.ts";
import { canEndSo } from "./recorder.ts";

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
  /** One key is enough; the others may not have been looked at. `findViolation` says what does not fit. */
  | { readonly verdict: "not linearizable"; readonly key: string; readonly operations: readonly Operation[] }
  | { readonly verdict: "unknown"; readonly undecided: readonly Undecided[] };

export type Verdict = Result["verdict"];

export interface Undecided {
  readonly key: string;
  readonly operations: number;
  /** Which part of the budget was used up. */
  readonly because: "time" | "memory";
}

/** Enough for histories that are not made to be hard. */
export const DEFAULT_BUDGET = { milliseconds: 60_000, bytes: 1024 * 1024 * 1024 } as const;

/** @throws HistoryError if an operation contradicts itself */
export function checkHistory(history: readonly Operation[], budget: Budget): Result {
  const keys = [...byKey(history)].sort(([, a], [, b]) => a.length - b.length);
  const end = budget.now() + budget.milliseconds;
  const undecided: Undecided[] = [];
  for (const [i, [key, operations]] of keys.entries()) {
    const now = budget.now();
    const deadline = now + (end - now) / (keys.length - i);
    const result = checkKey(operations, { now: budget.now, deadline, bytes: budget.bytes });
    switch (result.kind) {
      case "order":
        break;
      case "none":
        return { verdict: "not linearizable", key, operations };
      case "unknown":
        undecided.push({ key, operations: operations.length, because: result.because });
        break;
    }
  }
  return undecided.length === 0 ? { verdict: "linearizable" } : { verdict: "unknown", undecided };
}

function byKey(history: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const operation of history) {
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
