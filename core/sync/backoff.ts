/**
 * How long to wait before the next try: anything up to a bound that grows (full jitter), so that a thousand clients of a
 * dead site do not come as one.
 */
import type { Clock, Random } from "../ports.ts";

/** What the bound is multiplied by with each failure. */
const DOUBLING = 2;
/** Failures that count: beyond, every bound is the longest. */
const FAILURES_MAX = 1_000;

export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #growth: number;
  #failures = 0;
  /** When the last wait was over. */
  #waited = 0;
  #wake: () => void = () => {};

  /** @param growth above 1. The bound is then about 2 · (growth − 1) of the time that it has been failing for */
  constructor(clock: Clock, random: Random, firstMs: number, maxMs: number, growth: number = DOUBLING) {
    this.#clock = clock;
    this.#random = random;
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#growth = growth;
  }

  /** The next failure waits the first time again. */
  reset(): void {
    this.#failures = 0;
  }

  /** The next delay, ms. */
  next(): number {
    const bound = Math.min(this.#maxMs, this.#firstMs * this.#growth ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, FAILURES_MAX);
    return bound * this.#random.unit();
  }

  /**
   * Resolves after the next delay, or at `wake`. What held for as long as the longest delay was no failure; a shorter try is
   * one, however far it came: who is let in and then refused must not come again at once, and again.
   */
  async wait(): Promise<void> {
    if (this.#clock.now() - this.#waited >= this.#maxMs) this.reset();
    const ms = this.next();
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#waited = this.#clock.now();
  }

  /** Ends the wait under way. */
  wake(): void {
    this.#wake();
  }
}
