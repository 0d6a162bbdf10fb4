/** Operations and their responses as tuples. What it reads has every field checked (X1). */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { isLeaseId, type LeaseId, revision } from "../ids.ts";
import { readLease } from "../ledger/record-codec.ts";
import { TXN_DEPTH_MAX } from "../limits.ts";
import {
  COMPARE_RESULTS,
  type Compare,
  type KeySelector,
  type KeyValue,
  NUMBER_TARGETS,
  type NumberTarget,
  type Operation,
  RANGE_VIEWS,
  type RangeRequest,
  type RangeResponse,
  type Response,
  type RevisionBounds,
  SORT_ORDERS,
  SORT_TARGETS,
  type Txn,
  type TxnResponse,
} from "./operation.ts";

const OPERATION = { put: 0, deleteRange: 1, range: 2, txn: 3 } as const satisfies Record<Operation["kind"], number>;
const SELECTOR = { key: 0, range: 1 } as const satisfies Record<KeySelector["kind"], number>;
/** A compare's targets on the wire: the numbers', then the value. */
const VALUE_TARGET = NUMBER_TARGETS.length;

export function selectorTuple(keys: KeySelector): Encodable {
  switch (keys.kind) {
    case "key":
      return [SELECTOR.key, keys.key];
    case "range":
      return [SELECTOR.range, keys.from, keys.to];
    default:
      return unreachable(keys);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readSelector(value: Encodable): KeySelector {
  const reader = new TupleReader(value, "key selector");
  const keys = readSelectorOfKind(reader.count(), reader);
  reader.end();
  return keys;
}

function readSelectorOfKind(kind: number, reader: TupleReader): KeySelector {
  switch (kind) {
    case SELECTOR.key:
      return { kind: "key", key: reader.bytes() };
    case SELECTOR.range:
      return { kind: "range", from: reader.bytes(), to: reader.orNull((field) => field.bytes()) };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a key selector of unknown kind ${kind}`);
  }
}

/** The fields of a range, for a tuple that holds more. */
export const rangeFields = (range: RangeRequest): readonly Encodable[] => [
  selectorTuple(range.keys),
  range.limit,
  SORT_TARGETS.indexOf(range.sort.target),
  SORT_ORDERS.indexOf(range.sort.order),
  RANGE_VIEWS.indexOf(range.view),
  range.counted,
  range.bounds === null
    ? null
    : [
        range.bounds.minModRevision,
        range.bounds.maxModRevision,
        range.bounds.minCreateRevision,
        range.bounds.maxCreateRevision,
      ],
];

/** Reads those fields. @throws OpenClawError MALFORMED_FRAME */
export function readRange(reader: TupleReader): RangeRequest {
  return {
    keys: readSelector(reader.any()),
    limit: reader.count(),
    sort: { target: oneOf(SORT_TARGETS, reader), order: oneOf(SORT_ORDERS, reader) },
    view: oneOf(RANGE_VIEWS, reader),
    counted: reader.flag(),
    bounds: reader.orNull((field) => readBounds(field.any())),
  };
}

function readBounds(value: Encodable): RevisionBounds {
  const reader = new TupleReader(value, "revision bounds");
  const bounds = {
    minModRevision: revision(reader.count()),
    maxModRevision: revision(reader.count()),
    minCreateRevision: revision(reader.count()),
    maxCreateRevision: revision(reader.count()),
  };
  reader.end();
  return bounds;
}

/** The fields of a transaction, for a tuple that holds more. */
export const txnFields = (txn: Txn): readonly Encodable[] => [
  txn.compares.map(compareTuple),
  txn.success.map(operationTuple),
  txn.failure.map(operationTuple),
];

/** Reads those fields; `depth` transactions are around it. @throws OpenClawError MALFORMED_FRAME */
export function readTxn(reader: TupleReader, depth = 0): Txn {
  if (depth > TXN_DEPTH_MAX) throw new OpenClawError("MALFORMED_FRAME", "transactions nested too deeply");
  const operation = (value: Encodable): Operation => readOperation(value, depth);
  return {
    kind: "txn",
    compares: reader.list().map(readCompare),
    success: reader.list().map(operation),
    failure: reader.list().map(operation),
  };
}

function compareTuple(compare: Compare): Encodable {
  const common = [COMPARE_RESULTS.indexOf(compare.result), selectorTuple(compare.keys)];
  return compare.target === "value"
    ? [VALUE_TARGET, ...common, compare.value]
    : [NUMBER_TARGETS.indexOf(compare.target), ...common, compare.number];
}

function readCompare(value: Encodable): Compare {
  const reader = new TupleReader(value, "compare");
  const target = reader.count();
  const common = { result: oneOf(COMPARE_RESULTS, reader), keys: readSelector(reader.any()) };
  const compare: Compare =
    target === VALUE_TARGET
      ? { target: "value", ...common, value: reader.bytes() }
      : { target: numberTarget(target), ...common, number: reader.count() };
  reader.end();
  return compare;
}

function numberTarget(at: number): NumberTarget {
  const target = NUMBER_TARGETS[at];
  if (target === undefined) throw new OpenClawError("MALFORMED_FRAME", `a compare of unknown target ${at}`);
  return target;
}

function operationTuple(operation: Operation): Encodable {
  switch (operation.kind) {
    case "put":
      return [OPERATION.put, operation.key, operation.value, leaseChoice(operation.lease), operation.previous];
    case "deleteRange":
      return [OPERATION.deleteRange, selectorTuple(operation.keys), operation.previous];
    case "range":
      return [OPERATION.range, ...rangeFields(operation)];
    case "txn":
      return [OPERATION.txn, ...txnFields(operation)];
    default:
      return unreachable(operation);
  }
}

function readOperation(value: Encodable, depth: number): Operation {
  const reader = new TupleReader(value, "operation");
  const operation = readOperationOfKind(reader.count(), reader, depth);
  reader.end();
  return operation;
}

function readOperationOfKind(kind: number, reader: TupleReader, depth: number): Operation {
  switch (kind) {
    case OPERATION.put: {
      const key = reader.bytes();
      const value = reader.orNull((field) => field.bytes());
      return { kind: "put", key, value, lease: readLeaseChoice(reader), previous: reader.flag() };
    }
    case OPERATION.deleteRange:
      return { kind: "deleteRange", keys: readSelector(reader.any()), previous: reader.flag() };
    case OPERATION.range:
      return { kind: "range", ...readRange(reader) };
    case OPERATION.txn:
      return readTxn(reader, depth + 1);
    default:
      throw new OpenClawError("MALFORMED_FRAME", `an operation of unknown kind ${kind}`);
  }
}

export function responseTuple(response: Response): Encodable {
  switch (response.kind) {
    case "put":
      return [OPERATION.put, response.previous === null ? null : keyValueTuple(response.previous)];
    case "deleteRange":
      return [OPERATION.deleteRange, response.deleted, response.previous.map(keyValueTuple)];
    case "range":
      return [OPERATION.range, ...rangeResponseFields(response)];
    case "txn":
      return [OPERATION.txn, response.succeeded, response.responses.map(responseTuple)];
    default:
      return unreachable(response);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readResponse(value: Encodable): Response {
  const reader = new TupleReader(value, "response");
  const response = readResponseOfKind(reader.count(), reader);
  reader.end();
  return response;
}

function readResponseOfKind(kind: number, reader: TupleReader): Response {
  switch (kind) {
    case OPERATION.put:
      return { kind: "put", previous: reader.orNull((field) => readKeyValue(field.any())) };
    case OPERATION.deleteRange:
      return { kind: "deleteRange", deleted: reader.count(), previous: reader.list().map(readKeyValue) };
    case OPERATION.range:
      return { kind: "range", ...readRangeResponse(reader) };
    case OPERATION.txn:
      return readTxnResponse(reader);
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a response of unknown kind ${kind}`);
  }
}

const readTxnResponse = (reader: TupleReader): TxnResponse => ({
  kind: "txn",
  succeeded: reader.flag(),
  responses: reader.list().map(readResponse),
});

export const rangeResponseFields = ({ rows, more, count }: RangeResponse): readonly Encodable[] => [
  rows.map(keyValueTuple),
  more,
  count,
];

/** @throws OpenClawError MALFORMED_FRAME */
export const readRangeResponse = (reader: TupleReader): RangeResponse => ({
  rows: reader.list().map(readKeyValue),
  more: reader.flag(),
  count: reader.orNull((field) => field.count()),
});

export const keyValueTuple = (row: KeyValue): Encodable => [
  row.key,
  row.value,
  row.createRevision,
  row.modRevision,
  row.version,
  row.lease,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readKeyValue(value: Encodable): KeyValue {
  const reader = new TupleReader(value, "row");
  const row: KeyValue = {
    key: reader.bytes(),
    value: reader.bytes(),
    createRevision: revision(reader.count()),
    modRevision: revision(reader.count()),
    version: reader.count(),
    lease: readLease(reader),
  };
  reader.end();
  return row;
}

/** No lease has the number 0: that keeps the one there is. */
const leaseChoice = (lease: LeaseId | "keep" | null): number | null => (lease === "keep" ? 0 : lease);

function readLeaseChoice(reader: TupleReader): LeaseId | "keep" | null {
  const choice = reader.orNull((field) => field.count());
  if (choice === null) return null;
  return isLeaseId(choice) ? choice : "keep";
}

function oneOf<T>(names: readonly T[], reader: TupleReader): T {
  const at = reader.count();
  const name = names[at];
  if (name === undefined) throw new OpenClawError("MALFORMED_FRAME", `an unknown choice ${at}`);
  return name;
}
