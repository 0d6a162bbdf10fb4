/** Between the requests and answers of the model and those of the state machine. */
import { isLeaseId, type LeaseId, revision } from "@openclaw/core/ids.ts";
import type { KeyEvent } from "@openclaw/core/ledger/record.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import {
  type Compare as CoreCompare,
  type Operation as CoreOperation,
  type Response as CoreResponse,
  type Txn as CoreTxn,
  type KeySelector,
  type KeyValue,
  type RangeRequest,
  selectKeys,
} from "@openclaw/core/state-machine/operation.ts";
import type { Command, Compare, Event, KeyedRow, Keys, Op, Range, Response, Result, Txn } from "./etcd.ts";

/** One character a byte. */
export const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
export const text = (of: Uint8Array): string => Array.from(of, (byte) => String.fromCharCode(byte)).join("");

export function leaseOf(id: number): LeaseId {
  if (!isLeaseId(id)) throw new Error(`no lease: ${id}`);
  return id;
}

export function commandOf(op: Command): UserCommand {
  switch (op.op) {
    case "grant":
      return { kind: "leaseGrant", lease: leaseOf(op.id), ttlMs: op.ttl };
    case "alive":
      return { kind: "leaseKeepAlive", lease: leaseOf(op.id) };
    case "revoke":
      return { kind: "leaseRevoke", lease: leaseOf(op.id) };
    case "compact":
      return { kind: "compact", revision: revision(op.revision) };
    case "put":
      return { kind: "put", key: bytes(op.key), value: bytes(op.value ?? "") };
    case "delete":
      return { kind: "deleteRange", keys: selectorOf(op) };
    case "txn":
      return txnOf(op);
  }
}

const txnOf = ({ compare, success, failure }: Txn): CoreTxn => ({
  kind: "txn",
  compares: compare.map(compareOf),
  success: success.map(operationOf),
  failure: failure.map(operationOf),
});

function operationOf(op: Op): CoreOperation {
  switch (op.op) {
    case "put":
      return {
        kind: "put",
        key: bytes(op.key),
        value: op.value === null ? null : bytes(op.value),
        lease: op.lease === null ? "keep" : op.lease === 0 ? null : leaseOf(op.lease),
        previous: op.prev,
      };
    case "delete":
      return { kind: "deleteRange", keys: selectorOf(op), previous: op.prev };
    case "range":
      return { kind: "range", ...rangeRequestOf(op) };
    case "txn":
      return txnOf(op);
  }
}

export const selectorOf = ({ key, end }: Keys): KeySelector => selectKeys(bytes(key), bytes(end));

const SORTS = {
  key: "key",
  version: "version",
  create: "createRevision",
  mod: "modRevision",
  value: "value",
} as const;
const NUMBERS = { version: "version", create: "createRevision", mod: "modRevision", lease: "lease" } as const;
const SIGNS = { "=": "equal", "!=": "notEqual", ">": "greater", "<": "less" } as const;

export const rangeRequestOf = (range: Range): RangeRequest => ({
  keys: selectorOf(range),
  limit: range.limit,
  sort: { target: SORTS[range.sort], order: range.descending ? "descending" : "ascending" },
  view: range.only,
  counted: true,
  bounds: {
    minModRevision: revision(range.minMod),
    maxModRevision: revision(range.maxMod),
    minCreateRevision: revision(range.minCreate),
    maxCreateRevision: revision(range.maxCreate),
  },
});

function compareOf({ target, sign, to, ...keys }: Compare): CoreCompare {
  const common = { keys: selectorOf(keys), result: SIGNS[sign] };
  if (target === "value") return { target, ...common, value: bytes(String(to)) };
  return { target: NUMBERS[target], ...common, number: Number(to) };
}

export const rowOf = (row: KeyValue): KeyedRow => ({
  key: text(row.key),
  value: text(row.value),
  create: row.createRevision,
  mod: row.modRevision,
  version: row.version,
  lease: row.lease ?? 0,
});

export const eventOf = (event: KeyEvent): Event =>
  event.kind === "put"
    ? { type: "put", key: text(event.key), value: text(event.value), lease: event.lease ?? 0 }
    : { type: "delete", key: text(event.key), value: "", lease: 0 };

export function responseOf(response: CoreResponse): Response {
  switch (response.kind) {
    case "put":
      return { op: "put", prev: response.previous === null ? null : rowOf(response.previous) };
    case "deleteRange":
      return { op: "delete", deleted: response.deleted, prev: response.previous.map(rowOf) };
    case "range":
      return { op: "range", rows: response.rows.map(rowOf), more: response.more, count: response.count ?? -1 };
    case "txn":
      return { op: "txn", succeeded: response.succeeded, responses: response.responses.map(responseOf) };
  }
}

/** What somebody is told. */
export type Answer = { readonly error: string } | { readonly revision: number; readonly response: Response };

/** @param op what was asked: an outcome without a response says no more than that it was done */
export function answerOf(op: Command, outcome: Outcome): Answer {
  if (!outcome.ok) return { error: outcome.code };
  const { response } = outcome;
  if (response?.kind === "queued") throw new Error("every key is the cluster's own");
  return { revision: outcome.revision, response: response === null ? bare(op) : responseOf(response) };
}

function bare({ op }: Command): Response {
  if (op === "put") return { op, prev: null };
  return op === "compact" ? { op } : { op: "lease" };
}

export const expectedAnswer = (result: Result): Answer =>
  "error" in result ? { error: result.error } : { revision: result.revision, response: result.response };
