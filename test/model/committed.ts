/** What a log holds, as the model takes it: commands of the state machine turned back into requests. */
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import type {
  Compare as CoreCompare,
  Operation as CoreOperation,
  Txn as CoreTxn,
  KeySelector,
  RangeRequest,
} from "@openclaw/core/state-machine/operation.ts";
import type { Command, Compare, Keys, Op, Range, Response, Txn } from "./etcd.ts";
import { text } from "./translation.ts";

export type KeyOrLeaseCommand = Exclude<UserCommand, { kind: "change" }>;

export function requestOf(command: KeyOrLeaseCommand): Command {
  switch (command.kind) {
    case "leaseGrant":
      return { op: "grant", id: command.lease, ttl: command.ttlMs };
    case "leaseKeepAlive":
      return { op: "alive", id: command.lease };
    case "leaseRevoke":
      return { op: "revoke", id: command.lease };
    case "compact":
      return { op: "compact", revision: command.revision };
    case "put":
      return { op: "put", key: text(command.key), value: text(command.value), lease: 0, prev: false };
    case "deleteRange":
      return { op: "delete", ...keysOf(command.keys), prev: false };
    case "txn":
      return txnOf(command);
    case "setHome":
    case "addressed":
      throw new Error("etcd has no homes");
  }
}

const txnOf = ({ compares, success, failure }: CoreTxn): Txn => ({
  op: "txn",
  compare: compares.map(compareOf),
  success: success.map(opOf),
  failure: failure.map(opOf),
});

function opOf(operation: CoreOperation): Op {
  switch (operation.kind) {
    case "put": {
      const { key, value, lease, previous } = operation;
      const kept = value === null ? null : text(value);
      return { op: "put", key: text(key), value: kept, lease: lease === "keep" ? null : (lease ?? 0), prev: previous };
    }
    case "deleteRange":
      return { op: "delete", ...keysOf(operation.keys), prev: operation.previous };
    case "range":
      return rangeOf(operation);
    case "txn":
      return txnOf(operation);
  }
}

const keysOf = (keys: KeySelector): Keys =>
  keys.kind === "key"
    ? { key: text(keys.key), end: "" }
    : { key: text(keys.from), end: keys.to === null ? "\0" : text(keys.to) };

const SORTS = {
  key: "key",
  version: "version",
  createRevision: "create",
  modRevision: "mod",
  value: "value",
} as const;
const NUMBERS = { version: "version", createRevision: "create", modRevision: "mod", lease: "lease" } as const;
const SIGNS = { equal: "=", notEqual: "!=", greater: ">", less: "<" } as const;

function rangeOf({ keys, limit, sort, view, bounds }: RangeRequest): Range {
  return {
    op: "range",
    ...keysOf(keys),
    limit,
    sort: SORTS[sort.target],
    descending: sort.order === "descending",
    only: view,
    minMod: bounds?.minModRevision ?? 0,
    maxMod: bounds?.maxModRevision ?? 0,
    minCreate: bounds?.minCreateRevision ?? 0,
    maxCreate: bounds?.maxCreateRevision ?? 0,
    at: 0,
  };
}

function compareOf(compare: CoreCompare): Compare {
  const common = { ...keysOf(compare.keys), sign: SIGNS[compare.result] };
  return compare.target === "value"
    ? { ...common, target: "value", to: text(compare.value) }
    : { ...common, target: NUMBERS[compare.target], to: compare.number };
}

/** The model counts wherever it looks, as etcd does; of a count that nobody asked for, nobody is told. */
export function asAsked(command: KeyOrLeaseCommand | CoreOperation, response: Response): Response {
  if (command.kind === "range" && response.op === "range" && !command.counted && command.view !== "count")
    return { ...response, count: -1 };
  if (command.kind !== "txn" || response.op !== "txn") return response;
  const branch = response.succeeded ? command.success : command.failure;
  const responses = response.responses.map((one, i) => {
    const operation = branch[i];
    return operation === undefined ? one : asAsked(operation, one);
  });
  return { ...response, responses };
}
