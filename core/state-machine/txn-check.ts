/**
 * What makes a transaction impossible whatever the state is: keys that are none, too many operations, a key that it
 * would write twice. The checks of etcd (api/v3rpc/key.go), which it makes of every branch, also of those not taken.
 */

import { toHex } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import { EVENTS_MAX, KEY_BYTES_MAX, TXN_BYTES_MAX, TXN_DEPTH_MAX, TXN_OPERATIONS_MAX } from "../limits.ts";
import { commandBytes } from "./command-size.ts";
import { keyRefusal, valueRefusal } from "./key-check.ts";
import type { KeySelector, Operation, Txn } from "./operation.ts";
import { selects } from "./operation.ts";
import { type Refusal, refused } from "./outcome.ts";

/** Operations and compares of a whole transaction, all branches together. */
const OPERATIONS_SUM_MAX = EVENTS_MAX;

/** Why this transaction cannot run anywhere, or null. */
export function txnRefusal(txn: Txn): Refusal | null {
  return (
    shapeRefusal(txn, TXN_OPERATIONS_MAX, 0) ?? tooManyRefusal(txn) ?? tooLargeRefusal(txn) ?? duplicateRefusal(txn)
  );
}

/** Why these are no keys. @param keys of an operation: an empty key is none there, also as the begin of a range (etcd) */
export function selectorRefusal(keys: KeySelector): Refusal | null {
  switch (keys.kind) {
    case "key":
      return keyRefusal(keys.key);
    case "range":
      // The first bytes after the longest key are one byte longer.
      if (keys.to !== null && keys.to.length > KEY_BYTES_MAX + 1) return refused("KEY_TOO_LARGE", "a range's end");
      return keyRefusal(keys.from);
    default:
      return unreachable(keys);
  }
}

function tooLargeRefusal(txn: Txn): Refusal | null {
  const bytes = commandBytes(txn);
  return bytes > TXN_BYTES_MAX ? refused("TXN_TOO_LARGE", `${bytes} bytes`) : null;
}

function shapeRefusal(txn: Txn, operationsMax: number, depth: number): Refusal | null {
  const { compares, success, failure } = txn;
  if (depth > TXN_DEPTH_MAX) return refused("TXN_TOO_LARGE", `nested more than ${TXN_DEPTH_MAX} deep`);
  const longest = Math.max(compares.length, success.length, failure.length);
  if (longest > operationsMax) return refused("TXN_TOO_LARGE", `${longest} operations where ${operationsMax} are left`);
  for (const { keys } of compares) {
    const wrong = selectorRefusal(keys);
    if (wrong !== null) return wrong;
  }
  for (const operation of [...success, ...failure]) {
    const wrong = operationRefusal(operation, operationsMax - longest, depth);
    if (wrong !== null) return wrong;
  }
  return null;
}

function operationRefusal(operation: Operation, operationsMax: number, depth: number): Refusal | null {
  switch (operation.kind) {
    case "put":
      return keyRefusal(operation.key) ?? (operation.value === null ? null : valueRefusal(operation.value));
    case "deleteRange":
    case "range":
      return selectorRefusal(operation.keys);
    case "txn":
      return shapeRefusal(operation, operationsMax, depth + 1);
    default:
      return unreachable(operation);
  }
}

function tooManyRefusal(txn: Txn): Refusal | null {
  const sum = operationsOf(txn);
  return sum > OPERATIONS_SUM_MAX ? refused("TXN_TOO_LARGE", `${sum} operations; at most ${OPERATIONS_SUM_MAX}`) : null;
}

const operationsOf = ({ compares, success, failure }: Txn): number =>
  [...success, ...failure].reduce(
    (sum, operation) => sum + 1 + (operation.kind === "txn" ? operationsOf(operation) : 0),
    compares.length,
  );

const duplicateRefusal = ({ success, failure }: Txn): Refusal | null => {
  const twice = writtenTwice(success) ?? writtenTwice(failure);
  return twice === null ? null : refused("DUPLICATE_KEY", toHex(twice));
};

/** The first key that both a put and another write of one branch may touch, or null. */
function writtenTwice(branch: readonly Operation[]): Uint8Array | null {
  return new Writes().add(branch);
}

/**
 * The writes of one branch. As in etcd: no two puts of a key; no delete over a key that is put, before or after it; of
 * two branches that exclude each other both may put a key. One order is allowed, there too: a nested transaction may put
 * what a later nested one deletes.
 */
class Writes {
  readonly puts = new Map<string, Uint8Array>();
  readonly deletes: KeySelector[] = [];

  /** Takes up a branch; returns a key that is written twice, or null. */
  add(branch: readonly Operation[]): Uint8Array | null {
    for (const operation of branch) if (operation.kind === "deleteRange") this.deletes.push(operation.keys);
    for (const operation of branch) {
      const twice = operation.kind === "txn" ? this.#addNested(operation) : null;
      if (twice !== null) return twice;
    }
    for (const operation of branch) {
      if (operation.kind !== "put") continue;
      const name = toHex(operation.key);
      if (this.puts.has(name) || this.#deletes(operation.key)) return operation.key;
      this.puts.set(name, operation.key);
    }
    return null;
  }

  #addNested({ success, failure }: Txn): Uint8Array | null {
    const [then, otherwise] = [new Writes(), new Writes()];
    const twice = then.add(success) ?? otherwise.add(failure);
    if (twice !== null) return twice;
    const both = new Map([...then.puts, ...otherwise.puts]);
    for (const [name, key] of both) if (this.puts.has(name) || this.#deletes(key)) return key;
    for (const [name, key] of both) this.puts.set(name, key);
    this.deletes.push(...then.deletes, ...otherwise.deletes);
    return null;
  }

  #deletes(key: Uint8Array): boolean {
    return this.deletes.some((keys) => selects(keys, key));
  }
}
