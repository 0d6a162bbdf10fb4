/**
 * Commands whose home is elsewhere, or not here yet (Q2): each is a revision of the ledger, which is its handle, and a row
 * that says what became of it. They are forgotten by log time (T1), and the oldest settled ones before that.
 */
import { decode, encode, TupleReader } from "../codec.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { isClusterId, isNonce, revision } from "../ids.ts";
import { readCluster } from "../ledger/record-codec.ts";
import { COMMAND_HORIZON_MS, COMMANDS_SETTLED_MAX, COMMANDS_WAITING_MAX } from "../limits.ts";
import type { Outcome } from "./command.ts";
import {
  COMMANDS_SUM_KEY,
  revisionOfCommandRow,
  SETTLED_COMMANDS,
  settledCommandKey,
  WAITING_COMMANDS,
  waitingCommandKey,
} from "./keyspace.ts";
import { type Refusal, refused } from "./outcome.ts";
import { outcomeTuple, readOutcome } from "./outcome-codec.ts";
import type { Answer, CommandState, Query } from "./query.ts";
import { rowsOf } from "./row-pages.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** Bytes of what waits, and of what is remembered. */
const WAITING_BYTES_MAX = 64 * 1_048_576;
const SETTLED_BYTES_MAX = 64 * 1_048_576;
/** Of results, on one page. */
const PAGE_BYTES = 1_048_576;
/** Rows past their time that one more command takes away: more than it adds. */
const FORGOTTEN_AT_ONCE_MAX = 8;
/** Around the bytes of a row. */
const OVERHEAD_BYTES = 128;

/** The neighbour that a command came from, which is told what became of it. */
export interface Relay {
  /** Null: the parent. */
  readonly to: ClusterId | null;
  readonly epoch: string;
  readonly revision: Revision;
}

export interface WaitingCommand {
  /** Log time that it is from. */
  readonly since: number;
  readonly principal: string;
  /** The neighbour that has it, null for the parent; our own name: it is held here until its prefix is open. */
  readonly via: ClusterId | null;
  /** An encoded user command: for a home that moves here before it ran. */
  readonly command: Uint8Array;
  /** Null: it was written here. */
  readonly relay: Relay | null;
}

interface SettledCommand {
  readonly since: number;
  readonly principal: string;
  readonly via: ClusterId | null;
  readonly outcome: Outcome;
}

interface Sum {
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly settled: number;
  readonly settledBytes: number;
}

const NOTHING: Sum = { waiting: 0, waitingBytes: 0, settled: 0, settledBytes: 0 };

const waitingRow: RowCodec<WaitingCommand> = {
  encode: ({ since, principal, via, command, relay }) =>
    encode([since, principal, via, command, relay === null ? null : [relay.to, relay.epoch, relay.revision]]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "row of a waiting command");
    return {
      since: reader.count(),
      principal: reader.text(),
      via: readCluster(reader),
      command: reader.bytes(),
      relay: reader.orNull((field) => {
        const relay = new TupleReader(field.any(), "relay");
        return {
          to: relay.orNull((name) => name.that(isClusterId, "a cluster")),
          epoch: relay.that(isNonce, "a nonce"),
          revision: revision(relay.count()),
        };
      }),
    };
  },
};

const settledRow: RowCodec<SettledCommand> = {
  encode: ({ since, principal, via, outcome }) => encode([since, principal, via, outcomeTuple(outcome)]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "row of a settled command");
    return {
      since: reader.count(),
      principal: reader.text(),
      via: readCluster(reader),
      outcome: readOutcome(reader.any()),
    };
  },
};

const sumRow: RowCodec<Sum> = {
  encode: (sum) => encode([sum.waiting, sum.waitingBytes, sum.settled, sum.settledBytes]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "row of the sum of commands");
    return {
      waiting: reader.count(),
      waitingBytes: reader.count(),
      settled: reader.count(),
      settledBytes: reader.count(),
    };
  },
};

/** Why no further command may wait, or null. */
export function waitingRefusal(tx: Transaction, bytes: number): Refusal | null {
  const { waiting, waitingBytes } = sumOf(tx);
  if (waiting < COMMANDS_WAITING_MAX && waitingBytes + bytes <= WAITING_BYTES_MAX) return null;
  return refused("OVERLOADED", `${waiting} commands, ${waitingBytes} bytes, wait for their home`);
}

/** One that waits from here on; those past their time are forgotten. */
export function addWaiting(tx: Transaction, at: Revision, row: WaitingCommand): void {
  forgetDue(tx, row.since);
  tx.write(waitingCommandKey(at), waitingRow, row);
  count(tx, { waiting: 1, waitingBytes: bytesWaiting(row) });
}

/** Who has one that waits; undefined where none does under that revision. */
export const waitsAt = (tx: Transaction, at: Revision): ClusterId | null | undefined =>
  tx.read(waitingCommandKey(at), waitingRow)?.via;

/** It waits no longer: what it was, or undefined where it was forgotten, or never waited. */
export function takeWaiting(tx: Transaction, at: Revision): WaitingCommand | undefined {
  const key = waitingCommandKey(at);
  const row = tx.read(key, waitingRow);
  if (row === undefined) return undefined;
  tx.remove(key);
  count(tx, { waiting: -1, waitingBytes: -bytesWaiting(row) });
  return row;
}

/** Keeps what became of one; where there are too many, the oldest are forgotten. */
export function addSettled(tx: Transaction, at: Revision, { since, principal, via }: WaitingCommand, outcome: Outcome) {
  const row = { since, principal, via, outcome };
  tx.write(settledCommandKey(at), settledRow, row);
  count(tx, { settled: 1, settledBytes: bytesSettled(row) });
  for (let sum = sumOf(tx); isOver(sum); sum = sumOf(tx)) {
    const [oldest] = tx.scan(SETTLED_COMMANDS.from, SETTLED_COMMANDS.to, settledRow, 1);
    if (oldest === undefined) return;
    forgetSettled(tx, oldest.key, oldest.value);
  }
}

