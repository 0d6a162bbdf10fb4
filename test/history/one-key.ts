/** The check of one key: its operations, made into steps of the cell, given to the search, and named again. */
import { cell } from "./cell.ts";
import type { Operation } from "./history.ts";
import { relevantSteps } from "./relevance.ts";
import { type SearchBudget, search } from "./search.ts";

export type KeyResult =
  /** Operations that took effect or were seen, in an order that explains all answers. */
  | { readonly kind: "order"; readonly order: readonly Operation[] }
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly because: "time" | "memory" };

export function checkKey(operations: readonly Operation[], budget: SearchBudget): KeyResult {
  const steps = relevantSteps(operations);
  const found = search(
    cell,
    steps.map(({ timed }) => timed),
    budget,
  );
  if (found.kind !== "order") return found;
  return { kind: "order", order: found.order.flatMap((index) => steps[index]?.operation ?? []) };
}
