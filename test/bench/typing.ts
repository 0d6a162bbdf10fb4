/** A page in Chromium whose user types while 1,000 changes of others arrive in a text of 10 KB: its longest task, and how long keys wait. */
import { typeWhileChangesArrive } from "../browser/typing.ts";
import { benchmark } from "./harness/benchmark.ts";
import { percentiles } from "./harness/load.ts";

const CHANGES = 1_000;

await benchmark("typing", { seconds: 0, runs: 3, rivals: [] }, async (bench) => {
  await bench.compare([], [{ name: "ours" }], async () => {
    const { seen, taskCpuMs } = await typeWhileChangesArrive(CHANGES);
    const { p50Ms, p99Ms } = percentiles(seen.keyDelays);
    return {
      pieces: seen.pieces.length,
      tasksOver50MsOfCpu: taskCpuMs.filter((ms) => ms > 50).length,
      longestTaskCpuMs: Math.max(...taskCpuMs),
      // Chromium tells of those over 50 ms only.
      tasksOver50Ms: seen.longTasks.length,
      longestOfThemMs: seen.longTasks.length === 0 ? null : Math.max(...seen.longTasks),
      keyDelayMs: { p50: p50Ms, p99: p99Ms },
    };
  });
});