/** Nothing is known of it any more, though its row may still stand. */
export const isForgotten = ({ since }: Pick<WaitingCommand, "since">, logTime: number): boolean =>
  since + COMMAND_HORIZON_MS <= logTime;

/** Those that wait, oldest first; at most COMMANDS_WAITING_MAX. */
export const waitingCommands = (tx: Transaction): readonly { readonly at: Revision; readonly row: WaitingCommand }[] =>
  tx
    .scan(WAITING_COMMANDS.from, WAITING_COMMANDS.to, waitingRow, COMMANDS_WAITING_MAX)
    .map(({ key, value }) => ({ at: revisionOfCommandRow(key), row: value }));

/** The first one for the parent at or after `from`; null where none waits. */
export function firstForParent(tx: Transaction, from: Revision): Revision | null {
  for (const { key, value } of tx.rows(waitingCommandKey(from), WAITING_COMMANDS.to, waitingRow))
    if (value.via === null) return revisionOfCommandRow(key);
  return null;
}

/** What is known of one; null when it was forgotten, or never was. */
export function commandState(view: StateView, at: Revision, logTime: number): CommandState | null {
  const waiting = view.get(waitingCommandKey(at));
  if (waiting !== undefined) return waitingState(at, waitingRow.decode(waiting), logTime);
  const settled = view.get(settledCommandKey(at));
  return settled === undefined ? null : settledState(at, settledRow.decode(settled), logTime);
}

/**
 * Those after a handle, oldest first, at most `limit` and about PAGE_BYTES of results; those that are relayed for others are
 * not among them.
 */
export function* commandStates(
  view: StateView,
  after: Revision,
  limit: number,
  logTime: number,
): Generator<void, Answer<Extract<Query, { kind: "commands" }>>> {
  const waiting: CommandState[] = [];
  const settled: CommandState[] = [];
  const next = revision(after + 1);
  for (const { key, value } of rowsOf(view, waitingCommandKey(next), WAITING_COMMANDS.to)) {
    const state = waitingState(revisionOfCommandRow(key), waitingRow.decode(value), logTime);
    if (state !== null) waiting.push(state);
    if (waiting.length > limit) break;
  }
  yield;
  let bytes = 0;
  let end = Number.POSITIVE_INFINITY;
  for (const { key, value } of rowsOf(view, settledCommandKey(next), SETTLED_COMMANDS.to)) {
    const state = settledState(revisionOfCommandRow(key), settledRow.decode(value), logTime);
    if (state === null) continue;
    settled.push(state);
    // Nothing from here on is of this page, neither what waits.
    if (bytes > PAGE_BYTES) end = state.revision;
    if (settled.length > limit || bytes > PAGE_BYTES) break;
    bytes += value.length;
  }
  const found = [...waiting, ...settled].sort((a, b) => a.revision - b.revision);
  const commands = found.filter((one) => one.revision < end).slice(0, limit);
  return { commands, more: commands.length < found.length };
}

function waitingState(at: Revision, row: WaitingCommand, logTime: number) {
  const { since, principal, via, relay } = row;
  if (relay !== null || isForgotten(row, logTime)) return null;
  return { revision: at, principal, via, waitsMs: logTime - since, outcome: null };
}

function settledState(at: Revision, row: SettledCommand, logTime: number) {
  const { principal, via, outcome } = row;
  return isForgotten(row, logTime) ? null : { revision: at, principal, via, waitsMs: null, outcome };
}

/** A few at a time: rows of both kinds are in the order of their revisions, and so of their time. */
function forgetDue(tx: Transaction, logTime: number): void {
  const due = logTime - COMMAND_HORIZON_MS;
  for (const { key, value } of tx.scan(WAITING_COMMANDS.from, WAITING_COMMANDS.to, waitingRow, FORGOTTEN_AT_ONCE_MAX)) {
    if (value.since > due) break;
    takeWaiting(tx, revisionOfCommandRow(key));
  }
  for (const { key, value } of tx.scan(SETTLED_COMMANDS.from, SETTLED_COMMANDS.to, settledRow, FORGOTTEN_AT_ONCE_MAX)) {
    if (value.since > due) break;
    forgetSettled(tx, key, value);
  }
}

function forgetSettled(tx: Transaction, key: Uint8Array, row: SettledCommand): void {
  tx.remove(key);
  count(tx, { settled: -1, settledBytes: -bytesSettled(row) });
}

const isOver = ({ settled, settledBytes }: Sum): boolean =>
  settled > COMMANDS_SETTLED_MAX || settledBytes > SETTLED_BYTES_MAX;

const sumOf = (tx: Transaction): Sum => tx.read(COMMANDS_SUM_KEY, sumRow) ?? NOTHING;

function count(tx: Transaction, by: Partial<Sum>): void {
  const sum = sumOf(tx);
  tx.write(COMMANDS_SUM_KEY, sumRow, {
    waiting: sum.waiting + (by.waiting ?? 0),
    waitingBytes: sum.waitingBytes + (by.waitingBytes ?? 0),
    settled: sum.settled + (by.settled ?? 0),
    settledBytes: sum.settledBytes + (by.settledBytes ?? 0),
  });
}

const bytesWaiting = (row: WaitingCommand): number => OVERHEAD_BYTES + row.command.length;
const bytesSettled = (row: SettledCommand): number => OVERHEAD_BYTES + settledRow.encode(row).length;
