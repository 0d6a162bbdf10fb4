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
  readonly #byCluster = new Map<ClusterId, Refusals>();
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
    const count = (this.#byCode.get(code) ?? 0) + 1;
    this.#byCode.set(code, count);
    const ofSite = cluster === null ? count : this.#countSite(cluster, code);
    // A site that is turned away tries again every few seconds, for as long as it takes.
    if (isPowerOfTwo(ofSite)) this.#log.warn({ child: cluster, code, times: ofSite, ...fields }, "a child was refused");
  }

  of(cluster: ClusterId): Refusals | null {
    return this.#byCluster.get(cluster) ?? null;
  }

  list(): readonly Refusals[] {
    return [...this.#byCluster.values()];
  }

  /** Since the node started. */
  byCode(): ReadonlyMap<ErrorCode, number> {
    return this.#byCode;
  }

  #countSite(cluster: ClusterId, code: ErrorCode): number {
    const count = (this.#byCluster.get(cluster)?.count ?? 0) + 1;
    this.#byCluster.delete(cluster);
    this.#byCluster.set(cluster, { cluster, count, code, at: this.#wall() });
    if (this.#byCluster.size > NAMES_MAX) {
      const [oldest] = this.#byCluster.keys();
      if (oldest !== undefined) this.#byCluster.delete(oldest);
    }
    return count;
  }
}

const isPowerOfTwo = (count: number): boolean => Number.isInteger(Math.log2(count));
