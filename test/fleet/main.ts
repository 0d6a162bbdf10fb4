/** `npm run fleet -- --sites N`: so many light sites in a few processes on one real hub node; tells what that costs. */
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePorts } from "@openclaw/demo/ports.ts";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { parseSiteToken } from "@openclaw/edge-runtime/site-token.ts";
import { Command, InvalidArgumentError } from "commander";
import { cpuMs, rssMb } from "../bench/harness/usage.ts";
import { Workbench } from "../bench/harness/workbench.ts";
import { Lag, quantile } from "./lag.ts";
import { SiteProcesses } from "./site-processes.ts";

const HUB = fileURLToPath(new URL("../../hub/cli.ts", import.meta.url));
const READY_MS = 30_000;
/** For all sites to be connected: the hub takes so many new connections a second from one address. */
const CONNECT_MS = 300_000;
/** Until a figure is taken: connections, compilers, elections. */
const SETTLE_MS = 5_000;
/** For what was put to be at the hub, after the load has ended. */
const DRAIN_MS = 120_000;

interface Options {
  readonly sites: number;
  readonly processes: number;
  readonly seconds: number;
  readonly rates: readonly number[];
  readonly valueBytes: number;
}

const LOOK_MS = 1_000;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const options = new Command("fleet")
  .description("Light sites in few processes on one hub node: memory, connections, CPU, lag. The last line is JSON.")
  .option("--sites <count>", "sites of one node each", whole, 200)
  .option("--processes <count>", "processes that hold them", whole, 4)
  .option("--seconds <seconds>", "of each measurement", whole, 20)
  .option("--rates <list>", "puts a second of each site, one measurement each", list, [0.5, 1, 2, 5])
  .option("--value-bytes <bytes>", "of each put", whole, 200)
  .parse()
  .opts<Options>();

await Workbench.use(async (workbench) => {
  const folder = workbench.folder();
  const { hub, configs } = await layOut(folder, options.sites);
  const node = workbench.process(
    process.execPath,
    [HUB, "node", "start", "--config", hub.config],
    path.join(folder, "hub.log"),
  );
  node.start();
  await until(READY_MS, "the hub is ready", () =>
    fetch(`${hub.http}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  const pid = node.pid ?? 0;
  const emptyMb = await rssMb([pid]);

  const began = performance.now();
  const sites = new SiteProcesses(configs, options.processes);
  try {
    await until(CONNECT_MS, "every site is connected", async () => (await sites.count()).connected === options.sites);
    const connectSeconds = (performance.now() - began) / 1_000;
    say(`${options.sites} sites are connected after ${connectSeconds.toFixed(1)} s`);
    await sleep(SETTLE_MS);
    const measure = measuring(pid, sites.pids, hub.http);
    const idle = await measure();
    say(JSON.stringify({ idle }));

    const lag = new Lag(hub.http);
    const loaded = [];
    for (const rate of options.rates) {
      sites.load(rate, options.valueBytes);
      await sleep(SETTLE_MS);
      lag.take();
      const [puts, arrived] = [(await sites.count()).puts, lag.arrived];
      const figures = await measure();
      const after = await sites.count();
      const lags = lag.take();
      const row = {
        putsPerSecondAndSite: rate,
        putsPerSecond: (after.puts - puts) / options.seconds,
        arrivedPerSecond: (lag.arrived - arrived) / options.seconds,
        lagMs: { p50: quantile(lags, 0.5), p99: quantile(lags, 0.99), most: lags.at(-1) ?? 0 },
        failed: after.failed,
        connected: after.connected,
        ...figures,
      };
      loaded.push(row);
      say(JSON.stringify(row));
      sites.load(0, options.valueBytes);
      await until(DRAIN_MS, "all that was put is at the hub", async () => {
        const { puts: all, connected, apart } = await sites.count();
        if (connected < options.sites)
          say(`${connected} are connected; ${lag.arrived} of ${all}; ${[...new Set(apart)].join("; ")}`);
        return lag.arrived >= all;
      });
    }
    lag.stop();
    const { sites: count, processes } = options;
    process.stdout.write(
      `${JSON.stringify({ sites: count, processes, hubEmptyMb: emptyMb, connectSeconds, idle, loaded })}\n`,
    );
  } finally {
    sites.stop();
  }
});

async function layOut(folder: string, count: number) {
  const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
  const at = { nodes: 1, host: "127.0.0.1", logLevel: "warn" };
  const directory = path.join(folder, "hub");
  const made = await initCluster({
    ...at,
    directory,
    cluster: "hub",
    httpPorts: [http],
    p2pPorts: [p2p],
    wsPorts: [ws],
  });
  const [hub] = made.nodes;
  if (hub === undefined) throw new Error("a hub of one node");
  const tokens = await siteTokens({ directory, count, site: null, approved: true, members: null });
  const configs: string[] = [];
  for (const [i, text] of tokens.entries()) {
    const cluster = `site-${String(i).padStart(4, "0")}`;
    const subscribe = { collections: [], prefixes: ["config/"], mirrors: false };
    const parent = { token: await parseSiteToken(text), subscribe };
    // A light site listens nowhere.
    const ports = { httpPorts: [0], p2pPorts: [0], wsPorts: [0] };
    const site = await initCluster({ ...at, ...ports, directory: path.join(folder, cluster), cluster, parent });
    configs.push(...site.nodes.map(({ config }) => config));
  }
  return { hub, configs };
}

/** What the hub and its sites cost for a while. */
function measuring(hub: number, sites: readonly number[], http: string) {
  return async () => {
    const before = await Promise.all([cpuMs([hub]), cpuMs(sites)]);
    const began = performance.now();
    await sleep(options.seconds * 1_000);
    const after = await Promise.all([cpuMs([hub]), cpuMs(sites)]);
    const elapsed = performance.now() - began;
    const percent = (at: 0 | 1): number => (100 * ((after[at] ?? 0) - (before[at] ?? 0))) / elapsed;
    const siteMb = ((await rssMb(sites)) ?? 0) * sites.length;
    return {
      hubCpuPercent: percent(0),
      hubRssMb: await rssMb([hub]),
      sitesCpuPercent: percent(1),
      mbPerSite: siteMb / options.sites,
      streams: await metric(http, "openclaw_children"),
      /** What else the machine was asked for: with more than there are cores, lags are of the machine, not of us. */
      loadAverage: os.loadavg()[0] ?? 0,
    };
  };
}

async function metric(http: string, name: string): Promise<number> {
  const text = await (await fetch(`${http}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
}

async function until(ms: number, what: string, is: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + ms;
  for (;;) {
    if (await is()) return;
    if (performance.now() > deadline) throw new Error(`not within ${ms / 1_000} s: ${what}`);
    await sleep(LOOK_MS);
  }
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("a whole number above 0");
  return value;
}

function list(text: string): readonly number[] {
  const values = text.split(",").map(Number);
  if (!values.every((value) => value > 0)) throw new InvalidArgumentError("numbers above 0, with commas between");
  return values;
}
