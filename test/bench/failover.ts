/** How long no write is acknowledged when the leader is killed (kill -9) under load. HTTP, callers at all three nodes. */
import { setTimeout as sleep } from "node:timers/promises";
import { benchmark } from "./harness/benchmark.ts";
import { answering, type BenchCluster } from "./harness/cluster.ts";
import type { Figures } from "./harness/figures.ts";
import { VALUE } from "./harness/sizes.ts";

const CALLERS = 12;
/** A put that is not answered by then is tried at the next node, ms: what bounds how exactly a gap is seen. */
const PATIENCE_MS = 200;
const RETRY_MS = 5;
/** Acknowledged puts before the kill, and after it. */
const PUTS = 300;

await benchmark("failover", { seconds: 0, runs: 5 }, async (bench) => {
  const clusters = await bench.clusters();
  await bench.compare([], clusters, killed);
});

async function killed(cluster: BenchCluster): Promise<Figures> {
  const leader = await cluster.leader();
  const acknowledged: number[] = [];
  let stopping = false;
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    const clients = await Promise.all(cluster.nodes.map((node) => node.client("http", 1, PATIENCE_MS)));
    for (let at = caller, put = 0; !stopping; put++) {
      const client = clients[at % clients.length];
      try {
        await client?.put(`failover/${caller}/${put}`, VALUE);
        acknowledged.push(performance.now());
      } catch {
        // Dead, or without a leader: another one may know better.
        at++;
        await sleep(RETRY_MS);
      }
    }
    for (const client of clients) await client.close();
  });
  await reached(acknowledged, PUTS);
  const before = acknowledged.length;
  await leader.process.kill();
  await reached(acknowledged, before + PUTS);
  stopping = true;
  await Promise.all(callers);
  leader.process.start();
  await answering(leader, () => leader.leads());
  return { writeGapMs: longestGap(acknowledged.slice(before - 1)) };
}

async function reached(acknowledged: readonly number[], count: number): Promise<void> {
  while (acknowledged.length < count) await sleep(RETRY_MS);
}

function longestGap(times: readonly number[]): number {
  let longest = 0;
  for (let i = 1; i < times.length; i++) longest = Math.max(longest, (times[i] ?? 0) - (times[i - 1] ?? 0));
  return longest;
}
