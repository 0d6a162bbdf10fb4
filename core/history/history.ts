/**
 * The past of one node's state. It owns no rows and no thread: whoever keeps the ledger gives it both, and runs what it
 * returns, step by step. A step takes a few milliseconds at most; between two of them the state goes on.
 */
import { OpenClawError, unreachable } from "../errors.ts";
import type { Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { StoredRecord } from "../ports.ts";
import { readPosition } from "../state-machine/position.ts";
import type { StateView, Write } from "../state-machine/view.ts";
import { documentAt } from "./document-at.ts";
import type { HistoryAnswer, HistoryAnswers, HistoryQuery } from "./history-query.ts";
import { indexRecords, readMark } from "./index-records.ts";
import { keyAt, rangeAt, versionsOf } from "./past-keys.ts";
import { revisionAt } from "./past-times.ts";

/** Records and bytes of the ledger read into the index in one step; a record that is larger is a step of its own. */
const STEP_RECORDS = 128;
const STEP_BYTES = 65_536;

export interface HistorySource {
  readonly state: StateView;
  readonly index: StateView;
  /** Records from `from` on, at most `maxBytes` but at least one if there is one. */
  records(from: Revision, maxBytes: number): readonly StoredRecord[];
  /** All of it or nothing. */
  write(writes: readonly Write[]): void;
}

export class History {
  readonly #source: HistorySource;

  constructor(source: HistorySource) {
    this.#source = source;
  }

  /** Every revision up to it is in the index. */
  get indexed(): Revision {
    return readMark(this.#source.index).indexed;
  }

  /** Brings the index up to where the state is when this is called. */
  *catchUp(): Generator<void, void> {
    const to = this.#position.revision;
    for (let next = this.#next; next <= to; next = this.#next) {
      const records = this.#source.records(next, STEP_BYTES).slice(0, STEP_RECORDS);
      this.#source.write(indexRecords(this.#source.index, records));
      yield;
    }
  }

  /**
   * Answers from the state as it was, which does not change while the steps pass; only a compaction may take it away.
   * @throws OpenClawError REVISION_AHEAD, COMPACTED, BAD_REQUEST
   */
  read<Q extends HistoryQuery>(question: Q): Generator<void, HistoryAnswer<Q>>;
  *read(question: HistoryQuery): Generator<void, HistoryAnswer<HistoryQuery>> {
    this.#requireKept(question);
    yield* this.catchUp();
    const steps = this.#answer(question);
    for (;;) {
      this.#requireKept(question);
      const step = steps.next();
      if (step.done === true) return step.value;
      yield;
    }
  }

  *#answer(question: HistoryQuery): Generator<void, HistoryAnswers[keyof HistoryAnswers]> {
    const { state, index } = this.#source;
    switch (question.kind) {
      case "get":
        return { row: keyAt(index, question) };
      case "range":
        return yield* rangeAt(index, question);
      case "versions":
        return yield* versionsOf(index, question, this.#compacted);
      case "document":
        return yield* documentAt(state, question);
      case "revisionAt":
        return yield* revisionAt(index, question.time, this.#compacted);
      default:
        return unreachable(question);
    }
  }

  #requireKept(question: HistoryQuery): void {
    if (!("at" in question)) return;
    const { revision: newest } = this.#position;
    if (question.at > newest) throw new OpenClawError("REVISION_AHEAD", `revision ${question.at}, here ${newest}`);
    if (question.at < this.#compacted)
      throw new OpenClawError("COMPACTED", `the history is kept from revision ${this.#compacted}`);
  }

  get #next(): Revision {
    return revision(this.indexed + 1);
  }

  get #position() {
    return readPosition(this.#source.state);
  }

  get #compacted(): Revision {
    return revision(1);
  }
}
