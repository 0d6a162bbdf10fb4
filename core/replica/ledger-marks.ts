/**
 * The cheap comparison, always on (C3): each heartbeat says how far its sender has applied, to which revision, and with
 * what ledger hash. Replicas that applied the same index have the same; one that reached the same revision by another
 * ledger is seen at once. What never reaches the ledger is left to the rounds (comparisons.ts).
 */
import { equalBytes } from "../bytes.ts";
import type { Applied } from "../ports.ts";
import type { StateMark } from "../raft/message.ts";
import type { Position } from "../state-machine/query.ts";

/** Bytes of a hash: what replicas differ in by a fault, not by malice. */
const HASH_BYTES = 8;
/** Ends of batches that are remembered: a leader's state may be behind its followers'. */
const MARKS_MAX = 64;

export class LedgerMarks {
  readonly #own: StateMark[] = [];
  /** A leader's, of an index that is not applied here yet. */
  #ahead: StateMark | null = null;

  /** Another state took the place of the one that all this is about. */
  clear(): void {
    this.#own.length = 0;
    this.#ahead = null;
  }

  /** Of this replica now. */
  static of(applied: Applied["index"], { revision, hash }: Position): StateMark {
    return { applied, revision, hash: hash.subarray(0, HASH_BYTES) };
  }

  /** A batch is applied. True: the leader's ledger is another one. */
  applied(applied: Applied): boolean {
    const { index, position } = applied;
    const own = LedgerMarks.of(index, position);
    if (this.#own.push(own) > MARKS_MAX) this.#own.shift();
    const ahead = this.#ahead;
    if (ahead === null || index < ahead.applied) return false;
    this.#ahead = null;
    if (index === ahead.applied) return differ(own, ahead);
    const record = applied.records.find(({ revision }) => revision === ahead.revision);
    return record !== undefined && !equalBytes(record.hash.subarray(0, HASH_BYTES), ahead.hash);
  }

  /** A leader told its mark. True: its ledger is another one. */
  heard(theirs: StateMark): boolean {
    const last = this.#own.at(-1);
    if (last === undefined || theirs.applied > last.applied) {
      // The first that is out of reach is kept: under a steady load a later one would always take its place.
      this.#ahead ??= theirs;
      return false;
    }
    return this.#own.some((own) => differ(own, theirs));
  }
}

/** Of one index they have one revision, and of one revision one hash. */
function differ(a: StateMark, b: StateMark): boolean {
  if (a.revision === b.revision) return !equalBytes(a.hash, b.hash);
  return a.applied === b.applied;
}
