/** A fixed part of what `npm run simulate -- --hierarchy` and `--sites` explore (L2–L5, S3, S4). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HIERARCHY_FAULTS } from "../../simulation/faults.ts";
import { costOf } from "../../simulation/hierarchy/scale.ts";
import { type TimedResult, WorkerPool } from "../../simulation/worker-pool.ts";

/** More than one of them may take on a busy machine. */
const TIMEOUT_MS = 600_000;
const SEEDS = 24;

let pool: WorkerPool;
beforeAll(() => {
  pool = new WorkerPool();
});
afterAll(() => pool.stop());

describe("a simulated hierarchy", () => {
  test("takes the same course for the same seed, in any process", { timeout: TIMEOUT_MS }, async () => {
    const fresh = new WorkerPool();
    try {
      const first = await pool.run({ seed: 12, world: "hierarchy", trace: true });
      const again = await fresh.run({ seed: 12, world: "hierarchy", trace: true });
      expect(again.trace).toEqual(first.trace);
      expect(again.traceHash).toBe(first.traceHash);
    } finally {
      fresh.stop();
    }
  });

  test(`L3, L4, Q2, Q3, S3: is whole after everything on seeds 1 to ${SEEDS}, and tells of every fork`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const results: TimedResult[] = [];
    const seeds = Array.from({ length: SEEDS }, (_, i) => ({ seed: i + 1, world: "hierarchy" as const }));
    await pool.each(seeds.values(), (result) => results.push(result));
    expect(results.flatMap(({ seed, violations }) => violations.map((text) => `seed ${seed}: ${text}`))).toEqual([]);
    expect(HIERARCHY_FAULTS.filter((fault) => results.every(({ faults }) => (faults[fault] ?? 0) === 0))).toEqual([]);
    const injected = results.reduce((sum, { forks }) => sum + forks.injected, 0);
    expect(results.reduce((sum, { forks }) => sum + forks.reported, 0)).toBe(injected);
    expect(injected).toBeGreaterThan(0);
    // Q2, Q3: in a world in which nothing moves, or is queued, nothing can go wrong with it.
    for (const what of ["moves", "direct", "queued", "done", "failed", "unknown"] as const)
      expect(
        results.reduce((sum, { homes }) => sum + homes[what], 0),
        what,
      ).toBeGreaterThan(0);
  });
});

test("S2: ten sites at a hub have everything there, at the cost of a few frames each", {
  timeout: TIMEOUT_MS,
}, async () => {
  const { violations, perSite, lagMs } = await costOf(10, 1);
  expect(violations).toEqual([]);
  expect(perSite.hubEntries).toBeGreaterThanOrEqual(1);
  // A write is one push and one answer; beside them there are the greeting, what keeps a line alive, and every few seconds that
  // what the neighbours wrote is none of this one's.
  expect(perSite.framesUp).toBeLessThan(30);
  expect(perSite.framesDown).toBeLessThan(30);
  expect(lagMs.p99).toBeLessThan(1_000);
});
