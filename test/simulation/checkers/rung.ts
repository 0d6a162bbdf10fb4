/** The ladder (S3): nobody is told `hub` of a revision before a majority of the hub has committed an import up to it. */

export class Rung {
  #parentHas = 0;
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** A member of the parent applied, and so a majority of it committed, the child's ledger up to here. */
  committed(revision: number): void {
    this.#parentHas = Math.max(this.#parentHas, revision);
  }

  /** Somebody at the child counts this revision as the hub's. */
  told(who: string, revision: number): void {
    if (revision > this.#parentHas) {
      this.#violation(`${who} has revision ${revision} on the rung hub, and the hub committed only ${this.#parentHas}`);
    }
  }
}
