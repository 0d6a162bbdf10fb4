/**
 * How old what is here of the parent's ledger may be: the time since it was known to be level with it. The parent is asked
 * when somebody wants to know, at most once a second, and nobody waits for its answer.
 */
import type { Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { ChildLink } from "./child-link.ts";

/** Between two questions, ms. */
const ASK_EVERY_MS = 1_000;
const ANSWER_MS_MAX = 10_000;

export class MirrorAge {
  readonly #clock: Clock;
  /** Everything up to here is taken in. */
  #takenTo: Revision = revision(0);
  #levelAt: number | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What a link begins with, or has brought since. */
  taken(to: Revision): void {
    this.#takenTo = to;
  }

  /** Ms; null when it was never known to be level. */
  ms(link: ChildLink | null): number | null {
    this.#look(link);
    return this.#levelAt === null ? null : this.#clock.now() - this.#levelAt;
  }

  #look(link: ChildLink | null): void {
    const now = this.#clock.now();
    if (link?.open !== true || now - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = now;
    link.ask({ kind: "position" }, { kind: "local" }, ANSWER_MS_MAX).then(
      ({ answer }) => {
        if (answer.revision <= this.#takenTo) this.#levelAt = now;
      },
      () => undefined, // it stays as old as it is known to be
    );
  }
}
