/**
 * What a transaction is made of, in the sense of etcd v3: compares, and operations on keys with their responses. Where
 * etcd's wire has an empty field or a `\0` for a special case, this has a kind of its own: see `selectKeys`.
 */
import { compareBytes } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import type { LeaseId, Revision } from "../ids.ts";

export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** etcd's: the revisions of this incarnation's first and last put, and the number of its puts. In a mirror, the origin's. */
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  readonly version: number;
  /** With which it ends; null for none, and in a mirror. */
  readonly lease: LeaseId | null;
}

/** Which keys are meant. */
export type KeySelector =
  | { readonly kind: "key"; readonly key: Uint8Array }
  /** Those in [from, to), in the order of their bytes; `to` null: to the end. */
  | { readonly kind: "range"; readonly from: Uint8Array; readonly to: Uint8Array | null };

/** etcd's pair: no range end means the one key, a range end of `\0` every key from `key` on. */
export function selectKeys(key: Uint8Array, rangeEnd: Uint8Array): KeySelector {
  if (rangeEnd.length === 0) return { kind: "key", key };
  return { kind: "range", from: key, to: rangeEnd.length === 1 && rangeEnd[0] === 0 ? null : rangeEnd };
}

/** Whether this key is meant. */
export function selects(keys: KeySelector, key: Uint8Array): boolean {
  switch (keys.kind) {
    case "key":
      return compareBytes(keys.key, key) === 0;
    case "range":
      return compareBytes(keys.from, key) <= 0 && (keys.to === null || compareBytes(key, keys.to) < 0);
    default:
      return unreachable(keys);
  }
}

export const SORT_TARGETS = ["key", "version", "createRevision", "modRevision", "value"] as const;
export type SortTarget = (typeof SORT_TARGETS)[number];
export const SORT_ORDERS = ["ascending", "descending"] as const;
export type SortOrder = (typeof SORT_ORDERS)[number];
/** What is told of each key; `count` tells of none. */
export const RANGE_VIEWS = ["rows", "keys", "count"] as const;
export type RangeView = (typeof RANGE_VIEWS)[number];

/** Rows outside are left out; 0 bounds nothing, as in etcd. */
export interface RevisionBounds {
  readonly minModRevision: Revision;
  readonly maxModRevision: Revision;
  readonly minCreateRevision: Revision;
  readonly maxCreateRevision: Revision;
}

export interface RangeRequest {
  readonly keys: KeySelector;
  /** Rows of the answer; 0: as many as an answer holds. */
  readonly limit: number;
  readonly sort: { readonly target: SortTarget; readonly order: SortOrder };
  /** `keys`: without their values. */
  readonly view: RangeView;
  /** Whether to count all selected keys, which reads all of them. `bounds` and `limit` do not change the count (etcd). */
  readonly counted: boolean;
  readonly bounds: RevisionBounds | null;
}

/** Rows in the order of their keys, nothing else asked. */
export const plainRange = (from: Uint8Array, to: Uint8Array | null, limit: number): RangeRequest => ({
  keys: { kind: "range", from, to },
  limit,
  sort: { target: "key", order: "ascending" },
  view: "rows",
  counted: false,
  bounds: null,
});

export interface RangeResponse {
  readonly rows: readonly KeyValue[];
  /** There are further rows, left out by a limit. */
  readonly more: boolean;
  /** All selected keys; null when nobody asked. */
  readonly count: number | null;
}

export const COMPARE_RESULTS = ["equal", "notEqual", "greater", "less"] as const;
export type CompareResult = (typeof COMPARE_RESULTS)[number];
export const NUMBER_TARGETS = ["version", "createRevision", "modRevision", "lease"] as const;
export type NumberTarget = (typeof NUMBER_TARGETS)[number];

/**
 * Holds when it holds for every selected key. Where there is none, numbers are 0, and a compare of values never holds.
 */
export type Compare =
  | {
      readonly target: "value";
      readonly keys: KeySelector;
      readonly result: CompareResult;
      readonly value: Uint8Array;
    }
  | {
      readonly target: NumberTarget;
      readonly keys: KeySelector;
      readonly result: CompareResult;
      readonly number: number;
    };

export type Operation =
  /** `value` null keeps the value, and is refused NOT_FOUND where there is none (etcd's ignore_value). */
  | {
      readonly kind: "put";
      readonly key: Uint8Array;
      readonly value: Uint8Array | null;
      /** The key is attached to it, and to no other any more; `keep` needs a key, as a kept value does (etcd's ignore_lease). */
      readonly lease: LeaseId | "keep" | null;
      /** Whether the response tells the row that it replaced. */
      readonly previous: boolean;
    }
  | { readonly kind: "deleteRange"; readonly keys: KeySelector; readonly previous: boolean }
  | ({ readonly kind: "range" } & RangeRequest)
  | Txn;

/**
 * Runs `success` if every compare holds, else `failure`: all of it at one revision, or nothing. Compares, nested ones
 * too, look at what was there before; operations see what those before them did.
 */
export interface Txn {
  readonly kind: "txn";
  readonly compares: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

export type Response =
  | { readonly kind: "put"; readonly previous: KeyValue | null }
  /** `previous`: the deleted rows, where they were asked for. */
  | { readonly kind: "deleteRange"; readonly deleted: number; readonly previous: readonly KeyValue[] }
  | ({ readonly kind: "range" } & RangeResponse)
  | TxnResponse;

export interface TxnResponse {
  readonly kind: "txn";
  /** Whether the compares held. */
  readonly succeeded: boolean;
  /** One an operation of the branch that ran. */
  readonly responses: readonly Response[];
}

/** What surrounds the bytes of a row or a response: numbers, lengths. */
const OVERHEAD_BYTES = 64;

export const rowBytes = (row: KeyValue): number => OVERHEAD_BYTES + row.key.length + row.value.length;

/** Never less than what a response is encoded in. */
export function responseBytes(response: Response): number {
  switch (response.kind) {
    case "put":
      return OVERHEAD_BYTES + (response.previous === null ? 0 : rowBytes(response.previous));
    case "deleteRange":
      return response.previous.reduce((sum, row) => sum + rowBytes(row), OVERHEAD_BYTES);
    case "range":
      return response.rows.reduce((sum, row) => sum + rowBytes(row), OVERHEAD_BYTES);
    case "txn":
      return response.responses.reduce((sum, one) => sum + responseBytes(one), OVERHEAD_BYTES);
  }
}
