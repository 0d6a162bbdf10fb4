/** Histories of a correct store, from one seed, and the same with one answer spoiled. */

import type { Random } from "@openclaw/core/ports.ts";
import type { Call, Operation, Outcome, Value } from "../../history/history.ts";
import { canEndSo } from "../../history/recorder.ts";

export interface Shape {
  readonly operations: number;
  readonly processes: number;
  readonly keys: number;
  /** How many different values are written; null if each is written once only. */
  readonly values: number | null;
  /** Part of the operations whose outcome is unknown. */
  readonly unknown: number;
  readonly kinds: readonly Call["kind"][];
}

interface Pending {
  readonly process: number;
  readonly key: string;
  readonly call: Call;
  readonly invoked: number;
  outcome: Outcome | null;
  /** Nobody will be told; its process goes on at once. */
  readonly lost: boolean;
}

/** Each operation takes effect at one moment between its invocation and its return: so the history is linearizable. */
export function generatedHistory(random: Random, shape: Shape): readonly Operation[] {
  const store = new Map<string, string>();
  const operations: Operation[] = [];
  const pending: Pending[] = [];
  const idle = Array.from({ length: shape.processes }, (_, process) => process);
  const pick = (count: number): number => Math.floor(random.unit() * count);
  let moment = 0;
  let invoked = 0;
  let written = 0;
  const newValue = (): string => String(shape.values === null ? ++written : pick(shape.values));
  const oldValue = (key: string): Value =>
    random.unit() < 0.6 ? (store.get(key) ?? null) : shape.values === null ? String(1 + pick(written)) : newValue();

  while (invoked < shape.operations || pending.some(({ lost }) => !lost)) {
    const due = pending.filter(({ outcome }) => outcome === null);
    const done = pending.filter(({ outcome, lost }) => outcome !== null && !lost);
    const chance = random.unit();
    if (chance < 0.34 && idle.length > 0 && invoked < shape.operations) {
      const process = idle.splice(pick(idle.length), 1)[0] ?? 0;
      const key = `k${pick(shape.keys)}`;
      const call = callOf(shape.kinds[pick(shape.kinds.length)] ?? "get", newValue, () => oldValue(key));
      const lost = random.unit() < shape.unknown;
      pending.push({ process, key, call, invoked: ++moment, outcome: null, lost });
      invoked++;
      if (lost) idle.push(process);
    } else if (chance < 0.67 && due.length > 0) {
      const operation = due[pick(due.length)];
      if (operation !== undefined) operation.outcome = applied(store, operation);
    } else if (done.length > 0) {
      const operation = done[pick(done.length)];
      if (operation === undefined || operation.outcome === null) continue;
      pending.splice(pending.indexOf(operation), 1);
      const { process, key, call, outcome } = operation;
      operations.push({ process, key, call, invoked: operation.invoked, returned: ++moment, outcome });
      idle.push(process);
    }
  }
  for (const { process, key, call, invoked } of pending) {
    operations.push({ process, key, call, invoked, returned: null, outcome: { kind: "unknown" } });
  }
  return operations.sort((a, b) => a.invoked - b.invoked);
}

function callOf(kind: Call["kind"], value: () => string, old: () => Value): Call {
  switch (kind) {
    case "get":
    case "delete":
      return { kind };
    case "put":
    case "append":
      return { kind, value: value() };
    case "cas":
      return { kind, from: old(), to: value() };
  }
}

function applied(store: Map<string, string>, { key, call }: Pending): Outcome {
  const value = store.get(key) ?? null;
  const set = (to: Value): Outcome => {
    if (to === null) store.delete(key);
    else store.set(key, to);
    return { kind: "ok" };
  };
  switch (call.kind) {
    case "get":
      return { kind: "saw", value };
    case "put":
      return set(call.value);
    case "append":
      return set((value ?? "") + call.value);
    case "delete":
      return set(null);
    case "cas":
      return value === call.from ? set(call.to) : { kind: "differed" };
  }
}

/** The same history with one answer replaced by another that its call may have; it may be linearizable all the same. */
export function spoiled(
  random: Random,
  operations: readonly Operation[],
  values: readonly Value[],
): readonly Operation[] {
  const at = Math.floor(random.unit() * operations.length);
  return operations.map((operation, i) => {
    if (i !== at || operation.returned === null) return operation;
    const candidates: Outcome[] = [
      { kind: "ok" },
      { kind: "differed" },
      { kind: "failed" },
      ...values.map((value): Outcome => ({ kind: "saw", value })),
    ];
    const fitting = candidates.filter(
      (outcome) => canEndSo(operation.call, outcome) && JSON.stringify(outcome) !== JSON.stringify(operation.outcome),
    );
    const outcome = fitting[Math.floor(random.unit() * fitting.length)];
    return outcome === undefined ? operation : { ...operation, outcome };
  });
}
