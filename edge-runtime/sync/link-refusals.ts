/**
 * Links that were refused for a reason that no further try mends: a fork, another life (L3). A link tries again every few
 * seconds, so one code is counted once, and told with its latest details until the link is up again, here or elsewhere: a
 * child may be let in at another node, and another node may lead to the parent, so what is not refused again is forgotten.
 */
import type { ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";

/** Links that are remembered; beyond it the one that was refused first is forgotten. */
const LINKS_MAX = 10_000;
/** Ms: a link that is refused tries each node of its parent in turn, 5 s apart and as long for one that does not answer. */
const FORGOTTEN_MS = 120_000;

export interface LinkRefusal {
  /** What it is to us. */
  readonly side: "child" | "parent";
  readonly cluster: ClusterId;
  readonly code: ErrorCode;
  readonly details: string;
  /** Wall clock when it was refused so first, ms since 1970. */
  readonly since: number;
}

interface Noted extends LinkRefusal {
  /** Monotonic ms of the last time. */
  readonly last: number;
}

export class LinkRefusals {
  readonly #clock: Pick<Clock, "now" | "wall">;
  /** In the order of the last time. */
  readonly #refusals = new Map<string, Noted>();
  readonly #counts = new Map<string, { readonly side: LinkRefusal["side"]; readonly code: ErrorCode; count: number }>();

  constructor(clock: Pick<Clock, "now" | "wall">) {
    this.#clock = clock;
  }

  /** The link ended, or could not begin. Nothing is noted of what another try may mend. */
  refused(side: LinkRefusal["side"], cluster: ClusterId, error: OpenClawError): void {
    if (error.retryable) return;
    this.#forget();
    const name = `${side} ${cluster}`;
    const { code, details } = error;
    const known = this.#refusals.get(name);
    const same = known?.code === code;
    this.#refusals.delete(name);
    const [oldest] = this.#refusals.keys();
    if (oldest !== undefined && this.#refusals.size >= LINKS_MAX) this.#refusals.delete(oldest);
    const since = same ? known.since : this.#clock.wall();
    this.#refusals.set(name, { side, cluster, code, details, since, last: this.#clock.now() });
    if (same) return;
    const counted = this.#counts.get(`${side} ${code}`) ?? { side, code, count: 0 };
    counted.count++;
    this.#counts.set(`${side} ${code}`, counted);
  }

  /** The link is up. */
  up(side: LinkRefusal["side"], cluster: ClusterId): void {
    this.#refusals.delete(`${side} ${cluster}`);
  }

  /** The one refused longest ago first. */
  list(): readonly LinkRefusal[] {
    this.#forget();
    return [...this.#refusals.values()];
  }

  counts(): Iterable<{ readonly side: LinkRefusal["side"]; readonly code: ErrorCode; readonly count: number }> {
    return this.#counts.values();
  }

  #forget(): void {
    const since = this.#clock.now() - FORGOTTEN_MS;
    for (const [name, { last }] of this.#refusals) {
      if (last > since) return;
      this.#refusals.delete(name);
    }
  }
}
