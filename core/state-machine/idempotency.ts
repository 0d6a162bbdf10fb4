/**
 * Requests under a foreign `Idempotency-Key` (Q1; draft-ietf-httpapi-idempotency-key-header): a repeat, at whatever node,
 * gets the outcome of the first and does not run. What is remembered is a row of the state, written in the same apply as
 * the effect, and forgotten by log time (T1). Commands without a key never come here.
 */
import { equalBytes } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import type { ErrorCode } from "../errors.ts";
import { IDEMPOTENCY_MS } from "../limits.ts";
import type { IdempotencyKey, Outcome } from "./command.ts";
import {
  IDEMPOTENT_DUE,
  IDEMPOTENT_SUM_KEY,
  idempotentDueKey,
  idempotentKey,
  idempotentOfDueRow,
  idempotentSumKey,
  principalOfIdempotent,
} from "./keyspace.ts";
import { markRow } from "./lease-rows.ts";
import { refused } from "./outcome.ts";
import { outcomeTuple, readOutcome } from "./outcome-codec.ts";
import type { FirstRequest, IdempotencyRoom } from "./query.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/**
 * What a cluster remembers; a further key is refused OVERLOADED, and does not run. A principal has at most as much of it
 * as all of them leave free, so that whoever comes next finds room: one alone has a half, two have a third each.
 */
export const IDEMPOTENCY_ROOM: IdempotencyRoom = { keys: 1_000_000, bytes: 256 * 1_048_576 };
/** Rows past their time that a command with a key takes away: more than it adds. */
const FORGOTTEN_AT_ONCE_MAX = 8;
/** Refusals that say that nothing ran: a repeat is run in earnest. */
const NOT_RUN: ReadonlySet<ErrorCode> = new Set(["OVERLOADED"] as const);
/** Around the bytes of a row: its place in the order of time, and lengths. */
const OVERHEAD_BYTES = 64;

export const idempotentRow: RowCodec<FirstRequest> = {
  encode: ({ until, request, note, outcome }) => encode([until, request, note, outcomeTuple(outcome)]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "idempotency row");
    return {
      until: reader.count(),
      request: reader.bytes(),
      note: reader.text(),
      outcome: readOutcome(reader.any()),
    };
  },
};

const sumRow: RowCodec<IdempotencyRoom> = {
  encode: ({ keys, bytes }) => encode([keys, bytes]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "row of the sum of idempotency keys");
    return { keys: reader.count(), bytes: reader.count() };
  },
};

/** Which log time it is by now, and how much is remembered at most. */
interface Now {
  readonly logTime: number;
  readonly room: IdempotencyRoom;
}

/**
 * Runs a command, or answers what the first one under its key was answered. Refused without running, and not remembered:
 * IDEMPOTENCY_KEY_REUSED for another request, OVERLOADED when too many are remembered, or too many of the principal's.
 * @param run null when there is no room for its response, and it did not run
 */
export function runIdempotent(
  tx: Transaction,
  principal: string,
  { key, request, note }: IdempotencyKey,
  { logTime, room }: Now,
  run: () => Outcome | null,
): Outcome | null {
  const name = idempotentKey(principal, key);
  const known = tx.read(name, idempotentRow);
  if (known !== undefined && known.until > logTime) {
    if (equalBytes(known.request, request)) return known.outcome;
    return refused("IDEMPOTENCY_KEY_REUSED", `another request came under ${JSON.stringify(key)}`);
  }
  if (known !== undefined) forget(tx, name, known);
  forgetDue(tx, logTime);
  const sum = sumAt(tx, IDEMPOTENT_SUM_KEY);
  const own = sumAt(tx, idempotentSumKey(principalOfIdempotent(name)));
  if (own.keys >= room.keys - sum.keys || own.bytes >= room.bytes - sum.bytes) {
    const remembered = `${sum.keys} idempotency keys are remembered, ${own.keys} of them this principal's`;
    return refused("OVERLOADED", `${remembered}; it has at most as much room as is left to all`);
  }
  const outcome = run();
  if (outcome === null || (!outcome.ok && NOT_RUN.has(outcome.code))) return outcome;
  const row = { until: logTime + IDEMPOTENCY_MS, request, note, outcome };
  tx.write(name, idempotentRow, row);
  tx.write(idempotentDueKey(row.until, name), markRow, null);
  count(tx, name, 1, bytesOf(name, row));
  return outcome;
}

/** What is kept of this request; null when nothing is. */
export function rememberedOf(
  tx: Transaction,
  principal: string,
  { key, request }: IdempotencyKey,
): FirstRequest | null {
  const row = tx.read(idempotentKey(principal, key), idempotentRow);
  return row !== undefined && equalBytes(row.request, request) ? row : null;
}

/** The oldest, a few at a time: so a command costs the same however many are due. */
function forgetDue(tx: Transaction, logTime: number): void {
  for (const { key } of tx.scan(IDEMPOTENT_DUE.from, IDEMPOTENT_DUE.to, markRow, FORGOTTEN_AT_ONCE_MAX)) {
    const { due, name } = idempotentOfDueRow(key);
    if (due > logTime) return;
    const row = tx.read(name, idempotentRow);
    if (row !== undefined) forget(tx, name, row);
  }
}

function forget(tx: Transaction, name: Uint8Array, row: FirstRequest): void {
  tx.remove(idempotentDueKey(row.until, name));
  tx.remove(name);
  count(tx, name, -1, -bytesOf(name, row));
}

/** In all, and of the principal whose key it is. */
function count(tx: Transaction, name: Uint8Array, keys: number, bytes: number): void {
  for (const at of [IDEMPOTENT_SUM_KEY, idempotentSumKey(principalOfIdempotent(name))]) {
    const sum = sumAt(tx, at);
    const now = { keys: sum.keys + keys, bytes: sum.bytes + bytes };
    if (now.keys === 0) tx.remove(at);
    else tx.write(at, sumRow, now);
  }
}

const sumAt = (tx: Transaction, at: Uint8Array): IdempotencyRoom => tx.read(at, sumRow) ?? { keys: 0, bytes: 0 };

/** What all principals have of it. */
export function idempotencySum(view: StateView): IdempotencyRoom {
  const bytes = view.get(IDEMPOTENT_SUM_KEY);
  return bytes === undefined ? { keys: 0, bytes: 0 } : sumRow.decode(bytes);
}

/** In both of its rows. */
const bytesOf = (name: Uint8Array, row: FirstRequest): number =>
  OVERHEAD_BYTES + 2 * name.length + idempotentRow.encode(row).length;
