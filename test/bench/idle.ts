/** CPU of the three nodes together, in percent of one core, while nobody asks anything of them. */
import { setTimeout as sleep } from "node:timers/promises";
import { benchmark } from "./harness/benchmark.ts";

/** What a start leaves to do: compilers, elections, connections. */
const SETTLE_MS = 5_000;

await benchmark("idle", { seconds: 15, runs: 3 }, async (bench) => {
  const clusters = await bench.clusters();
  await sleep(SETTLE_MS);
  await bench.compare([], clusters, async (cluster) => {
    const before = await cluster.cpuMs();
    const started = performance.now();
    await sleep(bench.durationMs);
    const after = await cluster.cpuMs();
    const elapsed = performance.now() - started;
    return {
      cpuPercent: before === null || after === null ? null : ((after - before) / elapsed) * 100,
      rssMbPerNode: await cluster.rssMb(),
    };
  });
});
