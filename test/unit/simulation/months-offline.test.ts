/** S4, S5 on seeds of a world of two clusters that are apart for long (test/simulation/months-offline.ts). */
import { expect, test } from "vitest";
import { monthsOffline } from "../../simulation/months-offline.ts";

const SEEDS = 12;
const TIMEOUT_MS = 600_000;

test(`S4, S5: on seeds 1 to ${SEEDS} both sides have what the other one has, each revision once`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const totals = { "snapshot down": 0, "snapshot up": 0, crash: 0, compaction: 0, shed: 0 };
  const violations: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await monthsOffline(seed);
    violations.push(...result.violations.map((text) => `seed ${seed}: ${text}`));
    for (const [what, count] of Object.entries(result.counts)) totals[what as keyof typeof totals] += count;
  }
  expect(violations).toEqual([]);
  // A world in which nothing happens shows nothing.
  for (const [what, count] of Object.entries(totals)) expect(count, what).toBeGreaterThan(5);
});
