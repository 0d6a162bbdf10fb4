import { afterAll, describe, expect, test } from "vitest";
import { walk } from "../../simulation/lives.ts";

const SEEDS = 24;
const STEPS = 25;

let forks = 0;
// Walks in which nothing parts show nothing.
afterAll(() => expect(forks).toBeGreaterThan(SEEDS / 2));

describe("L3: forks that were injected are those that are reported", () => {
  test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))("in the walk of seed %i", async (seed) => {
    const { injected, reported, violations } = await walk(seed, STEPS);
    expect(violations).toEqual([]);
    expect(reported).toBe(injected);
    forks += injected;
  });
});
