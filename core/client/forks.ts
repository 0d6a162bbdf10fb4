/**
 * How much of documents may be forked for what others write. A fork stays in WebAssembly's memory until the collector finds
 * that nobody has it; V8 counts that memory, and so looks in time, but nobody promises when.
 */
import type { Clock } from "../ports.ts";

/** Operations of the documents that are forked: a fork of a text of 10,000 characters takes 35 KB. */
const OPS_AT_ONCE = 1_000_000;
const OPS_PER_MS = 20;

export class Forks {
  readonly #clock: Clock;
  #left = OPS_AT_ONCE;
  #filled: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filled = clock.now();
  }

  /** False where that is too much now. */
  take(ops: number): boolean {
    const now = this.#clock.now();
    this.#left = Math.min(OPS_AT_ONCE, this.#left + (now - this.#filled) * OPS_PER_MS);
    this.#filled = now;
    if (ops > this.#left) return false;
    this.#left -= ops;
    return true;
  }
}
