/** Closed-loop load: so many callers, each with one call under way at a time. */
import type { BenchCluster } from "./cluster.ts";
import type { Figures } from "./figures.ts";
import { VALUE } from "./sizes.ts";

/** Long enough for connections, sessions and compilers to settle, ms. */
export const WARM_UP_MS = 1_000;

const PRELOAD_CALLERS = 256;
/** Transactions under way, and puts in one: etcd's default limit, and ours. */
const FILL_CALLERS = 8;
const TXN_PUTS = 128;

/** Runs the load once. CPU is that of the cluster's processes together, and of this one, per call. */
export async function measure(
  cluster: BenchCluster,
  callers: number,
  durationMs: number,
  call: () => Promise<void>,
): Promise<Figures> {
  const latencies: number[] = [];
  const serverBefore = await cluster.cpuMs();
  const clientBefore = process.cpuUsage();
  const started = performance.now();
  const end = started + durationMs;
  const caller = async (): Promise<void> => {
    for (let at = performance.now(); at < end; ) {
      await call();
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - started) / 1_000;
  const client = process.cpuUsage(clientBefore);
  const serverAfter = await cluster.cpuMs();
  const count = latencies.length;
  return {
    perSec: count / seconds,
    ...percentiles(latencies),
    serverCpuMsPerOp: serverBefore === null || serverAfter === null ? null : (serverAfter - serverBefore) / count,
    clientCpuMsPerOp: (client.user + client.system) / 1_000 / count,
  };
}

/** Puts `bench/0` and so on, by as many callers as the native client does well with. */
export async function preload(cluster: BenchCluster, keys: number): Promise<void> {
  const client = await (await cluster.leader()).client("native", PRELOAD_CALLERS);
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < keys) await client.put(`bench/${next++}`, VALUE);
  };
  await Promise.all(Array.from({ length: PRELOAD_CALLERS }, caller));
  await client.close();
}

/** The same keys by transactions of as many as either system takes. */
export async function fill(cluster: BenchCluster, keys: number): Promise<void> {
  const loader = await (await cluster.leader()).loader();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < keys) {
      const first = next;
      next = Math.min(keys, first + TXN_PUTS);
      await loader.putAll(
        Array.from({ length: next - first }, (_, i) => `bench/${first + i}`),
        VALUE,
      );
    }
  };
  await Promise.all(Array.from({ length: FILL_CALLERS }, caller));
  await loader.close();
}

/** Half of them, and all but one in a hundred, were at most so long. */
export function percentiles(latencies: readonly number[]): { readonly p50Ms: number; readonly p99Ms: number } {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
