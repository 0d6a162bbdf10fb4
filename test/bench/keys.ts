/** A node full of keys: memory, disk, restart until it serves, and local gets of keys picked at random. */
import { benchmark } from "./harness/benchmark.ts";
import { answering, type BenchCluster, type BenchNode } from "./harness/cluster.ts";
import type { Figures } from "./harness/figures.ts";
import { fill, measure } from "./harness/load.ts";
import { diskMb, rssMb } from "./harness/usage.ts";

const KEYS = 1_000_000;
const CALLERS = [1, 16];

await benchmark("keys", { seconds: 5, runs: 3, keys: KEYS }, async (bench) => {
  const clusters = await bench.clusters();
  for (const cluster of clusters) {
    const started = performance.now();
    await fill(cluster, bench.keys);
    const seconds = (performance.now() - started) / 1_000;
    const follower = await followerOf(cluster);
    bench.note(cluster.name, ["filled"], {
      keysPerSec: Math.round(bench.keys / seconds),
      rssMbPerNode: await cluster.rssMb(),
      diskMb: await diskMb(follower.folder),
    });
  }
  await bench.compare([], clusters, async (cluster) => {
    const node = await followerOf(cluster);
    const restarted = await restart(node, bench.keys);
    const local: Record<string, Figures> = {};
    for (const callers of CALLERS)
      local[`c${callers}`] = await gets(cluster, node, callers, bench.keys, bench.durationMs);
    return { restarted, local, underGets: { rssMb: await rssOf(node) } };
  });
});

/** So that no election is part of a restart. */
async function followerOf(cluster: BenchCluster): Promise<BenchNode> {
  const leader = await cluster.leader();
  const node = cluster.nodes.find((one) => one !== leader);
  if (node === undefined) throw new Error("a cluster has followers");
  return node;
}

/** Killed as kill -9 does; it serves when it answers a linearizable get. */
async function restart(node: BenchNode, keys: number): Promise<Figures> {
  await node.process.kill();
  const started = performance.now();
  node.process.start();
  const client = await node.client("http", 1);
  await answering(node, () => client.get(`bench/${keys - 1}`, "linearizable"));
  const untilServingMs = performance.now() - started;
  await client.close();
  return { untilServingMs, rssMb: await rssOf(node) };
}

async function gets(
  cluster: BenchCluster,
  node: BenchNode,
  callers: number,
  keys: number,
  durationMs: number,
): Promise<Figures> {
  const client = await node.client("native", callers);
  const get = (): Promise<void> => client.get(`bench/${Math.floor(Math.random() * keys)}`, "local");
  const figures = await measure(cluster, callers, durationMs, get);
  await client.close();
  return figures;
}

function rssOf({ process: { pid } }: BenchNode): Promise<number | null> {
  return rssMb(pid === null ? [] : [pid]);
}
