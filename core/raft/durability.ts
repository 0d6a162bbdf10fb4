/**
 * What of the log is on this node's disk, and what may be said only then (rule R2).
 *
 * Several writes may be in flight; they complete in order. An answer waits for every write that was in flight or due
 * when it was made. A write claims the log up to its last entry, and a truncation lowers the claims of those in flight:
 * so an old completion never vouches for an entry that a later write replaces, not even when a third one brings the
 * same (term, index) back (pitfall 11).
 */
import { invariant } from "../errors.ts";
import { type Index, index, type NodeId, type Term } from "../ids.ts";
import type { RaftMessage } from "./message.ts";

/** Answers that may wait for one write. More are dropped, as a network may: their peers ask again. */
const ANSWERS_MAX = 4_096;

/** The end of a write, as the driver hands it back. */
export interface Persisted {
  readonly term: Term;
  readonly index: Index;
}

interface Write {
  readonly end: Persisted;
  claim: Index;
  readonly answers: RaftMessage[];
}

export class Durability {
  readonly #self: NodeId;
  #writes: Write[] = [];
  /** Made since the last write was handed out. */
  #answers: RaftMessage[] = [];
  #written: Index;
  #durable: Index;

  constructor(self: NodeId, durable: Index) {
    this.#self = self;
    this.#written = durable;
    this.#durable = durable;
  }

  /** The log is on disk up to here. */
  get durable(): Index {
    return this.#durable;
  }
  /** Writes were handed out up to here. */
  get written(): Index {
    return this.#written;
  }
  get hasAnswers(): boolean {
    return this.#answers.length > 0;
  }

  /** Says `message` once everything up to now is on disk. Addressed to this node itself, it is its own vote. */
  answer(message: RaftMessage): void {
    if (this.#answers.length < ANSWERS_MAX || message.to === this.#self) this.#answers.push(message);
  }

  /** A write leaves, which holds the log up to `end`; returns the answers to send when it is durable. */
  handOut(end: Persisted): readonly RaftMessage[] {
    const write: Write = { end, claim: end.index, answers: [] };
    this.#writes.push(write);
    this.#written = end.index;
    for (const answer of this.#answers) if (answer.to === this.#self) write.answers.push(answer);
    const toSend = write.answers.length === 0 ? this.#answers : this.#answers.filter(({ to }) => to !== this.#self);
    this.#answers = [];
    return toSend;
  }

  /** Nothing is to be written: answers that still wait for a write in flight stay here, the others are returned. */
  releaseIdle(): readonly RaftMessage[] {
    const answers = this.#answers;
    if (answers.length === 0) return answers;
    this.#answers = [];
    const last = this.#writes.at(-1);
    if (last === undefined) return answers;
    for (const answer of answers) if (last.answers.length < ANSWERS_MAX) last.answers.push(answer);
    return [];
  }

  /** The oldest write in flight is durable. Returns the answers that waited for it here. */
  completed(end: Persisted): readonly RaftMessage[] {
    const write = this.#writes.shift();
    invariant(
      write !== undefined && write.end.index === end.index && write.end.term === end.term,
      "writes complete in order, one report each",
    );
    if (write.claim > this.#durable) this.#durable = write.claim;
    return write.answers;
  }

  /** Entries at and above `from` are no longer the log's. */
  truncated(from: Index): void {
    const before = index(from - 1);
    if (this.#written > before) this.#written = before;
    if (this.#durable > before) this.#durable = before;
    for (const write of this.#writes) if (write.claim > before) write.claim = before;
  }

  /**
   * A snapshot replaced the log up to `base`. Whoever asks waits until it is installed; old writes vouch for nothing.
   */
  reset(base: Index): void {
    this.#written = base;
    this.#durable = base;
    // The entries they speak of may never have been handed out.
    this.#answers = this.#answers.filter(({ kind }) => kind !== "appendAccepted" && kind !== "appendUncounted");
    for (const write of this.#writes) write.claim = index(0);
  }
}
