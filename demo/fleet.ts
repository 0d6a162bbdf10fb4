/** A hub and its sites, every node a process of its own. */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { type ClusterRecord, type FolderOptions, openFleetFolder } from "./fleet-folder.ts";
import { type NodeObserver, NodeProcess } from "./node-process.ts";
import { Refusal } from "./refusal.ts";
import { HUB } from "./sites.ts";

const PROGRAM = fileURLToPath(new URL("../edge-runtime/cli/openclaw.ts", import.meta.url));
const HUB_PROGRAM = fileURLToPath(new URL("../hub/cli.ts", import.meta.url));
const LOGS = "logs";
/** Process ids of the nodes that run, so that the next start finds those that a killed launcher left behind. */
const PIDS = "running.json";

export interface FleetOptions extends FolderOptions {
  readonly folder: string;
  /** Told what happens, in words. */
  readonly report: (text: string) => void;
}

export class Cluster {
  readonly name: string;
  readonly nodes: readonly NodeProcess[];

  constructor(name: string, nodes: readonly NodeProcess[]) {
    this.name = name;
    this.nodes = nodes;
  }

  get urls(): readonly string[] {
    return this.nodes.map(({ http }) => http);
  }

  node(name: string): NodeProcess {
    const node = this.nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`${this.name} has no node ${name}`);
    return node;
  }
}

export class Fleet {
  readonly folder: string;
  readonly hub: Cluster;
  readonly sites: readonly Cluster[];
  readonly #report: (text: string) => void;

  private constructor(folder: string, records: readonly ClusterRecord[], report: (text: string) => void) {
    this.folder = folder;
    const observer = { report, started: () => this.#notePids() };
    const [hub, ...sites] = records.map((cluster) => processesOf(folder, cluster, observer));
    if (hub === undefined) throw new Error("a fleet has a hub");
    this.hub = hub;
    this.sites = sites;
    this.#report = report;
  }

  /** Prepares the folder; nothing runs yet. @throws Refusal */
  static async open(options: FleetOptions): Promise<Fleet> {
    const { folder, report } = options;
    await refuseWhileRunning(folder);
    const clusters = await openFleetFolder(folder, options);
    fs.mkdirSync(path.join(folder, LOGS), { recursive: true });
    return new Fleet(folder, clusters, report);
  }

  get nodes(): readonly NodeProcess[] {
    return [this.hub, ...this.sites].flatMap(({ nodes }) => nodes);
  }

  site(name: string): Cluster {
    const site = this.sites.find((one) => one.name === name);
    if (site === undefined) throw new Error(`the fleet has no site ${name}`);
    return site;
  }

  /** Resolves when every node is ready. @throws Refusal when one does not get there */
  async start(signal?: AbortSignal): Promise<void> {
    let ready = 0;
    for (const node of this.nodes) node.start();
    await Promise.all(
      this.nodes.map(async (node) => {
        await node.ready(signal);
        this.#report(`${node.name} is ready at ${node.http} (${++ready} of ${this.nodes.length})`);
      }),
    );
  }

  /** Stops every node, for good, and waits for it. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.retire()));
    fs.rmSync(path.join(this.folder, PIDS), { force: true });
  }

  #notePids(): void {
    const pids = this.nodes.flatMap(({ pid }) => pid ?? []);
    fs.writeFileSync(path.join(this.folder, PIDS), JSON.stringify(pids));
  }
}

function processesOf(folder: string, cluster: ClusterRecord, observer: NodeObserver): Cluster {
  const program = cluster.name === HUB ? HUB_PROGRAM : PROGRAM;
  const nodes = cluster.nodes.map(({ name, config, http }) => {
    const args = [program, "node", "start", "--config", path.join(folder, config)];
    return new NodeProcess({ name, args, http, logFile: path.join(folder, LOGS, `${name}.log`) }, observer);
  });
  return new Cluster(cluster.name, nodes);
}

/** Two launchers on one folder would fight over its nodes. */
async function refuseWhileRunning(folder: string): Promise<void> {
  const file = path.join(folder, PIDS);
  if (!fs.existsSync(file)) return;
  const pids = z.array(z.number().int().positive()).safeParse(JSON.parse(fs.readFileSync(file, "utf8")));
  const alive = (pids.data ?? []).filter((pid) => isNodeOf(pid, folder));
  if (alive.length === 0) return;
  throw new Refusal(
    `This fleet is running already: ${folder}. If its launcher is gone, end its nodes first: kill ${alive.join(" ")}`,
  );
}

/** True if that process is there and was started with a configuration of this folder. */
function isNodeOf(pid: number, folder: string): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false; // no such process
  }
  const commandLine = `/proc/${pid}/cmdline`;
  // Where there is no /proc, a living process of that number is taken for ours.
  return (
    !fs.existsSync("/proc/self/cmdline") ||
    (fs.existsSync(commandLine) && fs.readFileSync(commandLine, "utf8").includes(folder))
  );
}
