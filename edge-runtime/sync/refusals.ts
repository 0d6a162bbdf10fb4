/** Whom this node turned away, and why: counted and logged for operators. Nothing is decided by it. */
import type { ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { NetworkLog } from "../network/network-log.ts";

/** Names that are counted apart: whoever knocks may call itself anything. The one refused longest ago is forgotten first. */
const NAMES_MAX = 1_024;

/** Of one site, since the node started. */
export interface Refusals {
  readonly cluster: ClusterId;
  readonly count: number;
  /** Of the last one. */
  readonly code: ErrorCode;
  /** Our wall clock at the last one, ms since 1970. */
  readonly at: number;
}

/** Codes with which a stream ends though nobody did wrong. */
const NO_REFUSAL: ReadonlySet<ErrorCode> = new Set(["STOPPED", "UNAVAILABLE"]);

export class ChildRefusals {
  readonly #log: NetworkLog;
  readonly #wall: () => number;
  /** In the order of the last refusal. */
  readonly #byCluster = new Map<ClusterId, Refusals & { readonly byCode: Map<ErrorCode, number> }>();
  readonly #byCode = new Map<ErrorCode, number>();
  /** A failure is seen where it is found, and again where it ends the stream. */
  readonly #seen = new WeakSet<OpenClawError>();

  constructor(log: NetworkLog, wall: () => number) {
    this.#log = log;
    this.#wall = wall;
  }

  /** @param cluster who it says it is; null for a client, and for who has not said it yet */
  note(cluster: ClusterId | null, error: OpenClawError, peer: string): void {
    if (NO_REFUSAL.has(error.code) || this.#seen.has(error)) return;
    this.#seen.add(error);
    this.count(cluster, error.code, { peer, reason: error.message });
  }

  /** What was turned away while the stream stays open. */
  count(cluster: ClusterId | null, code: ErrorCode, fields: object): void {
    const all = added(this.#byCode, code);
    const times = cluster === null ? all : this.#countSite(cluster, code);
    // Whoever is turned away tries again every few seconds, for as long as it takes: told are the 1st, 2nd, 4th, 8th time.
    if (isPowerOfTwo(times)) this.#log.warn({ child: cluster, code, times, ...fields }, "a child was refused");
  }

  list(): readonly Refusals[] {
    return [...this.#byCluster.values()];
  }

  /** Since the node started, of clients as well. */
  byCode(): ReadonlyMap<ErrorCode, number> {
    return this.#byCode;
  }

  /** How often this site was told this code. */
  #countSite(cluster: ClusterId, code: ErrorCode): number {
    const { count, byCode } = this.#byCluster.get(cluster) ?? { count: 0, byCode: new Map<ErrorCode, number>() };
    this.#byCluster.delete(cluster);
    this.#byCluster.set(cluster, { cluster, count: count + 1, code, at: this.#wall(), byCode });
    if (this.#byCluster.size > NAMES_MAX) {
      const [oldest] = this.#byCluster.keys();
      if (oldest !== undefined) this.#byCluster.delete(oldest);
    }
    return added(byCode, code);
  }
}

function added(counts: Map<ErrorCode, number>, code: ErrorCode): number {
  const count = (counts.get(code) ?? 0) + 1;
  counts.set(code, count);
  return count;
}

const isPowerOfTwo = (count: number): boolean => Number.isInteger(Math.log2(count));
