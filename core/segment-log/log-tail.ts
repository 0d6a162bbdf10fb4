/** Where the log stands after a batch: a copy is in every batch, another in the mark (R5). */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { type Index, index, isNodeId, type Term, term } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import type { HardState } from "../raft/message.ts";

export interface LogTail {
  /** Number of the batch, from 1; 0 before the first. It only grows. */
  readonly batch: number;
  readonly hardState: HardState;
  readonly base: LogBase;
  /** The last entry, or the base if there is none. */
  readonly last: Index;
  readonly lastTerm: Term;
  /** R5: more than `last` while the node is still catching up on entries it once lost. */
  readonly highWater: Index;
}

export const EMPTY_TAIL: LogTail = {
  batch: 0,
  hardState: { term: term(0), vote: null, commit: index(0) },
  base: { index: index(0), term: term(0) },
  last: index(0),
  lastTerm: term(0),
  highWater: index(0),
};

export const tailTuple = ({ batch, hardState, base, last, lastTerm, highWater }: LogTail): Encodable => [
  batch,
  hardState.term,
  hardState.vote,
  hardState.commit,
  base.index,
  base.term,
  last,
  lastTerm,
  highWater,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readTail(value: Encodable): LogTail {
  const reader = new TupleReader(value, "log tail");
  const tail: LogTail = {
    batch: reader.count(),
    hardState: {
      term: term(reader.count()),
      vote: reader.orNull((field) => field.that(isNodeId, "a node id")),
      commit: index(reader.count()),
    },
    base: { index: index(reader.count()), term: term(reader.count()) },
    last: index(reader.count()),
    lastTerm: term(reader.count()),
    highWater: index(reader.count()),
  };
  reader.end();
  return tail;
}

export const encodeTail = (tail: LogTail): Uint8Array => encode(tailTuple(tail));

/** @throws OpenClawError MALFORMED_FRAME */
export const decodeTail = (bytes: Uint8Array): LogTail => readTail(decode(bytes));

/**
 * The tail after the log came to end at `last`. While entries are missing the high water stays; a whole log that is
 * truncated, as Raft does to entries that were never committed, takes its high water down with it.
 */
export function movedTail(tail: LogTail, last: Index, lastTerm: Term): LogTail {
  const whole = tail.last >= tail.highWater;
  return { ...tail, last, lastTerm, highWater: whole ? last : index(Math.max(tail.highWater, last)) };
}
