/**
 * Runs a transaction (etcd's server/etcdserver/txn): first every compare on the way, on the state before; then the
 * operations of the chosen branches, one after the other, all at one revision.
 */
import { OpenClawError, unreachable } from "../errors.ts";
import { hold } from "./compares.ts";
import { answerRange } from "./key-range.ts";
import type { KeyWrites } from "./key-writes.ts";
import { type Operation, type Response, responseBytes, type Txn, type TxnResponse } from "./operation.ts";

/** A transaction whose compares are decided: what runs of it. */
interface Chosen {
  readonly kind: "chosen";
  readonly succeeded: boolean;
  readonly steps: readonly (Exclude<Operation, Txn> | Chosen)[];
}

/**
 * @param responseBytesMax more than that is not answered
 * @throws OpenClawError NOT_FOUND, LEASE_NOT_FOUND, LEASE_FULL, TXN_TOO_LARGE, RESPONSE_TOO_LARGE: what it wrote is to be taken back
 */
export function runTxn(keys: KeyWrites, txn: Txn, responseBytesMax: number): TxnResponse {
  const chosen = choose(keys, txn);
  let left = responseBytesMax;
  const spend = (response: Response): Response => {
    left -= responseBytes(response);
    if (left < 0) throw new OpenClawError("RESPONSE_TOO_LARGE", `more than ${responseBytesMax} bytes`);
    return response;
  };
  return run(keys, chosen, spend);
}

function choose(keys: KeyWrites, { compares, success, failure }: Txn): Chosen {
  const succeeded = hold(compares, keys);
  const operations = succeeded ? success : failure;
  const steps = operations.map((operation) => (operation.kind === "txn" ? choose(keys, operation) : operation));
  return { kind: "chosen", succeeded, steps };
}

function run(keys: KeyWrites, { succeeded, steps }: Chosen, spend: (response: Response) => Response): TxnResponse {
  // Nested ones cost something as well, though they say nothing.
  spend({ kind: "txn", succeeded, responses: [] });
  const responses = steps.map((step) => (step.kind === "chosen" ? run(keys, step, spend) : spend(operate(keys, step))));
  return { kind: "txn", succeeded, responses };
}

function operate(keys: KeyWrites, operation: Exclude<Operation, Txn>): Response {
  switch (operation.kind) {
    case "put": {
      const { key, previous } = operation;
      const row = keys.get(key);
      // No key is written twice: what is there now is what was there before the transaction.
      const value = operation.value ?? row?.value;
      const lease = operation.lease === "keep" ? row?.lease : operation.lease;
      if (value === undefined || lease === undefined)
        throw new OpenClawError("NOT_FOUND", "a put that keeps the value or the lease of no key");
      keys.put(key, value, lease);
      return { kind: "put", previous: previous && row !== undefined ? { key, ...row } : null };
    }
    case "deleteRange": {
      const rows = keys.delete(operation.keys);
      return { kind: "deleteRange", deleted: rows.length, previous: operation.previous ? rows : [] };
    }
    case "range":
      return { kind: "range", ...answerRange(keys.select(operation.keys), operation, Number.POSITIVE_INFINITY) };
    default:
      return unreachable(operation);
  }
}
