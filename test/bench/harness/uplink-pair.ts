/** A site and its hub under one roof, with a cable between them: what a benchmark asks of them is the same for all systems. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Measured } from "./cluster.ts";
import type { Relay } from "./relay.ts";
import { VALUE_BYTES } from "./sizes.ts";

/** How one event gets into a site. */
export interface SiteWriter {
  /** Resolves when the site has acknowledged it. */
  write(event: number, value: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface UplinkPair {
  readonly name: Measured;
  readonly cable: Relay;
  readonly writer: SiteWriter;
  /** How many events the hub has. */
  atHub(): Promise<number>;
  /** Calls back with each event that the hub has from some moment on, as an application there hears of it. */
  watch(heard: (event: number) => void): Promise<void>;
  close(): Promise<void>;
}

/** A figure is as exact as that, ms. */
const LOOK_MS = 20;
/** The hub has everything within this, ms. */
const ARRIVE_MS_MAX = 300_000;

/** Each event has a value of its own, as hard to compress as numbers: what is the same in each would compress to nothing. */
export const freshValue = (): Uint8Array => crypto.getRandomValues(new Uint8Array(VALUE_BYTES));

/** Writes events `from`… by so many writers at once; stops early when `go` says so. @returns how many were acknowledged */
export async function writeEvents(
  { writer }: UplinkPair,
  from: number,
  writers: number,
  go: (written: number) => Promise<boolean> | boolean,
): Promise<number> {
  let next = from;
  let written = 0;
  const one = async (): Promise<void> => {
    while (await go(next - from)) {
      await writer.write(next++, freshValue());
      written++;
    }
  };
  await Promise.all(Array.from({ length: writers }, one));
  return written;
}

/** Resolves with the moment when the hub was first seen to have so many. @throws Error when it does not get there */
export async function arrived(
  pair: UplinkPair,
  count: number,
): Promise<{ readonly at: number; readonly count: number }> {
  const deadline = performance.now() + ARRIVE_MS_MAX;
  for (;;) {
    const there = await pair.atHub();
    const at = performance.now();
    if (there >= count) return { at, count: there };
    if (at > deadline) throw new Error(`${pair.name}: the hub has ${there} of ${count} events`);
    await sleep(LOOK_MS);
  }
}
