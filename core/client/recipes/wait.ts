/** A wait that others may end: a lease that is lost, its caller, or its time. */
import { OpenClawError } from "../../errors.ts";
import type { Clock } from "../../ports.ts";
import type { Lease } from "../lease.ts";

export interface WaitOptions {
  /** Gives up when it is aborted, with its reason. */
  readonly signal?: AbortSignal;
  /** Gives up with UNAVAILABLE after so long, ms; never, unless given. */
  readonly timeoutMs?: number;
}

export class Wait {
  readonly #over = Promise.withResolvers<never>();
  readonly #release: (() => void)[] = [];

  /** @param lease null where there is none to lose */
  constructor(clock: Clock, lease: Lease | null, { signal, timeoutMs }: WaitOptions) {
    // Somebody may be waiting for nothing just now.
    this.#over.promise.catch(() => undefined);
    if (lease !== null) this.#endWith(lease.lost);
    if (signal !== undefined) this.#endWith(signal);
    if (timeoutMs !== undefined) {
      const late = new OpenClawError("UNAVAILABLE", `not within ${timeoutMs} ms`);
      this.#release.push(clock.after(timeoutMs, () => this.#over.reject(late)));
    }
  }

  /** What `answer` brings, unless the wait is over first. @throws why it is over */
  async for<T>(answer: Promise<T>): Promise<T> {
    return Promise.race([this.#over.promise, answer]);
  }

  /** Lets go of what could end it. */
  end(): void {
    for (const release of this.#release) release();
  }

  #endWith(signal: AbortSignal): void {
    const end = (): void => this.#over.reject(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener("abort", end);
    this.#release.push(() => signal.removeEventListener("abort", end));
  }
}
