/** Time that stands still until the test moves it. One clock serves all nodes of a world. */
import type { Clock } from "@openclaw/core/ports.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  #timers: Timer[] = [];

  now(): number {
    return this.#now;
  }

  wall(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Runs the next due timer, if one is due by `until`. */
  step(until: number): boolean {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= until && (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order))) next = timer;
    }
    if (next === undefined) {
      this.#now = Math.max(this.#now, until);
      return false;
    }
    this.#timers = this.#timers.filter((timer) => timer !== next);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    return true;
  }
}

/** Lets every promise that can settle do so. Memory stores settle in microtasks, so a few macrotasks are enough. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Moves time on by `ms`, one timer after the other. */
export async function elapse(clock: VirtualClock, ms: number): Promise<void> {
  const until = clock.now() + ms;
  await settle();
  while (clock.step(until)) await settle();
}
