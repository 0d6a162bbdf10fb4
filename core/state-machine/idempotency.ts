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
import { outcomeTuple, readOutcome } from "./command-codec.ts";
import { IDEMPOTENT_DUE, IDEMPOTENT_SUM_KEY, idempotentDueKey, idempotentKey, idempotentOfDueRow } from "./keyspace.ts";
import { markRow } from "./lease-rows.ts";
import { refused } from "./outcome.ts";
import type { FirstRequest } from "./query.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

/** Keys, and bytes of their rows, that a cluster remembers; a further key is refused OVERLOADED, and does not run. */
export const IDEMPOTENCY_KEYS_MAX = 1_000_000;
const IDEMPOTENCY_BYTES_MAX = 256 * 1_048_576;
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

interface SumRow {
  readonly keys: number;
  readonly bytes: number;
}

const sumRow: RowCodec<SumRow> = {
  encode: ({ keys, bytes }) => encode([keys, bytes]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "row of the sum of idempotency keys");
    return { keys: reader.count(), bytes: reader.count() };
  },
};

/** Whose log time it is by now, and which limit holds. */
interface Now {
  readonly logTime: number;
  readonly keysMax: number;
}

/**
 * Runs a command, or answers what the first one under its key was answered. Refused without running, and not remembered:
 * IDEMPOTENCY_KEY_REUSED for another request, OVERLOADED when too many are remembered.
 * @param run null when there is no room for its response, and it did not run
 */
export function runIdempotent(
  tx: Transaction,
  principal: string,
  { key, request, note }: IdempotencyKey,
  { logTime, keysMax }: Now,
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
  const sum = tx.read(IDEMPOTENT_SUM_KEY, sumRow) ?? { keys: 0, bytes: 0 };
  if (sum.keys >= keysMax || sum.bytes >= IDEMPOTENCY_BYTES_MAX)
    return refused("OVERLOADED", `${sum.keys} idempotency keys are remembered`);
  const outcome = run();
  if (outcome === null || (!outcome.ok && NOT_RUN.has(outcome.code))) return outcome;
  const row = { until: logTime + IDEMPOTENCY_MS, request, note, outcome };
  tx.write(name, idempotentRow, row);
  tx.write(idempotentDueKey(row.until, name), markRow, null);
  count(tx, 1, bytesOf(name, row));
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
  count(tx, -1, -bytesOf(name, row));
}

function count(tx: Transaction, keys: number, bytes: number): void {
  const sum = tx.read(IDEMPOTENT_SUM_KEY, sumRow) ?? { keys: 0, bytes: 0 };
  tx.write(IDEMPOTENT_SUM_KEY, sumRow, { keys: sum.keys + keys, bytes: sum.bytes + bytes });
}

/** In both of its rows. */
const bytesOf = (name: Uint8Array, row: FirstRequest): number =>
  OVERHEAD_BYTES + 2 * name.length + idempotentRow.encode(row).length;
