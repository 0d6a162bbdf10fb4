/** S3, of many sites: none is told that its parent holds a revision before some parent of it has committed it. */
import { Rung } from "../checkers/rung.ts";
import type { LinkAt } from "./place.ts";

export class Rungs {
  readonly #violation: (text: string) => void;
  readonly #rungs = new Map<string, Rung>();

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** What stands at a parent of its links. */
  committed(links: ReadonlyMap<string, LinkAt>): void {
    for (const [site, { cursor }] of links) this.#of(site).committed(cursor);
  }

  told(site: string, parentHolds: number): void {
    this.#of(site).told(site, parentHolds);
  }

  #of(site: string): Rung {
    const known = this.#rungs.get(site);
    if (known !== undefined) return known;
    const rung = new Rung(this.#violation);
    this.#rungs.set(site, rung);
    return rung;
  }
}
