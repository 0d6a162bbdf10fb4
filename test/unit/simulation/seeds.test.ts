/** A fixed part of what `npm run simulate` explores: every promise of the simulated world (R1–R9, T1, Q1, L1–L5, K1–K7). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FAULTS } from "../../simulation/faults.ts";
import { type TimedResult, WorkerPool } from "../../simulation/worker-pool.ts";

const SEEDS = 70;
/** More than one seed may take on a busy machine. */
const TIMEOUT_MS = 600_000;

let pool: WorkerPool;
beforeAll(() => {
  pool = new WorkerPool();
});
afterAll(() => pool.stop());

/** What clients of keys and leases must have gone through, by the names of the model and of the table of errors. */
const REQUESTS = [
  ...["put", "delete", "txn", "range", "earlier range", "grant", "alive", "revoke", "end of a lease"],
  ...["KEY_EMPTY", "DUPLICATE_KEY", "NOT_FOUND", "LEASE_NOT_FOUND"],
];

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

describe("a simulated world", () => {
  test("takes the same course for the same seed, in any process", { timeout: TIMEOUT_MS }, async () => {
    const fresh = new WorkerPool();
    try {
      const first = await pool.run({ seed: 7, world: "site", trace: true });
      const again = await fresh.run({ seed: 7, world: "site", trace: true });
      expect(again.trace).toEqual(first.trace);
      expect(again.traceHash).toBe(first.traceHash);
      expect((await fresh.run({ seed: 8, world: "site" })).traceHash).not.toBe(first.traceHash);
    } finally {
      fresh.stop();
    }
  });

  test(`keeps every promise on seeds 1 to ${SEEDS}, under every kind of fault`, { timeout: TIMEOUT_MS }, async () => {
    const results: TimedResult[] = [];
    const seeds = Array.from({ length: SEEDS }, (_, i) => ({ seed: i + 1, world: "site" as const }));
    await pool.each(seeds.values(), (result) => results.push(result));
    expect(results.flatMap(({ seed, violations }) => violations.map((text) => `seed ${seed}: ${text}`))).toEqual([]);
    // A world in which nothing happens shows nothing.
    for (const { seed, operations, virtualMs } of results) {
      expect(operations, `seed ${seed}`).toBeGreaterThanOrEqual(500);
      expect(virtualMs, `seed ${seed}`).toBeGreaterThanOrEqual(60_000);
    }
    expect(median(results.map(({ leaderChanges }) => leaderChanges))).toBeGreaterThanOrEqual(3);
    expect(FAULTS.filter((fault) => results.every(({ faults }) => (faults[fault] ?? 0) === 0))).toEqual([]);
    expect(REQUESTS.filter((kind) => results.every(({ requests }) => (requests[kind] ?? 0) === 0))).toEqual([]);
  });
});
