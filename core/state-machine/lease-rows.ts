/** The rows of leases: each lease, the keys that it holds, and the order in which they are due. */
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant, OpenClawError } from "../errors.ts";
import type { LeaseId } from "../ids.ts";
import { EVENTS_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import { leaseDueKey, leaseKey, leaseKeyKey } from "./keyspace.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

/** Around the bytes of an event in its record. */
export const EVENT_OVERHEAD_BYTES = 32;

export interface LeaseRow {
  readonly ttlMs: number;
  /** In log time (T1). */
  readonly due: number;
  /** Wall clock of whoever kept it alive last, and the time to live: what its end is dated with, an annotation. */
  readonly wallDue: number;
  /** 16 bytes from its grant: the record of its end derives its salt from them (L2). */
  readonly salt: Uint8Array;
  readonly keys: number;
  /** Of the events that its end takes. */
  readonly eventBytes: number;
}

export const leaseRow: RowCodec<LeaseRow> = {
  encode: (row) => encode([row.ttlMs, row.due, row.wallDue, row.salt, row.keys, row.eventBytes]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "lease row");
    return {
      ttlMs: reader.count(),
      due: reader.count(),
      wallDue: reader.integer(),
      salt: reader.bytes(),
      keys: reader.count(),
      eventBytes: reader.count(),
    };
  },
};

/** A row that says all by being there. */
export const markRow: RowCodec<null> = { encode: () => new Uint8Array(0), decode: () => null };

/** Writes a lease whose time of being due is new, or has moved from `before`. */
export function writeLease(tx: Transaction, lease: LeaseId, row: LeaseRow, before: LeaseRow | undefined): void {
  if (before !== undefined) tx.remove(leaseDueKey(before.due, lease));
  tx.write(leaseDueKey(row.due, lease), markRow, null);
  tx.write(leaseKey(lease), leaseRow, row);
}

/** Moves a key from the lease that holds it to another one. @throws OpenClawError LEASE_NOT_FOUND, LEASE_FULL */
export function moveKey(tx: Transaction, key: Uint8Array, from: LeaseId | null, to: LeaseId | null): void {
  if (from === to) return;
  if (from !== null) {
    tx.remove(leaseKeyKey(from, key));
    count(tx, from, key, -1);
  }
  if (to === null) return;
  const row = count(tx, to, key, 1);
  if (row.keys > EVENTS_MAX || row.eventBytes > RECORD_BYTES_MAX) throw new OpenClawError("LEASE_FULL", String(to));
  tx.write(leaseKeyKey(to, key), markRow, null);
}

function count(tx: Transaction, lease: LeaseId, key: Uint8Array, by: 1 | -1): LeaseRow {
  const row = requireLease(tx, lease);
  const bytes = EVENT_OVERHEAD_BYTES + key.length;
  // A row of its own: a step that fails is taken back by putting the old one in its place.
  const counted = { ...row, keys: row.keys + by, eventBytes: row.eventBytes + by * bytes };
  invariant(counted.keys >= 0 && counted.eventBytes >= 0, "a lease lets go of what it holds");
  tx.write(leaseKey(lease), leaseRow, counted);
  return counted;
}

/** @throws OpenClawError LEASE_NOT_FOUND */
function requireLease(tx: Transaction, lease: LeaseId): LeaseRow {
  const row = tx.read(leaseKey(lease), leaseRow);
  if (row === undefined) throw new OpenClawError("LEASE_NOT_FOUND", String(lease));
  return row;
}
