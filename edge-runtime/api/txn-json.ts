/** Transactions in JSON: keys and values are base64, a range is etcd's pair of a key and a range end. */

import { OpenClawError } from "@openclaw/core/errors.ts";
import { isLeaseId, type LeaseId, revision } from "@openclaw/core/ids.ts";
import { DEPTH_MAX, EVENTS_MAX, RANGE_ROWS_MAX } from "@openclaw/core/limits.ts";
import {
  COMPARE_RESULTS,
  type Compare,
  type KeyValue,
  NUMBER_TARGETS,
  type Operation,
  RANGE_VIEWS,
  type Response,
  SORT_ORDERS,
  SORT_TARGETS,
  selectKeys,
  type Txn,
} from "@openclaw/core/state-machine/operation.ts";
import { z } from "zod";
import { fewItems, shallow } from "./json-depth.ts";
import { bytesForm, keysForm } from "./key-form.ts";
import { base64 } from "./key-text.ts";

const count = z.int().min(0);
const compare = z
  .discriminatedUnion("target", [
    z.strictObject({ target: z.literal("value"), ...keysForm, result: z.enum(COMPARE_RESULTS), value: bytesForm }),
    z.strictObject({ target: z.enum(NUMBER_TARGETS), ...keysForm, result: z.enum(COMPARE_RESULTS), number: count }),
  ])
  .describe("Of no key, numbers are 0, and no value agrees with anything");

const put = z.strictObject({
  op: z.literal("put"),
  key: keysForm.key,
  value: bytesForm.nullable().describe("Null keeps the value; NOT_FOUND where there is none"),
  lease: z
    .union([z.literal("keep"), z.int().min(1)])
    .nullable()
    .default(null),
  previous: z.boolean().default(false),
});
const deleteRange = z.strictObject({ op: z.literal("deleteRange"), ...keysForm, previous: z.boolean().default(false) });
const range = z.strictObject({
  op: z.literal("range"),
  ...keysForm,
  limit: count.max(RANGE_ROWS_MAX).default(0),
  sort: z.enum(SORT_TARGETS).default("key"),
  order: z.enum(SORT_ORDERS).default("ascending"),
  view: z.enum(RANGE_VIEWS).default("rows"),
  count: z.boolean().default(false),
  minModRevision: count.default(0),
  maxModRevision: count.default(0),
  minCreateRevision: count.default(0),
  maxCreateRevision: count.default(0),
});

/** A transaction around operations of one more kind. */
const around = <T extends z.ZodType>(nested: T) => {
  const branch = z.array(z.union([z.discriminatedUnion("op", [put, deleteRange, range]), nested])).default([]);
  return { compare: z.array(compare).default([]), success: branch, failure: branch };
};

const nestedForm = z
  .strictObject({ op: z.literal("txn"), compare: z.array(z.looseObject({})), success: z.array(z.looseObject({})) })
  .extend({ failure: z.array(z.looseObject({})) })
  .describe("A transaction inside of this one, of the same form");

/** For the API's description, which ends where it would begin again. */
export const txnForm = z.toJSONSchema(z.strictObject(around(nestedForm)), {
  unrepresentable: "any",
  io: "input",
  target: "draft-7",
});

type BasicJson = z.output<typeof put> | z.output<typeof deleteRange> | z.output<typeof range>;
interface TxnJson {
  readonly compare: readonly z.output<typeof compare>[];
  readonly success: readonly (BasicJson | NestedJson)[];
  readonly failure: readonly (BasicJson | NestedJson)[];
}
interface NestedJson extends TxnJson {
  readonly op: "txn";
}
const nested: z.ZodType<NestedJson> = z.lazy(() => z.strictObject({ op: z.literal("txn"), ...around(nested) }));
const outermost = z.strictObject(around(nested));

/** Compares and operations of a body, twice what a transaction may have: what it may have is refused by name. */
const ITEMS_MAX = 2 * EVENTS_MAX;
const ERROR_TEXT_MAX = 1_024;

/** Reads a body; a reason in words where it is none. */
export function parsedTxn(body: unknown): { readonly value: Txn } | { readonly error: Error } {
  if (!shallow(body, DEPTH_MAX)) return { error: new Error(`nested more than ${DEPTH_MAX} deep`) };
  // Before it is looked at piece by piece, for each piece that is wrong costs more than one that is right.
  if (!fewItems(body, ITEMS_MAX)) return { error: new Error(`more than ${ITEMS_MAX} compares and operations`) };
  const parsed = outermost.safeParse(body);
  if (parsed.success) return { value: txnOf(parsed.data) };
  return { error: new Error(z.prettifyError(parsed.error).slice(0, ERROR_TEXT_MAX)) };
}

const txnOf = ({ compare: compares, success, failure }: TxnJson): Txn => ({
  kind: "txn",
  compares: compares.map(compareOf),
  success: success.map(operationOf),
  failure: failure.map(operationOf),
});

function compareOf({ key, rangeEnd, ...rest }: z.output<typeof compare>): Compare {
  return { ...rest, keys: selectKeys(key, rangeEnd) };
}

function operationOf(json: BasicJson | NestedJson): Operation {
  switch (json.op) {
    case "put":
      return { kind: "put", key: json.key, value: json.value, lease: leaseOf(json.lease), previous: json.previous };
    case "deleteRange":
      return { kind: "deleteRange", keys: selectKeys(json.key, json.rangeEnd), previous: json.previous };
    case "range":
      return {
        kind: "range",
        keys: selectKeys(json.key, json.rangeEnd),
        limit: json.limit,
        sort: { target: json.sort, order: json.order },
        view: json.view,
        counted: json.count,
        bounds: {
          minModRevision: revision(json.minModRevision),
          maxModRevision: revision(json.maxModRevision),
          minCreateRevision: revision(json.minCreateRevision),
          maxCreateRevision: revision(json.maxCreateRevision),
        },
      };
    case "txn":
      return txnOf(json);
  }
}

export function responseJson(response: Response): Record<string, unknown> {
  switch (response.kind) {
    case "put":
      return { op: "put", previous: response.previous === null ? null : rowJson(response.previous) };
    case "deleteRange":
      return { op: "deleteRange", deleted: response.deleted, previous: response.previous.map(rowJson) };
    case "range": {
      const { rows, more, count: counted } = response;
      return { op: "range", more, ...(counted === null ? {} : { count: counted }), rows: rows.map(rowJson) };
    }
    case "txn":
      return { op: "txn", succeeded: response.succeeded, responses: response.responses.map(responseJson) };
  }
}

function leaseOf(lease: number | "keep" | null): LeaseId | "keep" | null {
  if (lease === null || lease === "keep") return lease;
  if (!isLeaseId(lease)) throw new OpenClawError("BAD_REQUEST", "a lease is a number from 1");
  return lease;
}

const rowJson = ({ key, value, createRevision, modRevision, version, lease }: KeyValue) => ({
  key: base64(key),
  value: base64(value),
  createRevision,
  modRevision,
  version,
  lease,
});
