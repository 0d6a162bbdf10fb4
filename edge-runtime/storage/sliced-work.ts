/** Long work of a storage worker, done between its calls: each piece of work in its turn, a few milliseconds at a time. */
import type { OpenClawError } from "@openclaw/core/errors.ts";

/** Ms of work between two looks at what else is asked of the worker. */
const SLICE_MS = 4;

interface Job {
  readonly steps: Iterator<void, unknown, void>;
  readonly done: (answer: unknown) => void;
  readonly failed: (error: unknown) => void;
}

export class SlicedWork {
  readonly #jobs: Job[] = [];
  #next: NodeJS.Immediate | null = null;
  #closed: OpenClawError | null = null;

  get size(): number {
    return this.#jobs.length;
  }

  /** @param steps each of a millisecond or so */
  run<T>(steps: Iterator<void, T, void>): Promise<T> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    return new Promise<T>((resolve, reject) => {
      // The answer that its own steps gave.
      this.#jobs.push({ steps, done: (answer) => resolve(answer as T), failed: reject });
      this.#schedule();
    });
  }

  /** What is under way, and whatever comes, is told `reason`. */
  close(reason: OpenClawError): void {
    this.#closed = reason;
    if (this.#next !== null) clearImmediate(this.#next);
    for (const job of this.#jobs.splice(0)) job.failed(reason);
  }

  #schedule(): void {
    if (this.#next === null && this.#jobs.length > 0) this.#next = setImmediate(() => this.#slice());
  }

  #slice(): void {
    this.#next = null;
    const job = this.#jobs.shift();
    if (job === undefined) return;
    try {
      const until = performance.now() + SLICE_MS;
      let step = job.steps.next();
      while (step.done !== true && performance.now() < until) step = job.steps.next();
      if (step.done === true) job.done(step.value);
      else this.#jobs.push(job);
    } catch (error) {
      job.failed(error);
    }
    this.#schedule();
  }
}
