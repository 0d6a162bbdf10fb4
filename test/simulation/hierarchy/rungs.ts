/**
 * S3, L3, of many sites: none is told that its parent holds a revision before that parent, in that epoch of it, has committed
 * it. What a parent held before it was restored does not count, nor what another parent holds.
 */
import { Rung } from "../checkers/rung.ts";
import type { LinkAt } from "./place.ts";

export class Rungs {
  readonly #violation: (text: string) => void;
  readonly #rungs = new Map<string, Rung>();

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** What stands at a parent of its links, in the epoch of that nonce. */
  committed(epoch: string, links: ReadonlyMap<string, LinkAt>): void {
    for (const [site, { cursor }] of links) this.#of(site, epoch).committed(cursor);
  }

  /** @param epoch of the parent's, in which it said so; null before any did */
  told(site: string, parentHolds: number, epoch: string | null): void {
    this.#of(site, epoch).told(site, parentHolds);
  }

  #of(site: string, epoch: string | null): Rung {
    const name = `${site} ${epoch}`;
    const known = this.#rungs.get(name);
    if (known !== undefined) return known;
    const rung = new Rung(this.#violation);
    this.#rungs.set(name, rung);
    return rung;
  }
}
