/** A wait that others may end: a lease that is lost, its caller, or its time. What is over begins nothing more. */
import { OpenClawError } from "../../errors.ts";
import type { Clock } from "../../ports.ts";
import type { Lease } from "../lease.ts";

export interface WaitOptions {
  /** Gives up when it is aborted, with its reason. */
  readonly signal?: AbortSignal;
  /** Gives up with UNAVAILABLE after so long, ms; never, unless given. */
  readonly timeoutMs?: number;
}

/** Longest a timer runs before it looks again, ms: what every runtime's timer can hold. */
const TIMER_MS_MAX = 86_400_000;

export class Wait {
  readonly #over = Promise.withResolvers<never>();
  #isOver = false;
  readonly #release: (() => void)[] = [];

  /** @param lease null where there is none to lose */
  constructor(clock: Clock, lease: Lease | null, { signal, timeoutMs }: WaitOptions) {
    // Somebody may be waiting for nothing just now.
    this.#over.promise.catch(() => undefined);
    if (lease !== null) this.#endWith(lease.lost);
    if (signal !== undefined) this.#endWith(signal);
    if (timeoutMs !== undefined) {
      const late = new OpenClawError("UNAVAILABLE", `not within ${timeoutMs} ms`);
      let cancel = (): void => {};
      const look = (leftMs: number): void => {
        if (leftMs <= 0) this.#end(late);
        else cancel = clock.after(Math.min(leftMs, TIMER_MS_MAX), () => look(leftMs - TIMER_MS_MAX));
      };
      look(timeoutMs);
      this.#release.push(() => cancel());
    }
  }

  /** What `begin` brings, unless the wait is over first; it is not called when it is over. @throws why it is over */
  async for<T>(begin: () => Promise<T>): Promise<T> {
    return this.#isOver ? this.#over.promise : Promise.race([this.#over.promise, begin()]);
  }

  /** Lets go of what could end it. */
  end(): void {
    for (const release of this.#release) release();
  }

  #end(reason: unknown): void {
    this.#isOver = true;
    this.#over.reject(reason);
  }

  #endWith(signal: AbortSignal): void {
    const end = (): void => this.#end(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener("abort", end);
    this.#release.push(() => signal.removeEventListener("abort", end));
  }
}
