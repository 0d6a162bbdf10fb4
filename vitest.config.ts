import { defineConfig } from "vitest/config";

/**
 * Two kinds of suite. Those that stay in one process run side by side; those that start processes or browsers run
 * afterwards, one file at a time, so that on two cores a test waits for what it tests and not for its neighbours.
 */
const OWN_PROCESSES = ["test/integration/**/*.test.ts", "test/browser/**/*.test.ts"];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "logic",
          include: ["test/**/*.test.ts"],
          exclude: OWN_PROCESSES,
          pool: "forks",
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "processes",
          include: OWN_PROCESSES,
          pool: "forks",
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
