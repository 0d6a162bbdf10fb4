/**
 * T1, K6: a lease whose client was told that it lives is not over before its time to live has passed in the world since
 * the client asked, whoever led meanwhile and whatever clocks said. Knows the world's time and what clients were told.
 */
import { DRIFT } from "../scenario.ts";

/** Stamps are in whole ms, and what one leaves over is in a later one: at either end of a life. */
const ROUNDING_MS = 2;

export class LeaseLife {
  readonly #violation: (text: string) => void;
  readonly #now: () => number;
  /** Until then nobody but a revocation may have ended it, ms. */
  readonly #safe = new Map<number, number>();
  readonly #revoked = new Set<number>();

  constructor(violation: (text: string) => void, now: () => number) {
    this.#violation = violation;
    this.#now = now;
  }

  safeUntil(lease: number): number {
    return this.#safe.get(lease) ?? 0;
  }

  /** Its client was told that it lives, having asked at `asked`, ms; the fastest clock decides how long at least. */
  alive(lease: number, ttlMs: number, asked: number): void {
    const until = asked + ttlMs / (1 + DRIFT) - ROUNDING_MS;
    this.#safe.set(lease, Math.max(this.safeUntil(lease), until));
  }

  /** Somebody asks for its end. */
  revoking(lease: number): void {
    this.#revoked.add(lease);
  }

  /** Somebody is told that it is over, having asked when it was safe until `safeUntil`. */
  missing(lease: number, safeUntil: number): void {
    this.#over(lease, safeUntil);
  }

  /** The ledger says that it ended by itself. */
  ended(lease: number): void {
    this.#over(lease, this.safeUntil(lease));
  }

  #over(lease: number, safeUntil: number): void {
    const now = this.#now();
    if (this.#revoked.has(lease) || now >= safeUntil) return;
    this.#violation(`lease ${lease} is over at ${now} ms, and its client was told that it lives until ${safeUntil} ms`);
  }
}
