/**
 * Puts received changes into open documents in slices, with a turn for everybody else between two of them: however many
 * come, whoever types waits for one slice at most. Documents have theirs in turn, each with all that waits for it as far
 * as a slice goes, for a batch costs hardly more than its first change. What comes while nothing waits is shown at once.
 */
import type { DocumentChange } from "../ledger/record.ts";
import type { Clock, NextTurn } from "../ports.ts";

/** Changes of one slice, and their bytes: about 15 ms in a text of 10 KB, well below a long task. A larger change is a slice by itself. */
export const SLICE_CHANGES_MAX = 128;
const SLICE_BYTES_MAX = 16_384;
/** Changes of the first slice, and of the smallest: how long one takes on this device is known once some were put in. */
const SLICE_CHANGES_FIRST = 32;
const SLICE_CHANGES_MIN = 8;
/** One that took longer makes the next half as large, ms; one that was full and took less than half of it twice as large. */
const SLICE_MS_MAX = 24;
/** Another document may begin within a slice until then, ms. */
const SLICE_MS = 8;
/** Changes, and bytes, that wait to be shown; above it whoever brings more waits for `room`. */
export const UNSHOWN_MAX = 4_096;
const UNSHOWN_BYTES_MAX = 8_388_608;

/** A document in which changes are to be shown. */
export interface Showing {
  readonly unshown: Unshown;
  /** Shows the next few that wait, `limit` at most, and says how many; 0 while it can not. */
  show(limit: number): number;
}

/** Changes that are stored and wait to be shown in one document, in order. */
export class Unshown {
  readonly #slices: Slices;
  #changes: DocumentChange[] = [];

  constructor(slices: Slices) {
    this.#slices = slices;
  }

  get size(): number {
    return this.#changes.length;
  }

  add(changes: readonly DocumentChange[]): void {
    for (const change of changes) this.#changes.push(change);
    this.#slices.count(changes, 1);
  }

  /** The first ones: no more than one slice, and at least one. */
  take(limit: number): readonly DocumentChange[] {
    const taken = this.#changes.splice(0, endOfSlice(this.#changes, 0, limit));
    this.#slices.count(taken, -1);
    return taken;
  }

  takeAll(): readonly DocumentChange[] {
    const taken = this.#changes;
    this.#changes = [];
    this.#slices.count(taken, -1);
    return taken;
  }
}

export class Slices {
  readonly #clock: Clock;
  readonly #nextTurn: NextTurn;
  /** In the order of their turns. */
  readonly #showing = new Set<Showing>();
  #isRunning = false;
  #changes = 0;
  #bytes = 0;
  #waiters: (() => void)[] = [];
  /** Changes that the next one may have. */
  #limit = SLICE_CHANGES_FIRST;

  constructor(clock: Clock, nextTurn: NextTurn) {
    this.#clock = clock;
    this.#nextTurn = nextTurn;
  }

  /** Shows what waits there, now or in turn. */
  want(document: Showing): void {
    if (document.unshown.size === 0) return;
    this.#showing.add(document);
    if (!this.#isRunning) void this.#run();
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    while (this.#changes >= UNSHOWN_MAX || this.#bytes >= UNSHOWN_BYTES_MAX)
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** The changes some at a time, in their order, with a turn for everybody else in between. */
  async *of(changes: readonly DocumentChange[]): AsyncGenerator<readonly DocumentChange[]> {
    for (let from = 0, to = 0; from < changes.length; from = to) {
      if (from > 0) await this.turn();
      to = endOfSlice(changes, from, this.#limit);
      const began = this.#clock.now();
      yield changes.slice(from, to);
      this.#took(this.#clock.now() - began, to - from);
    }
  }

  turn(): Promise<void> {
    return this.#nextTurn();
  }

  /** More of them wait, or fewer. */
  count(changes: readonly DocumentChange[], sign: 1 | -1): void {
    this.#changes += sign * changes.length;
    for (const { bytes } of changes) this.#bytes += sign * bytes.length;
    if (sign === 1 || this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const tell of waiters) tell();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#showing.size > 0) {
      this.#slice();
      await this.#nextTurn();
    }
    this.#isRunning = false;
  }

  #slice(): void {
    const began = this.#clock.now();
    const limit = this.#limit;
    let left = limit;
    // Who has more is put at the end again, and may have another turn in this slice.
    for (const document of this.#showing) {
      this.#showing.delete(document);
      const shown = document.show(left);
      if (shown > 0 && document.unshown.size > 0) this.#showing.add(document);
      left -= shown;
      if (left <= 0 || this.#clock.now() >= began + SLICE_MS) break;
    }
    this.#took(this.#clock.now() - began, limit - left);
  }

  #took(ms: number, changes: number): void {
    if (ms > SLICE_MS_MAX) this.#limit = Math.max(SLICE_CHANGES_MIN, Math.floor(this.#limit / 2));
    else if (ms < SLICE_MS_MAX / 2 && changes >= this.#limit)
      this.#limit = Math.min(SLICE_CHANGES_MAX, 2 * this.#limit);
  }
}

function endOfSlice(changes: readonly DocumentChange[], from: number, limit: number): number {
  let bytes = 0;
  for (let at = from; at < changes.length; at++) {
    bytes += changes[at]?.bytes.length ?? 0;
    if (at > from && (at - from >= limit || bytes > SLICE_BYTES_MAX)) return at;
  }
  return changes.length;
}
