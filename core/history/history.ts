/**
 * The past of one node's state. It owns no rows and no thread: whoever keeps the ledger gives it both, and runs what it
 * returns, step by step. A step takes a few milliseconds at most; between two of them the state goes on.
 */
import { OpenClawError, unreachable } from "../errors.ts";
import type { Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { readPosition } from "../state-machine/position.ts";
import { changesAt } from "./changes-at.ts";
import { documentAt } from "./document-at.ts";
import { extentOf } from "./extent.ts";
import type { HistoryAnswer, HistoryAnswers, HistoryQuery } from "./history-query.ts";
import type { HistorySource } from "./history-source.ts";
import { indexRecords, readMark } from "./index-records.ts";
import { mirrorOf } from "./mirror.ts";
import { outgrown } from "./outgrown.ts";
import { keyAt, rangeAt, versionsOf } from "./past-keys.ts";
import { revisionAt } from "./past-times.ts";
import { pruneKeys, pruneTimes } from "./prune.ts";

/** Records and bytes of the ledger read into the index in one step; a record that is larger is a step of its own. */
const STEP_RECORDS = 128;
const STEP_BYTES = 65_536;

export class History {
  readonly #source: HistorySource;

  constructor(source: HistorySource) {
    this.#source = source;
  }

  /** Every revision up to it is in the index. */
  get indexed(): Revision {
    return readMark(this.#source.index).indexed;
  }

  /** What a compaction up to it left superfluous is no more in the index. */
  get pruned(): Revision {
    return readMark(this.#source.index).pruned;
  }

  /** Brings the index up to where the state is when this is called. */
  *catchUp(): Generator<void, void> {
    const to = this.#position.revision;
    for (let next = this.#next; next <= to; next = this.#next) {
      const records = this.#source.records(next, STEP_BYTES).slice(0, STEP_RECORDS);
      this.#source.write(indexRecords(this.#source.index, records, this.#position.logTime));
      yield;
    }
  }

  /**
   * Removes what the compaction that was applied last leaves nobody to ask for. Broken off anywhere, it is begun again, and
   * goes on from its mark.
   */
  *prune(): Generator<void, void> {
    const { compacted } = this.#position;
    if (compacted === 0) return;
    if (this.pruned < compacted) {
      // Of what is not indexed yet, the ledger's record is all there is.
      yield* this.catchUp();
      yield* this.#pruneKeys(compacted);
    }
    while (this.#source.cut(compacted)) yield;
  }

  /** The records at the mark, too: what they deleted was kept then, for a read at that very revision. */
  *#pruneKeys(compacted: Revision): Generator<void, void> {
    for (let next = Math.max(1, this.pruned); next <= compacted; next = this.pruned + 1) {
      const records = this.#source.records(revision(next), STEP_BYTES).slice(0, STEP_RECORDS);
      this.#source.write(pruneKeys(this.#source.index, records, compacted));
      yield;
    }
    for (let writes = pruneTimes(this.#source.index, compacted); writes.length > 0; ) {
      this.#source.write(writes);
      yield;
      writes = pruneTimes(this.#source.index, compacted);
    }
  }

  /**
   * Answers from the state as it was, which does not change while the steps pass; only a compaction may take it away.
   * @throws OpenClawError REVISION_AHEAD, COMPACTED, BAD_REQUEST
   */
  read<Q extends HistoryQuery>(question: Q): Generator<void, HistoryAnswer<Q>>;
  *read(question: HistoryQuery): Generator<void, HistoryAnswer<HistoryQuery>> {
    this.#requireKept(question);
    // A mirror is read from the ledger itself.
    if (question.kind !== "mirror") yield* this.catchUp();
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
      case "changes":
        return yield* changesAt(state, question);
      case "extent":
        return yield* extentOf(state, question);
      case "outgrown":
        return yield* outgrown(index, this.#position, question);
      case "mirror":
        return yield* mirrorOf(this.#source, question);
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
    return this.#position.compacted;
  }
}
