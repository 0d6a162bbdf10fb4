/**
 * How many calls may be made again (gRPC's retry throttling, gRFC A6): each failure takes a token, each success gives a
 * tenth of one back, and nothing is tried again while half of them are gone. So a site that is in trouble gets a tenth more
 * calls, and not three times as many; a client that is in trouble now and then has a handful at once.
 */

const TOKENS_MAX = 10;
const TOKENS_A_SUCCESS = 0.1;

export class RetryBudget {
  #tokens = TOKENS_MAX;

  /** Of 10; above 5 a failed call may be made again. */
  get tokens(): number {
    return this.#tokens;
  }

  succeeded(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + TOKENS_A_SUCCESS);
  }

  /** @returns whether the call may be made again */
  failed(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1);
    return this.#tokens > TOKENS_MAX / 2;
  }
}
