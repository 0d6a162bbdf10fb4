/** Does something at most once in a time: at once when the last time is long enough ago, else as soon as it is. */
import type { Clock } from "../ports.ts";

export class Throttle {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #run: () => void;
  #last = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | null = null;

  /** @param run may say that there is more to do, by `due` */
  constructor(clock: Clock, everyMs: number, run: () => void) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#run = run;
  }

  /** There is something to do. */
  due(): void {
    if (this.#cancel !== null) return;
    const wait = this.#last + this.#everyMs - this.#clock.now();
    if (wait <= 0) return this.#now();
    this.#cancel = this.#clock.after(wait, () => {
      this.#cancel = null;
      this.#now();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #now(): void {
    this.#last = this.#clock.now();
    this.#run();
  }
}
