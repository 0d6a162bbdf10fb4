/** From a put at the leader to its event at 1, 10 and 100 watchers of the same node; one put at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, benchmark } from "./harness/benchmark.ts";
import type { Api, BenchCluster, KvClient } from "./harness/cluster.ts";
import type { Figures } from "./harness/figures.ts";
import { percentiles } from "./harness/load.ts";
import { VALUE } from "./harness/sizes.ts";

/** A native client is a libp2p host, or a gRPC channel, of its own: a hundred of them would measure their client. */
const WATCHERS: Readonly<Record<Api, readonly number[]>> = { http: [1, 10, 100], native: [1, 10] };
const APIS = ["http", "native"] as const;
const PREFIX = "watched/";
const PROBE_MS = 20;

class Watched {
  readonly #cluster: BenchCluster;
  readonly #writer: KvClient;
  readonly #watchers: readonly KvClient[];
  /** The last key that each watcher has heard of. */
  readonly #heard: number[];
  #tell: (watcher: number) => void = () => undefined;
  #puts = 0;

  private constructor(cluster: BenchCluster, writer: KvClient, watchers: readonly KvClient[]) {
    this.#cluster = cluster;
    this.#writer = writer;
    this.#watchers = watchers;
    this.#heard = watchers.map(() => 0);
  }

  get name(): BenchCluster["name"] {
    return this.#cluster.name;
  }

  static async open(cluster: BenchCluster, api: Api, count: number): Promise<Watched> {
    const leader = await cluster.leader();
    const writer = await leader.client(api, 1);
    const watchers = await Promise.all(Array.from({ length: count }, () => leader.client(api, 1)));
    const watched = new Watched(cluster, writer, watchers);
    for (const [i, watcher] of watchers.entries()) {
      await watcher.watch(PREFIX, (key) => {
        watched.#heard[i] = Math.max(watched.#heard[i] ?? 0, Number(key.slice(PREFIX.length)));
        watched.#tell(i);
      });
    }
    // A watch begins some time after it was asked for: puts go on until everybody has heard of one.
    while (watched.#heard.includes(0)) {
      await watched.#put();
      await sleep(PROBE_MS);
    }
    const everybody = watched.#everybody(() => undefined);
    await watched.#put();
    await everybody;
    return watched;
  }

  async measure({ durationMs }: Bench): Promise<Figures> {
    const latencies: number[] = [];
    const serverBefore = await this.#cluster.cpuMs();
    const clientBefore = process.cpuUsage();
    const started = performance.now();
    for (let at = started; at - started < durationMs; at = performance.now()) {
      const everybody = this.#everybody(() => latencies.push(performance.now() - at));
      await this.#put();
      await everybody;
    }
    const seconds = (performance.now() - started) / 1_000;
    const client = process.cpuUsage(clientBefore);
    const serverAfter = await this.#cluster.cpuMs();
    const events = latencies.length;
    return {
      eventsPerSec: events / seconds,
      ...percentiles(latencies),
      serverCpuMsPerEvent: serverBefore === null || serverAfter === null ? null : (serverAfter - serverBefore) / events,
      clientCpuMsPerEvent: (client.user + client.system) / 1_000 / events,
    };
  }

  async close(): Promise<void> {
    for (const client of [this.#writer, ...this.#watchers]) await client.close();
  }

  #put(): Promise<void> {
    return this.#writer.put(`${PREFIX}${++this.#puts}`, VALUE);
  }

  /** Resolves when every watcher has heard of the put that comes next. */
  #everybody(heard: () => void): Promise<void> {
    const wanted = this.#puts + 1;
    const missing = new Set(this.#heard.keys());
    return new Promise((resolve) => {
      this.#tell = (watcher) => {
        if ((this.#heard[watcher] ?? 0) < wanted || !missing.delete(watcher)) return;
        heard();
        if (missing.size === 0) resolve();
      };
    });
  }
}

await benchmark("watch", { seconds: 3, runs: 3 }, async (bench) => {
  const clusters = await bench.clusters();
  for (const api of APIS) {
    for (const watchers of WATCHERS[api]) {
      const loads = [];
      for (const cluster of clusters) loads.push(await Watched.open(cluster, api, watchers));
      await bench.compare([api, `w${watchers}`], loads, (load) => load.measure(bench));
      for (const load of loads) await load.close();
    }
  }
});
