/** S3: what the parent says that it holds of our ledger is replicated here, so that any node can tell any client. */
import { InvariantViolation } from "../errors.ts";
import { type Revision, revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { Position } from "../state-machine/query.ts";

/** How often it is replicated at most, ms. */
const EVERY_MS = 100;
/** After a failure, ms. */
const AGAIN_MS = 5_000;

export interface ParentHoldsOptions {
  readonly clock: Clock;
  /** As it was replicated last. */
  replicated(): Pick<Position, "parentHolds" | "parentEpoch">;
  /** It is this node's to say. */
  wanted(): boolean;
  /** `epoch`: the nonce of the parent's epoch in which it says so. */
  propose(holds: Revision, epoch: string): Promise<unknown>;
  failed(error: unknown): void;
}

export class ParentHolds {
  readonly #options: ParentHoldsOptions;
  #heard = revision(0);
  #epoch: string | null = null;
  #noting = false;

  constructor(options: ParentHoldsOptions) {
    this.#options = options;
  }

  /** The parent has our ledger up to here, by its own word or by a replicated one, in the epoch that is followed. */
  get revision(): Revision {
    const { parentHolds, parentEpoch } = this.#options.replicated();
    return this.#epoch === parentEpoch && this.#heard > parentHolds ? this.#heard : parentHolds;
  }

  /** What a parent said that just answered: in another epoch than before that may be less (L3). */
  begin(epoch: string, cursor: Revision): void {
    this.#epoch = epoch;
    this.#heard = cursor;
    void this.#note();
  }

  heard(cursor: Revision): void {
    if (cursor > this.#heard) this.#heard = cursor;
    void this.#note();
  }

  /** One at a time, and not more often than agreed. */
  async #note(): Promise<void> {
    const { clock, replicated, wanted, propose, failed } = this.#options;
    const epoch = this.#epoch;
    if (epoch === null || this.#noting || this.#heard <= replicated().parentHolds || !wanted()) return;
    this.#noting = true;
    const again = (ms: number): void => {
      clock.after(ms, () => {
        this.#noting = false;
        void this.#note();
      });
    };
    try {
      await propose(this.#heard, epoch);
      again(EVERY_MS);
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      // No majority now. It is no news for anybody but us, and the next leader hears it from the parent again.
      failed(error);
      again(AGAIN_MS);
    }
  }
}
