/** Gets of a key at the leader by 1, 64 and 256 callers: linearizable, and local (etcd's serializable). */
import { benchmark } from "./harness/benchmark.ts";
import { measure, preload, WARM_UP_MS } from "./harness/load.ts";

const CALLERS = [1, 64, 256];
const APIS = ["http", "native"] as const;
const CONSISTENCIES = ["linearizable", "local"] as const;
const KEYS = 1_000;

await benchmark("get", { seconds: 3, runs: 3 }, async (bench) => {
  const clusters = await bench.clusters();
  for (const cluster of clusters) await preload(cluster, KEYS);
  for (const api of APIS) {
    for (const consistency of CONSISTENCIES) {
      for (const callers of CALLERS) {
        const loads = [];
        for (const cluster of clusters) {
          const client = await (await cluster.leader()).client(api, callers);
          let next = 0;
          const get = (): Promise<void> => client.get(`bench/${next++ % KEYS}`, consistency);
          await measure(cluster, callers, Math.min(WARM_UP_MS, bench.durationMs), get);
          loads.push({ name: cluster.name, cluster, client, get });
        }
        await bench.compare([api, consistency, `c${callers}`], loads, ({ cluster, get }) =>
          measure(cluster, callers, bench.durationMs, get),
        );
        for (const { client } of loads) await client.close();
      }
    }
  }
});
