/** What the clients saw, by time: for the plot, the progress line and the longest gap between acknowledged writes. */

/** `refused`: by the state itself, as a compare and set may be; `unreachable`: nobody got the request. */
export type Ending = "ok" | "refused" | "unreachable" | "unknown";

export interface Observation {
  /** Ms since the start. */
  readonly from: number;
  readonly until: number;
  readonly ending: Ending;
  readonly isWrite: boolean;
}

export class Observations {
  readonly all: Observation[] = [];
  /** Answers that were neither success nor one of the state's own, by code. */
  readonly codes = new Map<string, number>();
  readonly #clock: () => number;
  readonly #startedAt: number;
  #lastWriteAt: number | null = null;
  #maxGapMs = 0;
  #acknowledged = 0;

  /** @param clock monotonic, ms */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#startedAt = clock();
  }

  /** Ms since the start. */
  now(): number {
    return this.#clock() - this.#startedAt;
  }

  add(from: number, ending: Ending, isWrite: boolean, code?: string): void {
    const until = this.now();
    this.all.push({ from, until, ending, isWrite });
    if (code !== undefined) this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
    if (!isWrite || ending !== "ok") return;
    this.#acknowledged++;
    if (this.#lastWriteAt !== null) this.#maxGapMs = Math.max(this.#maxGapMs, until - this.#lastWriteAt);
    this.#lastWriteAt = until;
  }

  /** Writes of any kind. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Of the time between one acknowledged write and the next; one that has not ended yet counts as far as it got. */
  get maxWriteGapMs(): number {
    return Math.max(this.#maxGapMs, this.now() - (this.#lastWriteAt ?? 0));
  }
}
