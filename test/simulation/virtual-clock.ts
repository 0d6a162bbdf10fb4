/** Time that stands still until the test moves it. One clock serves all nodes of a world. */
import type { Clock } from "@openclaw/core/ports.ts";

/** Taken before anything can be poisoned. */
const { setImmediate } = globalThis;

interface Timer {
  readonly at: number;
  readonly order: number;
  /** Null when it was cancelled: it leaves the heap when it is due. */
  callback: (() => void) | null;
}

const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** 14 November 2023. */
const WALL_START_MS = 1_700_000_000_000;

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  /** A binary heap: no timer is before its parent. */
  readonly #heap: Timer[] = [];

  now(): number {
    return this.#now;
  }

  wall(): number {
    return WALL_START_MS + this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, ms), order: this.#order++, callback };
    this.#push(timer);
    return () => {
      timer.callback = null;
    };
  }

  /** Runs the next due timer, if one is due by `until`. */
  step(until: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) {
        this.#now = Math.max(this.#now, until);
        return false;
      }
      this.#pop();
      if (next.callback === null) continue;
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      return true;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !before(timer, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      if (a === undefined) break;
      const [child, below] = b !== undefined && before(b, a) ? [b, left + 1] : [a, left];
      if (!before(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

/**
 * The clock of one process. Its monotonic clock may run at a rate of its own, its wall clock may be wrong; it may be
 * stopped for a while (SIGSTOP): what is due meanwhile happens afterwards; and it ends with the process.
 */
export class ProcessClock implements Clock {
  readonly #world: Clock;
  /** Of its own ms in one of the world's. */
  readonly #rate: number;
  #wallError = 0;
  #leapt = 0;
  #late: (() => void)[] | null = null;
  #ended = false;

  constructor(world: Clock, rate = 1) {
    this.#world = world;
    this.#rate = rate;
  }

  get stopped(): boolean {
    return this.#late !== null;
  }

  get ended(): boolean {
    return this.#ended;
  }

  now(): number {
    return this.#world.now() * this.#rate + this.#leapt;
  }

  wall(): number {
    return this.#world.wall() + this.#wallError;
  }

  /** So much passes at once by its monotonic clock and by its wall clock, and no timer is due for it: months in a moment. */
  leap(ms: number): void {
    this.#leapt += ms;
    this.#wallError += ms;
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#wallError += ms;
  }

  after(ms: number, callback: () => void): () => void {
    let cancelled = false;
    const cancel = this.#world.after(ms / this.#rate, () =>
      this.run(() => {
        if (!cancelled) callback();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }

  /** Now, or when the process goes on; never when it has ended. */
  run(callback: () => void): void {
    if (this.#ended) return;
    if (this.#late === null) callback();
    else this.#late.push(callback);
  }

  stop(): void {
    if (!this.#ended) this.#late ??= [];
  }

  resume(): void {
    const late = this.#late ?? [];
    this.#late = null;
    for (const callback of late) this.run(callback);
  }

  /** Nothing of the process runs any more. */
  end(): void {
    this.#ended = true;
    this.#late = null;
  }
}

/** Lets every promise that can settle do so: everything in a world settles in microtasks, which end before a macrotask. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Moves time on by `ms`, one timer after the other, with all microtasks in between. */
export function elapse(clock: VirtualClock, ms: number): Promise<void> {
  const until = clock.now() + ms;
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      try {
        if (clock.step(until)) setImmediate(turn);
        else resolve();
      } catch (error) {
        reject(error);
      }
    };
    setImmediate(turn);
  });
}
