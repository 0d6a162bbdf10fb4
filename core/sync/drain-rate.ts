/** How fast a backlog goes up: what the parent took of it within the last seconds. */
import type { Clock } from "../ports.ts";

/** How far back it looks, ms. */
const WINDOW_MS = 10_000;
/** Samples kept; in between, a newer one takes the place of the last. */
const SAMPLES_MAX = 64;

interface Sample {
  readonly at: number;
  /** Revisions of the ledger, and bytes on the wire. */
  readonly revision: number;
  readonly bytes: number;
}

export interface Rate {
  readonly revisionsPerSecond: number;
  readonly bytesPerSecond: number;
}

export class DrainRate {
  readonly #clock: Clock;
  #samples: Sample[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A connection begins. */
  begin(revision: number, bytes: number): void {
    this.#samples = [{ at: this.#clock.now(), revision, bytes }];
  }

  /** The parent has the ledger up to `revision`, for which so many bytes went out in all. */
  took(revision: number, bytes: number): void {
    const at = this.#clock.now();
    // After a long silence nobody knows when this one began to go up.
    if ((this.#samples.at(-1)?.at ?? at) < at - WINDOW_MS) return this.begin(revision, bytes);
    const before = this.#samples.at(-2);
    if (before !== undefined && at - before.at < WINDOW_MS / SAMPLES_MAX) this.#samples.pop();
    this.#samples.push({ at, revision, bytes });
    // The one before the window tells what the window began with.
    while ((this.#samples[1]?.at ?? at) < at - WINDOW_MS) this.#samples.shift();
  }

  /** Null while nothing was taken within the window. */
  get rate(): Rate | null {
    const now = this.#clock.now();
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.revision === first.revision || last.at < now - WINDOW_MS)
      return null;
    const seconds = Math.max(1, last.at - first.at) / 1_000;
    return {
      revisionsPerSecond: (last.revision - first.revision) / seconds,
      bytesPerSecond: (last.bytes - first.bytes) / seconds,
    };
  }
}
