/**
 * A leader's care for what is due (T1): log time moves with entries only, so that an idle cluster needs one when the next
 * lease is due. When that is, the leader reckons by its own monotonic clock; whether it is, only the stamp decides.
 */

import { asOpenClawError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import type { Position } from "../state-machine/query.ts";

/** Ms until a proposal is given up, and made anew if something is still due. */
const PROPOSE_MS = 5_000;

export interface DueStampsOptions {
  readonly clock: Clock;
  readonly propose: (command: SystemCommand, timeoutMs: number) => Promise<unknown>;
  readonly running: () => boolean;
  readonly failed: (error: unknown) => void;
}

export class DueStamps {
  readonly #options: DueStampsOptions;
  /** The log time that is applied here, and since when, in monotonic ms. */
  #logTime = 0;
  #since = 0;
  #proposing = false;

  constructor(options: DueStampsOptions) {
    this.#options = options;
  }

  /** Once a tick. */
  tick({ logTime, nextDue }: Position, leads: boolean): void {
    const now = this.#options.clock.now();
    if (logTime !== this.#logTime || this.#since === 0) {
      this.#logTime = logTime;
      this.#since = now;
    }
    // Seen after it was stamped: so a stamp made now is later than this reckoning, and what is due by it ends.
    if (!leads || this.#proposing || nextDue === null || logTime + (now - this.#since) < nextDue) return;
    this.#proposing = true;
    this.#options
      .propose({ kind: "stamp" }, PROPOSE_MS)
      .catch((error: unknown) => {
        const { running, failed } = this.#options;
        if (running() && !asOpenClawError(error).retryable) failed(error);
      })
      .finally(() => {
        this.#proposing = false;
      });
  }
}
