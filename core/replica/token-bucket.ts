/** A bound on bytes a second: a bucket that fills by the clock, and is emptied by what is sent. */
import { invariant } from "../errors.ts";
import type { Clock } from "../ports.ts";

export class TokenBucket {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filled: number;

  /** @param burst what may go at once after a pause, in bytes */
  constructor(clock: Clock, perSecond: number, burst: number) {
    invariant(perSecond > 0 && burst > 0, "a rate is above zero");
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filled = clock.now();
  }

  /** Resolves when `bytes` may go. More than a burst is let through on credit, and whoever comes next waits for it. */
  async take(bytes: number): Promise<void> {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filled) * this.#perSecond) / 1_000);
    this.#filled = now;
    this.#tokens -= bytes;
    if (this.#tokens >= 0) return;
    const ms = (-this.#tokens * 1_000) / this.#perSecond;
    await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
  }
}
