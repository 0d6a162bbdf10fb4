/**
 * Links that were refused for a reason that no further try mends: a fork, another life (L3). A link tries again every few
 * seconds, so one code is counted once, and told with its latest details until the link is up again.
 */
import type { ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";

/** Links that are remembered; beyond it the one that was refused first is forgotten. */
const LINKS_MAX = 10_000;

export interface LinkRefusal {
  /** What it is to us. */
  readonly side: "child" | "parent";
  readonly cluster: ClusterId;
  readonly code: ErrorCode;
  readonly details: string;
  /** Wall clock when it was refused so first, ms since 1970. */
  readonly since: number;
}

export class LinkRefusals {
  readonly #now: () => number;
  readonly #refusals = new Map<string, LinkRefusal>();
  readonly #counts = new Map<string, { readonly side: LinkRefusal["side"]; readonly code: ErrorCode; count: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The link ended, or could not begin. Nothing is noted of what another try may mend. */
  refused(side: LinkRefusal["side"], cluster: ClusterId, error: OpenClawError): void {
    if (error.retryable) return;
    const name = `${side} ${cluster}`;
    const { code, details } = error;
    const known = this.#refusals.get(name);
    const same = known?.code === code;
    const [oldest] = this.#refusals.keys();
    if (known === undefined && oldest !== undefined && this.#refusals.size >= LINKS_MAX) this.#refusals.delete(oldest);
    this.#refusals.set(name, { side, cluster, code, details, since: same ? known.since : this.#now() });
    if (same) return;
    const counted = this.#counts.get(`${side} ${code}`) ?? { side, code, count: 0 };
    counted.count++;
    this.#counts.set(`${side} ${code}`, counted);
  }

  /** The link is up. */
  up(side: LinkRefusal["side"], cluster: ClusterId): void {
    this.#refusals.delete(`${side} ${cluster}`);
  }

  list(): readonly LinkRefusal[] {
    return [...this.#refusals.values()];
  }

  counts(): Iterable<{ readonly side: LinkRefusal["side"]; readonly code: ErrorCode; readonly count: number }> {
    return this.#counts.values();
  }
}
