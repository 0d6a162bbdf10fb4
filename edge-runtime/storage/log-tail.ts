/**
 * Where the log ends: written with every commit into the log's database, and a second time into a small file of its own
 * (tail-file.ts). SQLite's recovery silently drops the WAL from the first bad frame on; the second copy is what then
 * tells that there was more (R5).
 */
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { type Index, index, isNodeId, type Term, term } from "@openclaw/core/ids.ts";
import type { LogBase } from "@openclaw/core/ports.ts";
import type { HardState } from "@openclaw/core/raft/message.ts";

export interface LogTail {
  /** Number of the commit, from 1; 0 before the first. */
  readonly commit: number;
  readonly hardState: HardState;
  readonly base: LogBase;
  /** The last entry, or the base if there is none. */
  readonly last: Index;
  readonly lastTerm: Term;
  /** R5: more than `last` while the node is still catching up on entries it once lost. */
  readonly highWater: Index;
}

export const EMPTY_TAIL: LogTail = {
  commit: 0,
  hardState: { term: term(0), vote: null, commit: index(0) },
  base: { index: index(0), term: term(0) },
  last: index(0),
  lastTerm: term(0),
  highWater: index(0),
};

export const encodeTail = (tail: LogTail): Uint8Array =>
  encode([
    tail.commit,
    tail.hardState.term,
    tail.hardState.vote,
    tail.hardState.commit,
    tail.base.index,
    tail.base.term,
    tail.last,
    tail.lastTerm,
    tail.highWater,
  ]);

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeTail(bytes: Uint8Array): LogTail {
  const reader = new TupleReader(decode(bytes), "log tail");
  const tail: LogTail = {
    commit: reader.count(),
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

/**
 * The tail after the log came to end at `last`. While entries are missing the high water stays; a whole log that is
 * truncated, as Raft does to entries that were never committed, takes its high water down with it.
 */
export function movedTail(tail: LogTail, last: Index, lastTerm: Term): LogTail {
  const whole = tail.last >= tail.highWater;
  return { ...tail, last, lastTerm, highWater: whole ? last : index(Math.max(tail.highWater, last)) };
}

/** What a start finds: the tail in the database, the copy beside it, and how far the rows are readable. */
export interface FoundLog {
  readonly stored: LogTail;
  readonly copy: LogTail | null;
  /** The last entry of the rows that follow the base without a gap and pass their check. */
  readonly validLast: Index;
  readonly termAt: (at: Index) => Term;
}

/**
 * The tail to go on with. Entries above its `last` are to be dropped.
 *
 * A copy of a later commit than the database's means that whole commits are gone. They may have truncated what the
 * database still shows, so its last entry must have the copy's term to count (log matching, thesis §3.5); and the commit
 * hint must be the database's own, since the copy's may cover entries that are not these.
 */
export function reconcile({ stored, copy, validLast, termAt }: FoundLog): LogTail {
  const commitsLost = copy !== null && copy.commit > stored.commit;
  const truth = commitsLost ? copy : stored;
  let last = Math.min(validLast, Math.max(truth.last, stored.base.index));
  if (commitsLost && last === truth.last && last > stored.base.index && termAt(index(last)) !== truth.lastTerm)
    last -= 1;
  return {
    commit: truth.commit,
    hardState: {
      term: truth.hardState.term,
      vote: truth.hardState.vote,
      commit: index(Math.min(stored.hardState.commit, last)),
    },
    base: stored.base,
    last: index(last),
    lastTerm: termAt(index(last)),
    highWater: index(Math.max(truth.highWater, truth.last)),
  };
}
