/**
 * What an app asks of its site: each question has its time, and is asked again when the connection or the gateway fails it
 * meanwhile, as far as the retry budget goes; a read may be. A site that could not be reached at the last try is not waited
 * for: an app that works offline is told at once.
 */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import type { Clock, Random } from "../ports.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import { Backoff } from "../sync/backoff.ts";
import type { Asked } from "../sync/child-questions.ts";
import type { ChildQuery } from "../sync/message.ts";
import { RetryBudget } from "../sync/retry-budget.ts";
import type { ClientMetrics } from "./options.ts";
import type { ReadSession } from "./read-session.ts";
import type { SiteLink } from "./site-link.ts";

/** A question that is not answered by then fails, ms, whatever was tried. */
const ASK_MS_MAX = 10_000;
/** First and longest delay before a question is asked again, ms. */
const RETRY_MS_FIRST = 50;
const RETRY_MS_MAX = 2_000;

export class Questions {
  readonly #site: Pick<SiteLink, "ask" | "ready">;
  readonly #session: ReadSession;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #budget = new RetryBudget();
  #asks = 0;
  #retries = 0;
  #retriesRefused = 0;
  #deadlinesPassed = 0;
  #stopped = false;

  constructor(site: Pick<SiteLink, "ask" | "ready">, session: ReadSession, clock: Clock, random: Random) {
    this.#site = site;
    this.#session = session;
    this.#clock = clock;
    this.#random = random;
  }

  metrics(): Pick<ClientMetrics, "asks" | "retries" | "retriesRefused" | "deadlinesPassed" | "retryTokens"> {
    return {
      asks: this.#asks,
      retries: this.#retries,
      retriesRefused: this.#retriesRefused,
      deadlinesPassed: this.#deadlinesPassed,
      retryTokens: this.#budget.tokens,
    };
  }

  /** Nothing is asked any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** @throws OpenClawError UNAVAILABLE, OVERLOADED, FORBIDDEN, STOPPED, and what else the site refuses it with */
  async ask<Q extends ChildQuery>(query: Q, mode: ReadMode): Promise<Asked<Q>> {
    const deadline = this.#clock.now() + ASK_MS_MAX;
    let backoff: Backoff | null = null;
    this.#asks++;
    for (;;) {
      if (this.#stopped) throw new OpenClawError("STOPPED", "the client is stopped");
      await this.#ready(deadline);
      try {
        const asked = await this.#site.ask(query, mode, deadline - this.#clock.now());
        this.#budget.succeeded();
        this.#session.saw(asked.seen.position);
        return asked;
      } catch (error) {
        backoff ??= new Backoff(this.#clock, this.#random, RETRY_MS_FIRST, RETRY_MS_MAX);
        await this.#again(error, backoff.next(), deadline);
      }
    }
  }

  async #ready(deadline: number): Promise<void> {
    try {
      await this.#site.ready(deadline - this.#clock.now());
    } catch (error) {
      if (this.#clock.now() >= deadline) this.#deadlinesPassed++;
      throw error;
    }
  }

  /** Resolves when a question that failed may be asked again. @throws OpenClawError that failure, when it may not */
  async #again(failure: unknown, delayMs: number, deadline: number): Promise<void> {
    const error = asOpenClawError(failure);
    // What the site refuses says nothing of how it fares.
    if (!error.retryable) throw failure;
    const mayRetry = this.#budget.failed();
    if (this.#clock.now() + delayMs >= deadline) {
      this.#deadlinesPassed++;
      throw error;
    }
    if (!mayRetry) {
      this.#retriesRefused++;
      throw new OpenClawError(error.code, `${error.details}; not tried again: too much fails just now`);
    }
    this.#retries++;
    await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve));
  }
}
