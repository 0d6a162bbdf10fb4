/** When texts grew, on one clock for all processes. */

/** The system's monotonic clock, which all processes share, ms. */
export function now(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** The moments at which one text first had so many characters: edits only insert, so a length says which are there. */
export class Growth {
  /** Both ascending. */
  readonly #steps: { readonly length: number; readonly at: number }[] = [];
  #waiting: { readonly length: number; readonly resolve: (at: number) => void }[] = [];

  /** The text shows so many characters. */
  shown(length: number, at: number): void {
    if (length <= (this.#steps.at(-1)?.length ?? 0)) return;
    this.#steps.push({ length, at });
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => one.length > length);
    for (const one of waiting) if (one.length <= length) one.resolve(at);
  }

  /** Resolves with the moment at which it first had that many, past or to come. */
  reached(length: number): Promise<number> {
    const step = this.#steps.find((one) => one.length >= length);
    if (step !== undefined) return Promise.resolve(step.at);
    return new Promise((resolve) => this.#waiting.push({ length, resolve }));
  }
}
