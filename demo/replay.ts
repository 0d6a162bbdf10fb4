/** Replays earthquakes into a site over the public API, in the order in which they happened, as its sensors would. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { QuakeEvent } from "./quakes.ts";
import type { SiteClient, StoredValue } from "./site-client.ts";

/** A put that the site vouches for. */
export interface AcknowledgedPut {
  readonly site: string;
  readonly key: string;
  readonly revision: number;
  /** Hex. */
  readonly sha256: string;
  /** `performance.now()` when the acknowledgement came. */
  readonly atMs: number;
  readonly attempts: number;
}

export interface ReplayOptions {
  /** How many times faster than it happened; infinite for as fast as the site takes it. */
  readonly speed: number;
  /** Puts that may wait for their acknowledgement at once. */
  readonly inFlightMax: number;
  readonly signal?: AbortSignal;
  /** Resolves when the replay may go on: lets faults happen between two puts. */
  readonly onAcknowledged?: (put: AcknowledgedPut, count: number) => void;
}

export interface Replay {
  readonly acknowledged: readonly AcknowledgedPut[];
  /** Events that an earlier run had put already. */
  readonly already: number;
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * Puts every event, the second one of a quake after the first is acknowledged. What is there from an earlier run is not
 * put again. @throws SiteRefusal when the site refuses an event, or does not acknowledge one in time
 */
export async function replay(
  site: string,
  client: SiteClient,
  events: readonly QuakeEvent[],
  options: ReplayOptions,
): Promise<Replay> {
  const acknowledged: AcknowledgedPut[] = [];
  const { todo, revisions } = remaining(events, await client.list("quakes/", options.signal));
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  /** Per key: resolves with the revision of the last put. */
  const written = new Map<string, Promise<number>>(revisions);
  const slots = new Slots(options.inFlightMax);
  const started = performance.now();
  const firstAt = todo[0]?.at ?? 0;

  const put = async (event: QuakeEvent, before: Promise<number>): Promise<number> => {
    try {
      const { revision, attempts } = await client.put(event.key, event.value, await before, signal);
      const one = { site, key: event.key, revision, sha256: sha256(event.value), atMs: performance.now(), attempts };
      acknowledged.push(one);
      options.onAcknowledged?.(one, acknowledged.length);
      return revision;
    } catch (error) {
      failure.abort(error);
      throw error;
    } finally {
      slots.release();
    }
  };

  for (const event of todo) {
    const due = started + (event.at - firstAt) / options.speed;
    const early = due - performance.now();
    if (early > 0) await sleep(early, undefined, { signal }).catch(() => undefined);
    await slots.take();
    if (signal.aborted) break;
    const next = put(event, written.get(event.key) ?? Promise.resolve(0));
    // Its failure is thrown below, once nothing is in flight any more.
    next.catch(() => undefined);
    written.set(event.key, next);
  }
  await Promise.allSettled(written.values());
  signal.throwIfAborted();
  return { acknowledged, already: events.length - todo.length };
}

/** Leaves out what is stored already, and says at which revisions. Pure. */
function remaining(
  events: readonly QuakeEvent[],
  stored: ReadonlyMap<string, StoredValue>,
): { readonly todo: readonly QuakeEvent[]; readonly revisions: readonly (readonly [string, Promise<number>])[] } {
  const doneUpTo = new Map<string, QuakeEvent>();
  for (const event of events) {
    const row = stored.get(event.key);
    if (row !== undefined && Buffer.compare(row.value, event.value) === 0) doneUpTo.set(event.key, event);
  }
  const todo = events.filter((event) => {
    const done = doneUpTo.get(event.key);
    return done === undefined || event.at > done.at;
  });
  const revisions = [...doneUpTo.keys()].map(
    (key) => [key, Promise.resolve(stored.get(key)?.modRevision ?? 0)] as const,
  );
  return { todo, revisions };
}

/** The longest time in ms in which the site acknowledged nothing, between its first acknowledgement and its last. */
export function longestGapMs(puts: readonly AcknowledgedPut[]): number {
  const times = puts.map(({ atMs }) => atMs).sort((a, b) => a - b);
  return times.reduce((longest, at, i) => Math.max(longest, at - (times[i - 1] ?? at)), 0);
}

/** So many may be under way at once; the next waits for one to end. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }
  async take(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
