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
      if (
        timer.at <= until &&
        (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order))
      )
        next = timer;
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

/** The clock of one process, which may be stopped for a while (SIGSTOP): what is due meanwhile happens afterwards. */
export class ProcessClock implements Clock {
  readonly #world: Clock;
  #late: (() => void)[] | null = null;

  constructor(world: Clock) {
    this.#world = world;
  }

  get stopped(): boolean {
    return this.#late !== null;
  }

  now(): number {
    return this.#world.now();
  }

  wall(): number {
    return this.#world.wall();
  }

  after(ms: number, callback: () => void): () => void {
    let cancelled = false;
    const cancel = this.#world.after(ms, () =>
      this.run(() => {
        if (!cancelled) callback();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }

  /** Now, or when the process goes on. */
  run(callback: () => void): void {
    if (this.#late === null) callback();
    else this.#late.push(callback);
  }

  stop(): void {
    this.#late ??= [];
  }

  resume(): void {
    const late = this.#late ?? [];
    this.#late = null;
    for (const callback of late) callback();
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
