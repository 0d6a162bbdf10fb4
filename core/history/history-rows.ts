/**
 * The rows of the history index: an ordered map of its own, beside the state and no part of it. Every node derives it from
 * its own ledger, when it has time, so it is in no hash and costs a put nothing (R6).
 *
 *   0x01                     mark: how far the ledger was read into it, and how far it was pruned
 *   0x02 row, ~revision64    what a put or a delete left under a key, newest first
 *   0x03 ~first64            when the revisions of one run were written, newest run first
 *
 * `row` is the key of the state's own row, so that own keys and mirrors lie apart and sort as they do there. It is escaped
 * (0x00 as 0x00 0xff) and ends with 0x00 0x01: no row's versions lie between another's.
 */
import type { Encodable } from "../codec.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import type { Revision } from "../ids.ts";
import { isLeaseId, revision } from "../ids.ts";
import type { KeyRange } from "../state-machine/keyspace.ts";
import type { RowCodec } from "../state-machine/transaction.ts";
import type { Version } from "./history-query.ts";

const TAG = { mark: 0x01, version: 0x02, times: 0x03 } as const;
const REVISION_BYTES = 8;
const REVISION_MAX = Number.MAX_SAFE_INTEGER;

export const MARK_KEY: Uint8Array = Uint8Array.of(TAG.mark);

export interface Mark {
  /** Every revision up to it is in the index. */
  readonly indexed: Revision;
  /** What a compaction up to it makes superfluous is gone. */
  readonly pruned: Revision;
  /** The latest time of any revision that is indexed; null for none. */
  readonly latest: number | null;
}

export const markRow: RowCodec<Mark> = {
  encode: (mark) => encode([mark.indexed, mark.pruned, mark.latest]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "history mark");
    return {
      indexed: revision(reader.count()),
      pruned: revision(reader.count()),
      latest: reader.orNull((field) => field.integer()),
    };
  },
};

export const versionRow: RowCodec<Version> = {
  encode: (row) =>
    encode([row.createRevision, row.modRevision, row.version, row.lease, row.principal, row.time, row.value]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "history version");
    return {
      createRevision: revision(reader.count()),
      modRevision: revision(reader.count()),
      version: reader.count(),
      lease: reader.orNull((field) => field.that(isLeaseId, "a lease")),
      principal: reader.text(),
      time: reader.integer(),
      value: reader.orNull((field) => field.bytes()),
    };
  },
};

/** A run of revisions, as it was read into the index: when each was written, by the wall clock of who proposed it. */
export interface Times {
  /** One a revision, ascending from the run's first. */
  readonly times: readonly number[];
  readonly earliest: number;
  /** The latest time of any revision before the run; null for none. */
  readonly before: number | null;
  /** Of their records together. */
  readonly bytes: number;
  /** T1: they were written at or before that log time. */
  readonly logTime: number;
}

export const timesRow: RowCodec<Times> = {
  encode: ({ times, earliest, before, bytes, logTime }) => encode([times, earliest, before, bytes, logTime]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "history times");
    return {
      times: reader.list().map(timeOf),
      earliest: reader.integer(),
      before: reader.orNull((field) => field.integer()),
      bytes: reader.count(),
      logTime: reader.count(),
    };
  },
};

function timeOf(value: Encodable): number {
  invariant(typeof value === "number", "times are numbers");
  return value;
}

/** @param row the key of a row of the state */
export const versionKey = (row: Uint8Array, at: Revision): Uint8Array => {
  const key = escaped(row, 0x01, REVISION_BYTES);
  writeInverted(key, key.length - REVISION_BYTES, at);
  return key;
};

/** Behind every version of the row. */
export const afterVersions = (row: Uint8Array): Uint8Array => escaped(row, 0x02, 0);

/** Versions of every row of the state in [from, to). */
export const versionsRange = ({ from, to }: KeyRange): KeyRange => ({
  from: escaped(from, 0x01, 0),
  to: escaped(to, 0x01, 0),
});

/** What `versionKey` made the key of. */
export function versionOf(key: Uint8Array): { readonly row: Uint8Array; readonly at: Revision } {
  const end = key.length - REVISION_BYTES - 2;
  const row = new Uint8Array(end - 1);
  let length = 0;
  for (let i = 1; i < end; i++) {
    const byte = key[i] ?? 0;
    row[length++] = byte;
    if (byte === 0) i++;
  }
  return { row: row.subarray(0, length), at: readInverted(key, key.length - REVISION_BYTES) };
}

export function timesKey(first: Revision): Uint8Array {
  const key = new Uint8Array(1 + REVISION_BYTES);
  key[0] = TAG.times;
  writeInverted(key, 1, first);
  return key;
}

export const firstOfTimes = (key: Uint8Array): Revision => readInverted(key, 1);
export const AFTER_TIMES: Uint8Array = Uint8Array.of(TAG.times + 1);

/** @param room bytes left free behind the end mark */
function escaped(row: Uint8Array, end: number, room: number): Uint8Array {
  let zeros = 0;
  for (const byte of row) if (byte === 0) zeros++;
  const key = new Uint8Array(1 + row.length + zeros + 2 + room);
  key[0] = TAG.version;
  let at = 1;
  for (const byte of row) {
    key[at++] = byte;
    if (byte === 0) key[at++] = 0xff;
  }
  key[at + 1] = end;
  return key;
}

function writeInverted(key: Uint8Array, at: number, value: Revision): void {
  const inverted = REVISION_MAX - value;
  const view = new DataView(key.buffer, key.byteOffset);
  view.setUint32(at, Math.floor(inverted / 0x1_0000_0000));
  view.setUint32(at + 4, inverted % 0x1_0000_0000);
}

function readInverted(key: Uint8Array, at: number): Revision {
  const view = new DataView(key.buffer, key.byteOffset);
  return revision(REVISION_MAX - (view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4)));
}
