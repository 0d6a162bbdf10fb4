/** Ranges at the leader: pages of 10,000 rows, keys alone, the newest 100 of all, and a count, by one caller and by eight. */
import { type Bench, benchmark } from "./harness/benchmark.ts";
import type { BenchCluster, KvClient, RangeAsk } from "./harness/cluster.ts";
import type { Figures } from "./harness/figures.ts";
import { fill, percentiles } from "./harness/load.ts";

const KEYS = 100_000;
const APIS = ["http", "native"] as const;
const CALLERS = [1, 8];
const all = { prefix: "bench/", newestFirst: false } as const;
/** We end an answer at 2 MiB, some 6,000 rows of this size; etcd does not. */
const ASKS: readonly (readonly [string, RangeAsk])[] = [
  ["rows", { ...all, limit: 10_000, view: "rows" }],
  ["keys", { ...all, limit: 10_000, view: "keys" }],
  ["newest", { ...all, limit: 100, view: "rows", newestFirst: true }],
  ["count", { ...all, limit: 1, view: "count" }],
];

await benchmark("range", { seconds: 3, runs: 3, keys: KEYS }, async (bench) => {
  const clusters = await bench.clusters();
  for (const cluster of clusters) await fill(cluster, bench.keys);
  for (const api of APIS) {
    for (const callers of CALLERS) {
      const loads = [];
      for (const cluster of clusters)
        loads.push({ name: cluster.name, cluster, client: await (await cluster.leader()).client(api, callers) });
      for (const [name, ask] of ASKS)
        await bench.compare([api, `c${callers}`, name], loads, (load) => ranges(bench, load, callers, ask));
      for (const { client } of loads) await client.close();
    }
  }
});

async function ranges(
  { durationMs }: Bench,
  { cluster, client }: { readonly cluster: BenchCluster; readonly client: KvClient },
  callers: number,
  ask: RangeAsk,
): Promise<Figures> {
  const latencies: number[] = [];
  let rows = 0;
  const before = await cluster.cpuMs();
  const started = performance.now();
  const caller = async (): Promise<void> => {
    for (let at = performance.now(); at - started < durationMs; ) {
      rows += await client.range(ask);
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - started) / 1_000;
  const after = await cluster.cpuMs();
  return {
    perSec: latencies.length / seconds,
    rowsPerSec: rows / seconds,
    ...percentiles(latencies),
    serverCpuUsPerRow: before === null || after === null ? null : ((after - before) * 1_000) / Math.max(1, rows),
  };
}
