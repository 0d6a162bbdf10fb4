/**
 * Leases of a client (K6), for principals that may write every key. Grants and revocations go through the outbox as a
 * transaction does: behind what was queued before, once, and again after a connection is lost (Q1, S2). Keep-alives go past
 * it, as they are of use now or never.
 */
import { OpenClawError } from "../errors.ts";
import { isLeaseId, type LeaseId } from "../ids.ts";
import { KEPT_LEASES_MAX, LEASE_TTL_MS_MAX } from "../limits.ts";
import type { Clock, Random } from "../ports.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import { within } from "../replica/within.ts";
import type { LeaseCommand } from "../state-machine/leases.ts";
import type { LeaseState } from "../state-machine/query.ts";
import type { Asked } from "../sync/child-questions.ts";
import type { ChildQuery } from "../sync/message.ts";
import { LocalEdit } from "./edit.ts";
import type { Draft } from "./journal.ts";
import type { Lease, LeaseHost } from "./lease.ts";
import type { Rungs } from "./rungs.ts";

/** Ms that a lease lives at least: what is kept alive more often than every third of a second is a load, not a lease. */
const KEPT_TTL_MS_MIN = 1_000;
/** Until a grant is given up, unless told otherwise, ms. */
const GRANT_MS = 10_000;

export interface LeasesHost {
  readonly rungs: Rungs;
  readonly clock: Clock;
  readonly random: Random;
  /** @throws OpenClawError OVERLOADED, STOPPED */
  assertRoom(): void;
  enqueue(draft: Draft): void;
  /** @throws OpenClawError as `ChildLink.keepAlive` */
  keepAlive(lease: LeaseId, timeoutMs: number): Promise<void>;
  online(): Promise<{ readonly Lease: typeof Lease }>;
  /** @throws OpenClawError UNAVAILABLE, FORBIDDEN, … */
  ask<Q extends ChildQuery>(query: Q, mode: ReadMode): Promise<Asked<Q>>;
}

export class Leases {
  readonly #host: LeasesHost;
  readonly #leaseHost: LeaseHost;
  readonly #kept = new Set<Lease>();
  #granting = 0;

  constructor(host: LeasesHost) {
    this.#host = host;
    this.#leaseHost = {
      clock: host.clock,
      random: host.random,
      revoke: async (lease) => void (await this.#write({ kind: "leaseRevoke", lease })),
      keepAlive: (lease, timeoutMs) => host.keepAlive(lease, timeoutMs),
      ended: (lease) => this.#kept.delete(lease),
    };
  }

  /**
   * Asks for a lease, and keeps it alive until it is revoked or lost.
   * @param ttlMs how long it, and its keys, outlive their holder; from 1,000
   * @throws OpenClawError BAD_REQUEST, FORBIDDEN; UNAVAILABLE, LEASE_LOST when the site did not grant it in time;
   * SESSION_EXPIRED, OVERLOADED, STOPPED. What may have been granted then ends by itself
   */
  async grant(ttlMs: number, options: { readonly timeoutMs?: number } = {}): Promise<Lease> {
    if (!Number.isInteger(ttlMs) || ttlMs < KEPT_TTL_MS_MIN || ttlMs > LEASE_TTL_MS_MAX)
      throw new OpenClawError("BAD_REQUEST", `a lease lives ${KEPT_TTL_MS_MIN} to ${LEASE_TTL_MS_MAX} ms`);
    if (this.#kept.size + this.#granting >= KEPT_LEASES_MAX)
      throw new OpenClawError("OVERLOADED", `${KEPT_LEASES_MAX} leases`);
    const { clock, random } = this.#host;
    const id = drawLease(random);
    const sent = clock.now();
    this.#granting++;
    let Kept: typeof Lease;
    try {
      Kept = await within(clock, options.timeoutMs ?? GRANT_MS, this.#grant(id, ttlMs));
    } catch (error) {
      // Nobody keeps it alive, if it is there, or comes to be.
      this.#write({ kind: "leaseRevoke", lease: id }).catch(() => undefined);
      throw error;
    } finally {
      this.#granting--;
    }
    const lease = new Kept(this.#leaseHost, id, ttlMs, sent);
    lease.assertAlive();
    this.#kept.add(lease);
    return lease;
  }

  /** What the site knows of a lease; null for one that is not there. @throws OpenClawError UNAVAILABLE, FORBIDDEN */
  async timeToLive(lease: number): Promise<LeaseState | null> {
    if (!isLeaseId(lease)) throw new OpenClawError("BAD_REQUEST", "a lease is a number from 1");
    const { answer } = await this.#host.ask({ kind: "lease", lease }, { kind: "linearizable" });
    return answer.lease;
  }

  /** The client stops: those who rely on a lease are told, and it ends when it is due. */
  stop(): void {
    for (const lease of [...this.#kept]) lease.abandon(new OpenClawError("STOPPED", "the client is stopped"));
  }

  /** Another site is followed, which knows none of them. */
  leave(to: string): void {
    for (const lease of [...this.#kept]) lease.abandon(new OpenClawError("LEASE_LOST", `this device follows ${to}`));
  }

  async #grant(lease: LeaseId, ttlMs: number): Promise<typeof Lease> {
    await this.#write({ kind: "leaseGrant", lease, ttlMs });
    return (await this.#host.online()).Lease;
  }

  async #write(command: LeaseCommand): Promise<Awaited<LocalEdit["site"]>> {
    this.#host.assertRoom();
    const edit = new LocalEdit([], this.#host.rungs);
    this.#host.enqueue({ command, edits: [edit], round: 0 });
    return edit.site;
  }
}

/** 52 random bits: two are as good as never the same. */
function drawLease(random: Random): LeaseId {
  const bytes = random.bytes(7);
  const drawn = 1 + bytes.reduce((sum, byte, i) => sum + (i === 6 ? byte % 16 : byte) * 256 ** i, 0);
  if (!isLeaseId(drawn)) throw new OpenClawError("INTERNAL", "a lease is a number from 1");
  return drawn;
}
