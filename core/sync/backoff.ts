/** How long to wait before the next try: doubling, with jitter, so that a thousand clients of a dead site do not come as one. */
import type { Clock, Random } from "../ports.ts";

export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #firstMs: number;
  readonly #maxMs: number;
  #failures = 0;
  #wake: () => void = () => {};

  constructor(clock: Clock, random: Random, firstMs: number, maxMs: number) {
    this.#clock = clock;
    this.#random = random;
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  /** It worked: the next failure waits the first time again. */
  reset(): void {
    this.#failures = 0;
  }

  /** Resolves after the next delay, or at `wake`. */
  wait(): Promise<void> {
    const ms = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#failures) * (0.5 + this.#random.unit() / 2);
    this.#failures = Math.min(this.#failures + 1, 30);
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Ends the wait under way. */
  wake(): void {
    this.#wake();
  }
}
