/**
 * Foresight for the search over one cell: whether a value may be left behind while somebody still has to see it. Without
 * it the search finds that out only at the return of that observer, after it has tried every order of what lies between.
 */
import type { CellStep } from "./cell-step.ts";
import type { Value } from "./history.ts";
import type { Outlook, Timed } from "./model.ts";

export function cellOutlook(steps: readonly Timed<CellStep>[]): Outlook<Value> {
  return steps.some(({ step }) => step.kind === "append") ? new AppendOutlook(steps) : new ValueOutlook(steps);
}

/** Without appends: a value that somebody still has to see must not go while there is nobody left to write it again. */
class ValueOutlook implements Outlook<Value> {
  /** The value that each step has to see, and the one that it may leave behind. */
  readonly #seen: readonly (Value | undefined)[];
  readonly #written: readonly (Value | undefined)[];
  /** How many steps without a place have to see each value, and how many may write it. */
  readonly #observers = new Map<Value, number>();
  readonly #sources = new Map<Value, number>();

  constructor(steps: readonly Timed<CellStep>[]) {
    this.#seen = steps.map(({ kind, step }) => {
      if (kind === "may") return undefined;
      return step.kind === "read" ? step.value : step.kind === "swap" ? step.from : undefined;
    });
    this.#written = steps.map(({ step }) =>
      step.kind === "write" ? step.value : step.kind === "swap" ? step.to : undefined,
    );
    for (const index of steps.keys()) this.unplaced(index);
  }

  placed(index: number): void {
    this.#count(index, -1);
  }

  unplaced(index: number): void {
    this.#count(index, 1);
  }

  isHopeless(before: Value, after: Value): boolean {
    if (before === after || (this.#sources.get(before) ?? 0) > 0) return false;
    return (this.#observers.get(before) ?? 0) > 0;
  }

  #count(index: number, change: number): void {
    const seen = this.#seen[index];
    if (seen !== undefined) this.#observers.set(seen, (this.#observers.get(seen) ?? 0) + change);
    const written = this.#written[index];
    if (written !== undefined) this.#sources.set(written, (this.#sources.get(written) ?? 0) + change);
  }
}

/** With appends: the next get to return saw a text that begins with the value, or with a put that is still to come. */
class AppendOutlook implements Outlook<Value> {
  readonly #isPlaced: Uint8Array;
  /** By their returns. */
  readonly #reads: readonly { readonly index: number; readonly text: string; readonly returned: number }[];
  /** What replaces the value, by invocation. */
  readonly #resets: readonly { readonly index: number; readonly text: string; readonly invoked: number }[];
  /** Before these all have their place. */
  #firstRead = 0;
  #firstReset = 0;
  /** Where each read is among the reads, and each reset among the resets. */
  readonly #readRank: ReadonlyMap<number, number>;
  readonly #resetRank: ReadonlyMap<number, number>;

  constructor(steps: readonly Timed<CellStep>[]) {
    this.#isPlaced = new Uint8Array(steps.length);
    this.#reads = [...steps.entries()]
      .flatMap(([index, timed]) =>
        timed.kind === "must" && timed.step.kind === "read"
          ? [{ index, text: timed.step.value ?? "", returned: timed.returned }]
          : [],
      )
      .sort((a, b) => a.returned - b.returned);
    this.#resets = [...steps.entries()]
      .flatMap(([index, { step, invoked }]) => {
        if (step.kind === "write") return [{ index, text: step.value ?? "", invoked }];
        return step.kind === "swap" ? [{ index, text: step.to ?? "", invoked }] : [];
      })
      .sort((a, b) => a.invoked - b.invoked);
    this.#readRank = new Map(this.#reads.map(({ index }, rank) => [index, rank]));
    this.#resetRank = new Map(this.#resets.map(({ index }, rank) => [index, rank]));
  }

  placed(index: number): void {
    this.#isPlaced[index] = 1;
  }

  unplaced(index: number): void {
    this.#isPlaced[index] = 0;
    this.#firstRead = Math.min(this.#firstRead, this.#readRank.get(index) ?? this.#firstRead);
    this.#firstReset = Math.min(this.#firstReset, this.#resetRank.get(index) ?? this.#firstReset);
  }

  isHopeless(_before: Value, after: Value): boolean {
    this.#firstRead = this.#firstUnplaced(this.#reads, this.#firstRead);
    const read = this.#reads[this.#firstRead];
    if (read === undefined || read.text.startsWith(after ?? "")) return false;
    this.#firstReset = this.#firstUnplaced(this.#resets, this.#firstReset);
    for (let i = this.#firstReset; i < this.#resets.length; i++) {
      const reset = this.#resets[i];
      if (reset === undefined || reset.invoked > read.returned) break;
      if (this.#isPlaced[reset.index] === 0 && read.text.startsWith(reset.text)) return false;
    }
    return true;
  }

  #firstUnplaced(list: readonly { readonly index: number }[], from: number): number {
    let first = from;
    for (let entry = list[first]; entry !== undefined && this.#isPlaced[entry.index] === 1; entry = list[first])
      first++;
    return first;
  }
}
