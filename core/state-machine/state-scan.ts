/**
 * The hash over every row as they stood at one index, taken in steps while later entries are applied: whoever applies and
 * whoever scans is one thread, so that nothing comes between.
 */
import { OpenClawError } from "../errors.ts";
import type { Sha256 } from "../ports.ts";
import { FrozenView } from "./frozen-view.ts";
import type { RowsHash } from "./query.ts";
import { rowsHash } from "./state-hash.ts";
import type { StateView, Write } from "./view.ts";

/** Bytes of rows kept as they were. A scan that would need more is given up. */
const KEPT_BYTES_MAX = 67_108_864;

export type ScanStep =
  | { readonly kind: "more" }
  | { readonly kind: "done"; readonly sum: RowsHash }
  /** More was written meanwhile than is kept. */
  | { readonly kind: "gaveUp" };

export class StateScan {
  readonly #view: FrozenView;
  readonly #steps: Generator<void, RowsHash>;
  /** How it ended. */
  #end: ScanStep | null = null;

  constructor(view: StateView, sha256: Sha256, keptBytesMax: number = KEPT_BYTES_MAX) {
    this.#view = new FrozenView(view, keptBytesMax);
    this.#steps = rowsHash(this.#view, sha256);
  }

  /** These are about to be written. */
  before(writes: readonly Write[]): void {
    if (this.#end === null) this.#view.replaced(writes);
  }

  /** Hashes the next rows. */
  advance(): ScanStep {
    this.#end ??= this.#step();
    return this.#end ?? { kind: "more" };
  }

  #step(): ScanStep | null {
    try {
      const step = this.#steps.next();
      return step.done === true ? { kind: "done", sum: step.value } : null;
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "OVERLOADED") return { kind: "gaveUp" };
      throw error;
    }
  }
}
