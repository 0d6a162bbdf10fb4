/** From a put at the leader to its event at 1, 10 and 100 watchers of that node: one put at a time, then as many as come. */
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
/** Puts under way while as many come as can. */
const WRITERS = 32;

class Watched {
  readonly #cluster: BenchCluster;
  readonly #writer: KvClient;
  readonly #watchers: readonly KvClient[];
  /** The last key that each watcher has heard of. */
  readonly #heard: number[];
  #tell: (watcher: number, put: number) => void = () => undefined;
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
    const writer = await leader.client(api, WRITERS);
    const watchers = await Promise.all(Array.from({ length: count }, () => leader.client(api, 1)));
    const watched = new Watched(cluster, writer, watchers);
    for (const [i, watcher] of watchers.entries()) {
      await watcher.watch(PREFIX, (key) => {
        const put = Number(key.slice(PREFIX.length));
        watched.#heard[i] = Math.max(watched.#heard[i] ?? 0, put);
        watched.#tell(i, put);
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

  /** Fan-out: every event that every watcher is told, and how long after its put began. */
  async flood({ durationMs }: Bench): Promise<Figures> {
    const lags: number[] = [];
    const first = this.#puts + 1;
    const began: number[] = [];
    let all: () => void = () => undefined;
    const told = new Promise<void>((resolve) => {
      all = resolve;
    });
    let wanted = Number.POSITIVE_INFINITY;
    this.#tell = (_, put) => {
      const at = began[put - first];
      if (at !== undefined) lags.push(performance.now() - at);
      if (lags.length >= wanted) all();
    };
    const serverBefore = await this.#cluster.cpuMs();
    const started = performance.now();
    const writer = async (): Promise<void> => {
      while (performance.now() - started < durationMs) {
        began.push(performance.now());
        await this.#put();
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, writer));
    const puts = began.length;
    const written = (performance.now() - started) / 1_000;
    wanted = puts * this.#watchers.length;
    if (lags.length < wanted) await told;
    const seconds = (performance.now() - started) / 1_000;
    const serverAfter = await this.#cluster.cpuMs();
    const { p50Ms, p99Ms } = percentiles(lags);
    return {
      putsPerSec: puts / written,
      eventsPerSec: lags.length / seconds,
      lagP50Ms: p50Ms,
      lagP99Ms: p99Ms,
      serverCpuMsPerEvent:
        serverBefore === null || serverAfter === null ? null : (serverAfter - serverBefore) / lags.length,
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
      await bench.compare([api, `w${watchers}`, "flood"], loads, (load) => load.flood(bench));
      for (const load of loads) await load.close();
    }
  }
});
