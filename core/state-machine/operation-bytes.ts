/** Every byte string of a command on keys, taken through one function: to copy them, or to let go of a larger buffer. */
import { unreachable } from "../errors.ts";
import type { KeyCommand } from "./command.ts";
import type { Compare, KeySelector, Operation, Txn } from "./operation.ts";

type MapBytes = (bytes: Uint8Array) => Uint8Array;

export function mapCommand(command: KeyCommand, map: MapBytes): KeyCommand {
  switch (command.kind) {
    case "put":
      return { ...command, key: map(command.key), value: map(command.value) };
    case "deleteRange":
      return { ...command, keys: mapSelector(command.keys, map) };
    case "txn":
      return mapTxn(command, map);
    default:
      return unreachable(command);
  }
}

export const mapTxn = (txn: Txn, map: MapBytes): Txn => ({
  kind: "txn",
  compares: txn.compares.map((compare) => mapCompare(compare, map)),
  success: txn.success.map((operation) => mapOperation(operation, map)),
  failure: txn.failure.map((operation) => mapOperation(operation, map)),
});

export function mapSelector(keys: KeySelector, map: MapBytes): KeySelector {
  return keys.kind === "key"
    ? { kind: "key", key: map(keys.key) }
    : { kind: "range", from: map(keys.from), to: keys.to === null ? null : map(keys.to) };
}

function mapCompare(compare: Compare, map: MapBytes): Compare {
  const keys = mapSelector(compare.keys, map);
  return compare.target === "value" ? { ...compare, keys, value: map(compare.value) } : { ...compare, keys };
}

function mapOperation(operation: Operation, map: MapBytes): Operation {
  switch (operation.kind) {
    case "put":
      return {
        ...operation,
        key: map(operation.key),
        value: operation.value === null ? null : map(operation.value),
      };
    case "deleteRange":
    case "range":
      return { ...operation, keys: mapSelector(operation.keys, map) };
    case "txn":
      return mapTxn(operation, map);
    default:
      return unreachable(operation);
  }
}
