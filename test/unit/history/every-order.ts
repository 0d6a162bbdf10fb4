/** The definition of linearizability, tried out on every order: slow, short and independent of the checker. */
import type { Operation, Value } from "../../history/history.ts";

export function isLinearizable(operations: readonly Operation[]): boolean {
  return [...new Set(operations.map(({ key }) => key))].every((key) =>
    hasOrder(
      operations.filter((operation) => operation.key === key),
      null,
    ),
  );
}

function hasOrder(left: readonly Operation[], value: Value): boolean {
  // All that is left may have failed to happen, or be of unknown outcome and never happen.
  if (left.every(({ outcome }) => outcome.kind === "unknown" || outcome.kind === "failed")) return true;
  return left.some((first) => {
    if (left.some(({ returned }) => returned !== null && returned < first.invoked)) return false;
    const rest = left.filter((other) => other !== first);
    return after(first, value).some((next) => hasOrder(rest, next));
  });
}

/** The values that the operation may leave behind. */
function after({ call, outcome }: Operation, value: Value): readonly Value[] {
  const effect = (): Value => {
    switch (call.kind) {
      case "get":
        return value;
      case "put":
        return call.value;
      case "append":
        return (value ?? "") + call.value;
      case "delete":
        return null;
      case "cas":
        return value === call.from ? call.to : value;
    }
  };
  switch (outcome.kind) {
    case "failed":
      return [value];
    case "unknown":
      return [effect()];
    case "ok":
      return call.kind === "cas" && value !== call.from ? [] : [effect()];
    case "differed":
      return call.kind === "cas" && value === call.from ? [] : [value];
    case "saw":
      return value === outcome.value ? [value] : [];
  }
}
