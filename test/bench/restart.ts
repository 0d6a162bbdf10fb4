/** A node with 100,000 keys: its memory, and how long after a kill -9 it takes until it serves a linearizable read again. */
import { benchmark } from "./harness/benchmark.ts";
import { answering, type BenchCluster } from "./harness/cluster.ts";
import type { Figures } from "./harness/figures.ts";
import { preload } from "./harness/load.ts";
import { rssMb } from "./harness/usage.ts";

const KEYS = 100_000;

await benchmark("restart", { seconds: 0, runs: 3 }, async (bench) => {
  const clusters = await bench.clusters();
  for (const cluster of clusters) {
    await preload(cluster, KEYS);
    bench.note(cluster.name, ["loaded"], { rssMbPerNode: await cluster.rssMb() });
  }
  await bench.compare(["restarted"], clusters, restarted);
});

/** A follower, so that no election is part of it. */
async function restarted(cluster: BenchCluster): Promise<Figures> {
  const leader = await cluster.leader();
  const node = cluster.nodes.find((one) => one !== leader);
  if (node === undefined) throw new Error("a cluster has followers");
  await node.process.kill();
  const started = performance.now();
  node.process.start();
  const client = await node.client("http", 1);
  await answering(node, () => client.get(`bench/${KEYS - 1}`, "linearizable"));
  const untilServingMs = performance.now() - started;
  await client.close();
  return { untilServingMs, rssMb: await rssMb(node.process.pid === null ? [] : [node.process.pid]) };
}
