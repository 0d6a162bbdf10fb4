/** Whether the compares of a transaction hold. */
import { compareBytes } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import type { KeyWrites } from "./key-writes.ts";
import type { Compare, CompareResult, KeyValue } from "./operation.ts";

/** @throws OpenClawError TXN_TOO_LARGE */
export const hold = (compares: readonly Compare[], keys: KeyWrites): boolean =>
  compares.every((compare) => holds(compare, keys));

function holds(compare: Compare, keys: KeyWrites): boolean {
  let found = false;
  for (const row of keys.select(compare.keys)) {
    found = true;
    if (!holdsFor(compare, row)) return false;
  }
  return found || holdsForNone(compare);
}

/** A key that is not there has no value, so that nothing can be said of it; its numbers are 0 (etcd). */
const holdsForNone = (compare: Compare): boolean =>
  compare.target !== "value" && agrees(-compare.number, compare.result);

function holdsFor(compare: Compare, row: KeyValue): boolean {
  switch (compare.target) {
    case "value":
      return agrees(compareBytes(row.value, compare.value), compare.result);
    case "version":
    case "createRevision":
    case "modRevision":
      return agrees(row[compare.target] - compare.number, compare.result);
    case "lease":
      return agrees((row.lease ?? 0) - compare.number, compare.result);
    default:
      return unreachable(compare);
  }
}

/** @param difference what is there less what it is compared with */
function agrees(difference: number, result: CompareResult): boolean {
  switch (result) {
    case "equal":
      return difference === 0;
    case "notEqual":
      return difference !== 0;
    case "greater":
      return difference > 0;
    case "less":
      return difference < 0;
    default:
      return unreachable(result);
  }
}
