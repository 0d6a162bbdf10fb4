/**
 * A lease that this client holds, and keeps alive as long as it can. Whoever relies on it is told at once when it is lost,
 * by this client's own monotonic clock too: a lease that was not confirmed for its time to live, since the keep-alive that
 * was confirmed last was sent, may have ended at the site. Log time does not run faster (T1): until then it has not.
 */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import type { LeaseId } from "../ids.ts";
import type { Clock, Random } from "../ports.ts";

/** Keep-alives in a time to live: two may be lost or late. */
const KEEP_ALIVES_A_TTL = 3;
/** One that failed is sent again after a quarter to a half of that time: not by all clients of a site as one. */
const RETRY_PART = 1 / 4;
/** Longest a timer runs before it looks again, ms: what every runtime's timer can hold. */
const TIMER_MS_MAX = 86_400_000;

export interface LeaseHost {
  readonly clock: Clock;
  readonly random: Random;
  /** Says so at once, past all that is queued. @throws OpenClawError LEASE_NOT_FOUND, UNAVAILABLE, OVERLOADED, … */
  keepAlive(lease: LeaseId, timeoutMs: number): Promise<void>;
  /** Queues it; resolves when the site has done so. @throws OpenClawError LEASE_NOT_FOUND, OVERLOADED, STOPPED, … */
  revoke(lease: LeaseId): Promise<void>;
  /** It is held no more. */
  ended(lease: Lease): void;
}

export class Lease {
  readonly id: LeaseId;
  readonly ttlMs: number;
  readonly #host: LeaseHost;
  readonly #lost = new AbortController();
  /** When the command that was confirmed last was sent. */
  #confirmed: number;
  /** One keep-alive is under way at a time. */
  #asking = false;
  /** The next keep-alive is not sent before. */
  #next: number;
  #cancel: () => void = () => {};

  /** @param grantedAt when the grant was sent */
  constructor(host: LeaseHost, id: LeaseId, ttlMs: number, grantedAt: number) {
    this.#host = host;
    this.id = id;
    this.ttlMs = ttlMs;
    this.#confirmed = grantedAt;
    this.#next = grantedAt + this.#everyMs;
    this.#tend();
  }

  /**
   * Aborted, with an OpenClawError as the reason, when the lease is lost or given up. A process that was halted (a frozen
   * tab, SIGSTOP) hears of it when it goes on, and may act before: ask `alive`, and see docs/recipes.md on fencing.
   */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** False from the moment on in which it may have ended, whether or not a timer had its turn. */
  get alive(): boolean {
    this.#look();
    return !this.#lost.signal.aborted;
  }

  /** @throws OpenClawError why it was lost: LEASE_LOST, STOPPED */
  assertAlive(): void {
    if (!this.alive) throw asOpenClawError(this.#lost.signal.reason);
  }

  /** Gives it up: its keys are deleted, behind what this client has queued before. Resolves when the site has done so. */
  async revoke(): Promise<void> {
    if (!this.alive) return;
    this.#end(new OpenClawError("LEASE_LOST", "it was revoked here"));
    await this.#revoke();
  }

  /** Nobody keeps it alive any more: the client stops. */
  abandon(error: OpenClawError): void {
    this.#end(error);
  }

  get #everyMs(): number {
    return this.ttlMs / KEEP_ALIVES_A_TTL;
  }

  /** At every timer and answer: is it over, is it time, when is the next look? */
  #tend(): void {
    this.#cancel();
    if (!this.alive) return;
    const { clock } = this.#host;
    if (!this.#asking && clock.now() >= this.#next) this.#keepAlive();
    const due = this.#confirmed + this.ttlMs;
    const at = this.#asking ? due : Math.min(this.#next, due);
    this.#cancel = clock.after(Math.min(Math.max(0, at - clock.now()), TIMER_MS_MAX), () => this.#tend());
  }

  #look(): void {
    if (this.#lost.signal.aborted || this.#host.clock.now() < this.#confirmed + this.ttlMs) return;
    this.#end(new OpenClawError("LEASE_LOST", `not confirmed for ${this.ttlMs} ms`));
    // It may live a little longer at the site, and others would wait for it. Out of reach it ends by itself.
    this.#revoke().catch(() => undefined);
  }

  #keepAlive(): void {
    const { clock, random } = this.#host;
    const sent = clock.now();
    this.#asking = true;
    this.#next = sent + this.#everyMs;
    this.#host.keepAlive(this.id, Math.min(this.#confirmed + this.ttlMs - sent, TIMER_MS_MAX)).then(
      () => {
        this.#asking = false;
        // What is late is late, also when the process was halted meanwhile and no timer had its turn.
        this.#look();
        this.#confirmed = sent;
        this.#tend();
      },
      (error: unknown) => {
        this.#asking = false;
        const failure = asOpenClawError(error);
        if (failure.code === "LEASE_NOT_FOUND") this.#end(new OpenClawError("LEASE_LOST", "it ended at the site"));
        else {
          // Anything else says nothing of the lease.
          this.#next = clock.now() + this.#everyMs * RETRY_PART * (1 + random.unit());
          this.#tend();
        }
      },
    );
  }

  async #revoke(): Promise<void> {
    try {
      await this.#host.revoke(this.id);
    } catch (error) {
      if (asOpenClawError(error).code !== "LEASE_NOT_FOUND") throw error;
    }
  }

  #end(reason: OpenClawError): void {
    if (this.#lost.signal.aborted) return;
    this.#cancel();
    this.#lost.abort(reason);
    this.#host.ended(this);
  }
}
