/** What the callers of a cluster's keys asked and were told, in the order of one clock of moments. */

export type Answer =
  /** A write took effect at this revision. */
  | { readonly kind: "wrote"; readonly revision: number }
  /** A comparison did not hold. */
  | { readonly kind: "differed" }
  /** What a read saw, or a delete that found nothing, and the revision of the state in which it was read; null where callers are not told. */
  | {
      readonly kind: "saw";
      readonly row: { readonly value: string; readonly revision: number } | null;
      readonly at: number | null;
    };

export interface Call {
  readonly process: string;
  readonly key: string;
  /** `expected`: the revision of the value that is to be replaced, 0 for none. Every value is written by one call only. */
  readonly asked:
    | { readonly kind: "put"; readonly value: string }
    | { readonly kind: "compareAndSet"; readonly value: string; readonly expected: number }
    | { readonly kind: "delete" }
    | { readonly kind: "read" };
  readonly began: number;
  /** Infinity for one that was never answered: it may take effect at any later time, or never. */
  ended: number;
  answer: Answer | null;
}

export class History {
  readonly calls: Call[] = [];
  #moment = 0;
  #answered = 0;

  /** The returned function notes the answer. */
  begin(process: string, key: string, asked: Call["asked"]): (answer: Answer) => void {
    const call: Call = { process, key, asked, began: ++this.#moment, ended: Number.POSITIVE_INFINITY, answer: null };
    this.calls.push(call);
    return (answer) => {
      call.ended = ++this.#moment;
      call.answer = answer;
      this.#answered++;
    };
  }

  get answered(): number {
    return this.#answered;
  }
}

/** A write as the ledger has it. */
export interface LedgerWrite {
  readonly key: string;
  /** Null: the key was deleted. */
  readonly value: string | null;
  readonly revision: number;
}
