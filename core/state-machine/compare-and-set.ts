/** The transaction that most people mean: put a key if it is still as it was read. */
import { compareBytes } from "../bytes.ts";
import { type Revision, revision } from "../ids.ts";
import type { Outcome, UserCommand } from "./command.ts";
import { type Operation, plainRange, type Txn } from "./operation.ts";
import { refused } from "./outcome.ts";

/** Puts if the key's mod revision is `expected`; 0 means that there is no such key. Else it tells the mod revision. */
export function compareAndSet(key: Uint8Array, expected: Revision, value: Uint8Array): Txn {
  const keys = { kind: "key", key } as const;
  return {
    kind: "txn",
    compares: [{ target: "modRevision", keys, result: "equal", number: expected }],
    success: [{ kind: "put", key, value, lease: null, previous: false }],
    failure: [{ kind: "range", ...plainRange(key, null, 1), keys, view: "keys" }],
  };
}

/**
 * What became of a command for whoever counts a comparison that did not hold as a refusal: COMPARE_FAILED, where the
 * command is a `compareAndSet`; any other outcome as it is.
 */
export function comparedOutcome(command: UserCommand, outcome: Outcome): Outcome {
  if (!outcome.ok || outcome.response?.kind !== "txn" || outcome.response.succeeded) return outcome;
  if (command.kind !== "txn" || !isCompareAndSet(command)) return outcome;
  const [found] = outcome.response.responses;
  const row = found?.kind === "range" ? found.rows[0] : undefined;
  return refused("COMPARE_FAILED", `the key is at revision ${row?.modRevision ?? revision(0)}`);
}

function isCompareAndSet({ compares, success, failure }: Txn): boolean {
  const [compare, put, range] = [compares[0], success[0], failure[0]];
  if (compares.length !== 1 || success.length !== 1 || failure.length !== 1) return false;
  if (compare?.target !== "modRevision" || compare.result !== "equal" || compare.keys.kind !== "key") return false;
  const { key } = compare.keys;
  return put?.kind === "put" && compareBytes(put.key, key) === 0 && range !== undefined && looksAt(range, key);
}

const looksAt = (operation: Operation, key: Uint8Array): boolean =>
  operation.kind === "range" && operation.keys.kind === "key" && compareBytes(operation.keys.key, key) === 0;
