/** Looks for each planted bug with seed after seed, until one of them shows it. */
import { WorkerPool } from "../worker-pool.ts";
import type { Mutant } from "./mutants.ts";

/** A bug that this many seeds do not show is not caught. */
const SEEDS_MAX = 1_000;

export interface Catch {
  readonly mutant: string;
  readonly bug: string;
  /** Seeds that were needed; null: not caught. */
  readonly seeds: number | null;
  /** The first seed that showed it. */
  readonly seed: number | null;
  /** What the checkers said. */
  readonly violation: string | null;
}

/** @param first the first seed; each mutant begins with it */
export async function hunt(mutant: Mutant, first: number): Promise<Catch> {
  const pool = new WorkerPool(undefined, mutant.name);
  const caught: { readonly seed: number; readonly violation: string }[] = [];
  const seeds = (function* () {
    for (let i = 0; i < SEEDS_MAX && caught.length === 0; i++) yield { seed: first + i, world: mutant.world ?? "site" };
  })();
  try {
    await pool.each(seeds, ({ seed, violations: [violation] }) => {
      if (violation !== undefined) caught.push({ seed, violation });
    });
  } finally {
    pool.stop();
  }
  // Seeds end in any order; the lowest is the one that a walk through them meets first.
  const [found] = caught.sort((a, b) => a.seed - b.seed);
  const { name, bug } = mutant;
  if (found === undefined) return { mutant: name, bug, seeds: null, seed: null, violation: null };
  return { mutant: name, bug, seeds: found.seed - first + 1, ...found };
}

export interface HuntSummary {
  readonly firstSeed: number;
  readonly mutants: number;
  readonly caught: number;
  /** Of those that were caught; null when none was. */
  readonly medianSeeds: number | null;
  readonly table: readonly Catch[];
}

export function summaryOf(firstSeed: number, table: readonly Catch[]): HuntSummary {
  const needed = table.flatMap(({ seeds }) => (seeds === null ? [] : [seeds])).sort((a, b) => a - b);
  return {
    firstSeed,
    mutants: table.length,
    caught: needed.length,
    medianSeeds: needed[needed.length >> 1] ?? null,
    table,
  };
}
