/**
 * Whether a gateway is worth a try. Closed: it is. Open, after some failures in a row: not for a while, which doubles with
 * each further failure. Half-open when that is over: one try decides.
 */
import type { Clock, Random } from "../ports.ts";

export type Circuit = "closed" | "open" | "half-open";

/** Failures in a row that open it. */
const FAILURES_MAX = 3;
/** How long it stays open at first, and at most, ms. */
const OPEN_MS_FIRST = 1_000;
const OPEN_MS_MAX = 30_000;

export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #random: Random;
  #failures = 0;
  /** When it is half-open; it counts while there are enough failures. */
  #until = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  get circuit(): Circuit {
    if (this.#failures < FAILURES_MAX) return "closed";
    return this.#clock.now() < this.#until ? "open" : "half-open";
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures++;
    const longest = Math.min(OPEN_MS_MAX, OPEN_MS_FIRST * 2 ** Math.max(0, this.#failures - FAILURES_MAX));
    // Not all clients of a gateway that died come back to it as one.
    this.#until = this.#clock.now() + longest * (0.5 + this.#random.unit() / 2);
  }
}
