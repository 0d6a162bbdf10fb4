/** How late a hub has what its sites write: follows everything, and compares the time in each value with its own. */
import { serverEvents } from "@openclaw/edge-runtime/cli/server-events.ts";
import { z } from "zod";

const Put = z.object({ text: z.string() });

export class Lag {
  readonly #stop = new AbortController();
  #lags: number[] = [];
  #arrived = 0;
  #failure: unknown = null;

  /** @param http base URL of the hub's node */
  constructor(http: string) {
    void this.#follow(http).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#failure = error;
    });
  }

  /** Events since the beginning. @throws what ended the watch */
  get arrived(): number {
    if (this.#failure !== null) throw this.#failure;
    return this.#arrived;
  }

  /** Ascending, ms, since this was asked last. */
  take(): readonly number[] {
    const taken = this.#lags.sort((a, b) => a - b);
    this.#lags = [];
    return taken;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #follow(http: string): Promise<void> {
    const response = await fetch(`${http}/v1/watch?origin=*&prefix=load/`, { signal: this.#stop.signal });
    if (!response.ok || response.body === null) throw new Error(`the watch of everything: ${response.status}`);
    for await (const { event, data } of serverEvents(response.body)) {
      if (event === "closed") throw new Error(`the watch of everything was closed: ${JSON.stringify(data)}`);
      if (event !== "put") continue;
      this.#arrived++;
      this.#lags.push(Date.now() - Number.parseInt(Put.parse(data).text, 10));
    }
    throw new Error("the watch of everything ended");
  }
}

/** Of ascending values; 0 of none. */
export const quantile = (values: readonly number[], share: number): number =>
  values[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0;
