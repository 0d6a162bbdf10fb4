/** Closed-loop load: so many callers, each with one call under way at a time. */
import type { BenchSite } from "./site.ts";

export interface Figures {
  readonly perSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time of the three nodes together, per call; null where it cannot be read. */
  readonly serverCpuMsPerOp: number | null;
  readonly clientCpuMsPerOp: number;
}

/** Runs the load once. */
export async function measure(
  site: BenchSite,
  callers: number,
  durationMs: number,
  call: () => Promise<void>,
): Promise<Figures> {
  const latencies: number[] = [];
  const serverBefore = await site.cpuMs();
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
  const serverAfter = await site.cpuMs();
  latencies.sort((a, b) => a - b);
  const count = latencies.length;
  return {
    perSec: count / seconds,
    p50Ms: latencies[Math.floor(count * 0.5)] ?? 0,
    p99Ms: latencies[Math.floor(count * 0.99)] ?? 0,
    serverCpuMsPerOp: serverBefore === null || serverAfter === null ? null : (serverAfter - serverBefore) / count,
    clientCpuMsPerOp: (client.user + client.system) / 1_000 / count,
  };
}

/** Field by field. */
export function medianOf(runs: readonly Figures[]): Figures {
  const median = (pick: (run: Figures) => number): number => {
    const values = runs.map(pick).sort((a, b) => a - b);
    return Math.round((values[Math.floor(values.length / 2)] ?? 0) * 1_000) / 1_000;
  };
  const unknown = runs.some(({ serverCpuMsPerOp }) => serverCpuMsPerOp === null);
  return {
    perSec: Math.round(median(({ perSec }) => perSec)),
    p50Ms: median(({ p50Ms }) => p50Ms),
    p99Ms: median(({ p99Ms }) => p99Ms),
    serverCpuMsPerOp: unknown ? null : median(({ serverCpuMsPerOp }) => serverCpuMsPerOp ?? 0),
    clientCpuMsPerOp: median(({ clientCpuMsPerOp }) => clientCpuMsPerOp),
  };
}
