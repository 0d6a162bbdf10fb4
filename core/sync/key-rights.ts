/** Which of somebody's rights a command on keys needs: etcd's, operation by operation, of branches not taken too. */
import { compareBytes, prefixEnd } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import type { KeyCommand } from "../state-machine/command.ts";
import type { KeySelector, Operation, Txn } from "../state-machine/operation.ts";
import type { Principal } from "./authority.ts";

/** What a principal may not do, in words, or null. */
export function lackedRight(command: KeyCommand, principal: Principal): string | null {
  switch (command.kind) {
    case "put":
      return principal.mayWriteKey(command.key) ? null : "writing this key";
    case "deleteRange":
      return mayWrite(command.keys, principal) ? null : "deleting these keys";
    case "txn":
      return lackedByTxn(command, principal);
    default:
      return unreachable(command);
  }
}

function lackedByTxn({ compares, success, failure }: Txn, principal: Principal): string | null {
  if (!compares.every(({ keys }) => mayRead(keys, principal))) return "comparing these keys";
  for (const operation of [...success, ...failure]) {
    const lacked = lackedByOperation(operation, principal);
    if (lacked !== null) return lacked;
  }
  return null;
}

function lackedByOperation(operation: Operation, principal: Principal): string | null {
  switch (operation.kind) {
    case "put":
      if (operation.previous && !principal.mayReadKey(operation.key)) return "reading this key";
      if (operation.lease !== null && operation.lease !== "keep" && !mayUseLeases(principal)) return "using leases";
      return principal.mayWriteKey(operation.key) ? null : "writing this key";
    case "deleteRange":
      if (operation.previous && !mayRead(operation.keys, principal)) return "reading these keys";
      return mayWrite(operation.keys, principal) ? null : "deleting these keys";
    case "range":
      return mayRead(operation.keys, principal) ? null : "reading these keys";
    case "txn":
      return lackedByTxn(operation, principal);
    default:
      return unreachable(operation);
  }
}

/** A lease ends with all of its keys, whosever they are: so only who may write every key has a say in it. */
export const mayUseLeases = (principal: Principal): boolean => principal.mayWritePrefix(new Uint8Array(0));

export function mayRead(keys: KeySelector, principal: Principal): boolean {
  switch (keys.kind) {
    case "key":
      return principal.mayReadKey(keys.key);
    case "range":
      return principal.mayReadPrefix(sharedPrefix(keys.from, keys.to));
    default:
      return unreachable(keys);
  }
}

function mayWrite(keys: KeySelector, principal: Principal): boolean {
  switch (keys.kind) {
    case "key":
      return principal.mayWriteKey(keys.key);
    case "range":
      return principal.mayWritePrefix(sharedPrefix(keys.from, keys.to));
    default:
      return unreachable(keys);
  }
}

/** The longest prefix that every key in [from, to) has. */
function sharedPrefix(from: Uint8Array, to: Uint8Array | null): Uint8Array {
  for (let length = from.length; length > 0; length--) {
    const prefix = from.subarray(0, length);
    const end = prefixEnd(prefix);
    if (end === undefined || (to !== null && compareBytes(to, end) <= 0)) return prefix;
  }
  return from.subarray(0, 0);
}
