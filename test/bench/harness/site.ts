/** A fresh site of three nodes for a benchmark: processes of their own, a temporary folder, gone afterwards. */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";

const PROGRAM = fileURLToPath(new URL("../../../edge-runtime/cli/openclaw.ts", import.meta.url));
const NODES = 3;
/** Kernel's clock ticks a second, as /proc counts CPU time: 100 on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

export interface BenchSite {
  /** Base URL of the leader. */
  readonly leader: string;
  /** The leader's addresses, with peer ids. */
  readonly leaderAddresses: readonly string[];
  /** CPU time that the three nodes have used so far, ms; null where there is no /proc. */
  cpuMs(): Promise<number | null>;
  /** Mean resident memory of a node, MB; null where there is no /proc. */
  rssMb(): Promise<number | null>;
  stop(): Promise<void>;
}

export async function startSite(report: (text: string) => void): Promise<BenchSite> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-bench-"));
  const ports = await freePorts(Array.from({ length: 3 * NODES }, () => null));
  const [httpPorts = [], p2pPorts = [], wsPorts = []] = [0, 1, 2].map((i) => ports.slice(i * NODES, (i + 1) * NODES));
  const plan = {
    directory,
    cluster: "bench",
    nodes: NODES,
    host: "127.0.0.1",
    httpPorts,
    p2pPorts,
    wsPorts,
    logLevel: "warn",
  };
  const { nodes } = await initCluster(plan);
  const processes = nodes.map(({ node, config, http }) => {
    const args = [PROGRAM, "node", "start", "--config", config];
    return new NodeProcess(
      { name: node, args, http, logFile: path.join(directory, `${node}.log`) },
      { report, started: () => undefined },
    );
  });
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((node) => node.stop()));
    await fs.rm(directory, { recursive: true, force: true });
  };
  try {
    for (const node of processes) node.start();
    await Promise.all(processes.map((node) => node.ready()));
    const leader = await leaderOf(processes.map(({ http }) => http));
    const place = nodes.find(({ node }) => node === leader);
    if (place === undefined) throw new Error(`the leader ${leader} is no node of the site`);
    const pids = processes.flatMap(({ pid }) => pid ?? []);
    return {
      leader: place.http,
      leaderAddresses: place.addresses,
      cpuMs: async () => sum(await Promise.all(pids.map(cpuMsOf))),
      rssMb: async () => {
        const total = sum(await Promise.all(pids.map(rssMbOf)));
        return total === null ? null : total / pids.length;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function leaderOf(urls: readonly string[]): Promise<string> {
  for (const url of urls) {
    const status: unknown = await (await fetch(`${url}/v1/status`)).json();
    if (typeof status === "object" && status !== null && "leader" in status && typeof status.leader === "string") {
      return status.leader;
    }
  }
  throw new Error("a ready site has a leader");
}

/** proc_pid_stat(5): utime and stime are fields 14 and 15, counted behind the command's closing parenthesis. */
async function cpuMsOf(pid: number): Promise<number | null> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined ? null : ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

async function rssMbOf(pid: number): Promise<number | null> {
  const status = await fs.readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) / 1_024;
}

const sum = (values: readonly (number | null)[]): number | null =>
  values.reduce<number | null>((total, value) => (total === null || value === null ? null : total + value), 0);
