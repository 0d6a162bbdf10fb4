/**
 * A fleet on disk: one folder a cluster, made once, with its keys, credentials, configurations and data, and a file that
 * says what is there. A folder without that file is not ours, and is not touched.
 */
import fs from "node:fs/promises";
import path from "node:path";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import { type InitialCluster, initCluster } from "@openclaw/edge-runtime/init.ts";
import { parseSiteToken, type SiteToken } from "@openclaw/edge-runtime/site-token.ts";
import * as z from "zod";
import { freePorts } from "./ports.ts";
import { Refusal } from "./refusal.ts";
import { GATEWAYS, HUB, HUB_NODES, SITES_PREFIX, type SitePlan } from "./sites.ts";

const FILE = "fleet.json";
const HOST = "127.0.0.1";
/** Documents that the sites share by way of the hub. */
const SHARED_COLLECTIONS = ["shift-log"];
/** The first ports asked for; any others will do when these are taken. */
const FIRST_PORT = { http: 8_100, p2p: 9_100, ws: 9_200 };
/** Ports between the first of one cluster and the first of the next. */
const PORTS_PER_CLUSTER = 10;

const clusterRecord = z.object({
  name: z.string(),
  clusterKey: z.string(),
  nodes: z.array(z.object({ name: z.string(), config: z.string(), http: z.string(), addresses: z.array(z.string()) })),
});
const fleetRecord = z.object({ version: z.literal(1), clusters: z.array(clusterRecord) });

export type ClusterRecord = z.infer<typeof clusterRecord>;

export interface FolderOptions {
  readonly sites: readonly SitePlan[];
  /** Nodes of the hub; three, unless given. */
  readonly hubNodes?: number;
  /** Built page that the gateways serve. */
  readonly page: string;
  readonly ports: "any" | "preferred";
  /** Removes what an earlier run left. */
  readonly fresh: boolean;
}

/**
 * Makes the folder hold the hub and the sites; what is there already stays as it is, with other ports where somebody
 * else has taken them.
 * @returns the hub first, then the sites in the order of the plan
 * @throws Refusal if the folder is not ours
 */
export async function openFleetFolder(folder: string, options: FolderOptions): Promise<readonly ClusterRecord[]> {
  await claim(folder, options.fresh);
  let clusters = await movedFromTakenPorts(folder, await readRecord(folder));
  const write = async (cluster: ClusterRecord): Promise<void> => {
    clusters = [...clusters, cluster];
    await writeRecord(folder, clusters);
  };

  let hub = clusters.find(({ name }) => name === HUB);
  if (hub === undefined) {
    hub = recordOf(folder, await create(folder, HUB, options.hubNodes ?? HUB_NODES, 0, options, {}));
    await write(hub);
  }
  const subscribe = { collections: SHARED_COLLECTIONS, prefixes: [SITES_PREFIX], mirrors: false };
  for (const [i, { name }] of options.sites.entries()) {
    if (clusters.some((cluster) => cluster.name === name)) continue;
    const parent = { token: await tokenFor(path.join(folder, HUB), name), subscribe };
    await write(recordOf(folder, await create(folder, name, GATEWAYS, i + 1, options, { parent, page: options.page })));
  }
  return [HUB, ...options.sites.map(({ name }) => name)].flatMap((name) => clusters.filter((c) => c.name === name));
}

/** The hub lets it in when it comes. */
async function tokenFor(directory: string, site: string): Promise<SiteToken> {
  const [token = ""] = await siteTokens({ directory, count: 1, site, approved: true, members: null });
  return parseSiteToken(token);
}

async function create(
  folder: string,
  cluster: string,
  nodes: number,
  place: number,
  options: FolderOptions,
  rest: Pick<Parameters<typeof initCluster>[0], "parent" | "page">,
): Promise<InitialCluster> {
  const directory = path.join(folder, cluster);
  // Begun by an earlier run that did not get to writing it down.
  await fs.rm(directory, { recursive: true, force: true });
  const wanted = Object.values(FIRST_PORT).flatMap((first) =>
    Array.from({ length: nodes }, (_, i) =>
      options.ports === "any" ? null : first + place * PORTS_PER_CLUSTER + i + 1,
    ),
  );
  const ports = await freePorts(wanted);
  const [httpPorts = [], p2pPorts = [], wsPorts = []] = [0, 1, 2].map((i) => ports.slice(i * nodes, (i + 1) * nodes));
  return initCluster({ directory, cluster, nodes, host: HOST, httpPorts, p2pPorts, wsPorts, ...rest });
}

/** Paths relative to the folder, so that it may be moved. */
const recordOf = (folder: string, { cluster, clusterKey, nodes }: InitialCluster): ClusterRecord => ({
  name: cluster,
  clusterKey,
  nodes: nodes.map(({ node, config, http, addresses }) => ({
    name: node,
    config: path.relative(folder, config),
    http,
    addresses: [...addresses],
  })),
});

async function claim(folder: string, fresh: boolean): Promise<void> {
  const names = await fs.readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw new Refusal(`The fleet's folder cannot be read: ${error.message}`);
  });
  if (names.length > 0 && !names.includes(FILE)) {
    throw new Refusal(
      `${folder} holds something else than a fleet (no ${FILE}); it is left alone. Name another folder.`,
    );
  }
  if (fresh) await fs.rm(folder, { recursive: true, force: true });
  await fs.mkdir(folder, { recursive: true });
  if (fresh || names.length === 0) await writeRecord(folder, []);
}

async function readRecord(folder: string): Promise<readonly ClusterRecord[]> {
  const file = path.join(folder, FILE);
  try {
    return fleetRecord.parse(JSON.parse(await fs.readFile(file, "utf8"))).clusters;
  } catch {
    throw new Refusal(
      `${file} is damaged, or of another version. Start over with --fresh; that wipes the fleet's data.`,
    );
  }
}

async function writeRecord(folder: string, clusters: readonly ClusterRecord[]): Promise<void> {
  const file = path.join(folder, FILE);
  await fs.writeFile(`${file}.next`, `${JSON.stringify({ version: 1, clusters }, null, 2)}\n`);
  await fs.rename(`${file}.next`, file);
}

/** Gives other ports to whoever's are taken, in every configuration that names them. */
async function movedFromTakenPorts(
  folder: string,
  clusters: readonly ClusterRecord[],
): Promise<readonly ClusterRecord[]> {
  const ports = [...new Set([...JSON.stringify(clusters).matchAll(PORT)].map((match) => Number(match[2])))];
  const now = await freePorts(ports);
  const moved = new Map(ports.flatMap((port, i) => (now[i] === port ? [] : [[port, now[i] ?? port] as const])));
  if (moved.size === 0) return clusters;
  const rewrite = (text: string): string =>
    text.replaceAll(PORT, (whole, before: string, port: string) =>
      moved.has(Number(port)) ? `${before}${moved.get(Number(port))}` : whole,
    );
  for (const { nodes } of clusters) {
    for (const { config } of nodes) {
      const file = path.join(folder, config);
      await fs.writeFile(`${file}.next`, rewrite(await fs.readFile(file, "utf8")));
      await fs.rename(`${file}.next`, file);
    }
  }
  const after = fleetRecord.shape.clusters.parse(JSON.parse(rewrite(JSON.stringify(clusters))));
  await writeRecord(folder, after);
  return after;
}

/** A port of ours in a multiaddr, a URL or the YAML field. */
const PORT = new RegExp(`(/tcp/|port: |//${HOST.replaceAll(".", "\\.")}:)(\\d+)\\b`, "g");
