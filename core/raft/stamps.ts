/**
 * Log time (T1): a replicated duration, the sum of the stamps of the entries so far. A leader's stamp is the monotonic
 * time since its own last one, 0 for its first: only time in which one leader was at work is counted, each ms once. So a
 * change of leaders may lengthen what is measured by it, never shorten it.
 */
export class Stamps {
  readonly #now: () => number;
  /** Monotonic ms up to which time is stamped; null before a leader's first entry. */
  #stamped: number | null = null;

  /** @param now monotonic ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Elected: what passed before is nobody's. */
  restart(): void {
    this.#stamped = null;
  }

  /** Of the next entry, whole ms. What is left over counts for the one after: nothing is lost, and nothing rounded up. */
  next(): number {
    const now = this.#now();
    if (this.#stamped === null) {
      this.#stamped = now;
      return 0;
    }
    // A clock that went back is not followed: what it goes through again is stamped already.
    const ms = Math.max(0, Math.floor(now - this.#stamped));
    this.#stamped += ms;
    return ms;
  }
}
