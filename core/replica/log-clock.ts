/** What log time it is by this node's reckoning (T1): what is applied here, and the monotonic ms since that was first seen. */
import type { Clock } from "../ports.ts";

export class LogClock {
  readonly #clock: Clock;
  #logTime = 0;
  #since: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param logTime as applied here. Seen after it was stamped: so a stamp made now is later than this reckoning, and what
   * is due by it is due.
   */
  now(logTime: number): number {
    const now = this.#clock.now();
    if (logTime !== this.#logTime || this.#since === null) {
      this.#logTime = logTime;
      this.#since = now;
    }
    return logTime + (now - this.#since);
  }
}
