/**
 * A leader's care for what is due (T1): log time moves with entries only, so that an idle cluster needs one when the next
 * lease is due. When that is, the leader reckons by its own monotonic clock; whether it is, only the stamp decides.
 */

import { asOpenClawError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import type { Position } from "../state-machine/query.ts";
import { LogClock } from "./log-clock.ts";

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
  readonly #logClock: LogClock;
  #proposing = false;

  constructor(options: DueStampsOptions) {
    this.#options = options;
    this.#logClock = new LogClock(options.clock);
  }

  /** Once a tick. */
  tick({ logTime, nextDue }: Position, leads: boolean): void {
    const now = this.#logClock.now(logTime);
    if (!leads || this.#proposing || nextDue === null || now < nextDue) return;
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
