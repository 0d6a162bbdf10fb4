/**
 * How far the site's parent holds the site's ledger: what the rung `hub` stands on. It is stored with what the device holds,
 * and whoever wants to know hears when some of it is withdrawn, which only another life of the parent does (L3).
 */
import type { Revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import { callListener } from "./listener.ts";
import type { Rungs } from "./rungs.ts";

/** Revisions of the site's that were at the hub, and are not any more: those above `above`, up to `to`. */
export interface Withdrawn {
  readonly above: Revision;
  readonly to: Revision;
}

/** How long an advance of the hub may wait for another write before it is stored by its own, ms. */
const STORE_MS = 1_000;

export interface UpstreamHost {
  readonly rungs: Rungs;
  readonly clock: Clock;
  /** It moved, either way. */
  moved(): void;
  /** Writes down what `rungs` knows of it. */
  store(): void;
}

export class Upstream {
  readonly #host: UpstreamHost;
  readonly #listeners = new Set<(withdrawn: Withdrawn) => void>();
  #cancel: (() => void) | null = null;

  constructor(host: UpstreamHost) {
    this.#host = host;
  }

  /** The returned function ends it. */
  onWithdrawn(listener: (withdrawn: Withdrawn) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param epoch nonce of the parent's epoch in which it is so; null without a parent */
  holds(upstream: Revision, epoch: string | null): void {
    const { rungs, clock, moved, store } = this.#host;
    const before = rungs.upstream;
    if (!rungs.hubHolds(upstream, epoch)) return;
    moved();
    if (upstream < before)
      for (const listener of [...this.#listeners]) callListener(listener, { above: upstream, to: before });
    this.#cancel ??= clock.after(STORE_MS, () => {
      this.#cancel = null;
      store();
    });
  }

  stop(): void {
    this.#cancel?.();
  }
}
