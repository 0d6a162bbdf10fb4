/** Hashes all rows as of one index (core/state-machine/state-scan.ts), a few ms between two calls, so that applies go on. */
import type { Index } from "@openclaw/core/ids.ts";
import type { RowsHash } from "@openclaw/core/state-machine/query.ts";
import { StateScan } from "@openclaw/core/state-machine/state-scan.ts";
import type { StateView, Write } from "@openclaw/core/state-machine/view.ts";
import { sha256 } from "./sha256.ts";

/** A quarter of the worker's time, at most. */
const WORK_MS = 2;
const PAUSE_MS = 6;

export class PacedScan {
  /** As of this index, rows are hashed. */
  readonly round: Index;
  /** Null when more was written meanwhile than is kept, or the scan was ended. */
  readonly sum: Promise<RowsHash | null>;
  /** Null when it has ended. */
  #scan: StateScan | null;
  readonly #settle: (sum: RowsHash | null) => void;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(view: StateView, round: Index) {
    this.round = round;
    this.#scan = new StateScan(view, sha256);
    const { promise, resolve, reject } = Promise.withResolvers<RowsHash | null>();
    // Nobody may ask for it.
    promise.catch(() => {});
    this.sum = promise;
    this.#settle = resolve;
    this.#failed = reject;
    this.#next();
  }

  /** These are about to be written. */
  before(writes: readonly Write[]): void {
    this.#scan?.before(writes);
  }

  /** Gives it up. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#finish(null);
  }

  #next(): void {
    this.#timer = setTimeout(() => this.#work(), PAUSE_MS);
  }

  #work(): void {
    this.#timer = null;
    try {
      const until = performance.now() + WORK_MS;
      for (;;) {
        const step = this.#scan?.advance() ?? { kind: "gaveUp" };
        if (step.kind === "done") return this.#finish(step.sum);
        if (step.kind === "gaveUp") return this.#finish(null);
        if (performance.now() >= until) return this.#next();
      }
    } catch (error) {
      this.#scan = null;
      this.#failed(error);
    }
  }

  #finish(sum: RowsHash | null): void {
    this.#scan = null;
    this.#settle(sum);
  }
}
