/** Promises of whole replicas on random schedules (R1–R8, Q1). A seed that fails can be run again alone: `SEED=17`. */
import { describe, expect, test } from "vitest";
import { ReplicaSchedule } from "../simulation/replica-schedule.ts";

const SEEDS = 100;
const AT_ONCE = 25;

const only = process.env.SEED;
const runs = only === undefined ? Array.from({ length: SEEDS / AT_ONCE }, (_, i) => i * AT_ONCE + 1) : [Number(only)];

describe("what was acknowledged survives and ran once, reads are linearizable, and healed it goes on", () => {
  for (const first of runs) {
    const last = only === undefined ? first + AT_ONCE - 1 : first;
    test(`seeds ${first} to ${last}`, async () => {
      let acknowledged = 0;
      let reads = 0;
      for (let seed = first; seed <= last; seed++) {
        const schedule = new ReplicaSchedule(seed);
        expect(await schedule.run(), `seed ${seed}`).toEqual([]);
        acknowledged += schedule.history.acknowledged;
        reads += schedule.history.reads;
      }
      // A schedule in which nothing succeeds shows nothing.
      expect(acknowledged).toBeGreaterThan(10 * (last - first + 1));
      expect(reads).toBeGreaterThan(5 * (last - first + 1));
    });
  }
});
