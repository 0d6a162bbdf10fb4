/** Puts to the leader by 1, 16, 64 and 256 callers, by the native client and over HTTP. */
import { benchmark } from "./harness/benchmark.ts";
import { measure, WARM_UP_MS } from "./harness/load.ts";
import { VALUE } from "./harness/sizes.ts";

const CALLERS = [1, 16, 64, 256];
const APIS = ["http", "native"] as const;

await benchmark("put", { seconds: 3, runs: 3 }, async (bench) => {
  const rss: number[] = [];
  for (const api of APIS) {
    const clusters = await bench.clusters();
    let key = 0;
    for (const callers of CALLERS) {
      const loads = [];
      for (const cluster of clusters) {
        const client = await (await cluster.leader()).client(api, callers);
        const put = (): Promise<void> => client.put(`bench/${key++}`, VALUE);
        await measure(cluster, callers, Math.min(WARM_UP_MS, bench.durationMs), put);
        loads.push({ name: cluster.name, cluster, client, put });
      }
      await bench.compare([api, `c${callers}`], loads, ({ cluster, put }) =>
        measure(cluster, callers, bench.durationMs, put),
      );
      for (const { client } of loads) await client.close();
    }
    const used = await clusters[0]?.rssMb();
    if (typeof used === "number") rss.push(used);
    await bench.retire(clusters);
  }
  bench.extra.rssMbPerNode = rss.length === 0 ? null : Math.round(Math.max(...rss));
});
