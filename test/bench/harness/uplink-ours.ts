/** Our side: a site of one node and a hub of one node, each a process, the hub dialled through the cable. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "@openclaw/demo/ports.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import { type InitialNode, initCluster } from "@openclaw/edge-runtime/init.ts";
import { parseSiteToken } from "@openclaw/edge-runtime/site-token.ts";
import { HttpClient } from "./http.ts";
import { Relay } from "./relay.ts";
import { PROGRAM } from "./site.ts";
import { until } from "./until.ts";
import type { UplinkPair } from "./uplink-pair.ts";
import type { Workbench } from "./workbench.ts";

/** Loaded before the node's own program, in each of its threads. */
const NO_FSYNC = fileURLToPath(new URL("./no-fsync.mjs", import.meta.url));
const HUB = "bench-hub";
const SITE = "bench-site";
const PREFIX = "events/";

/** @param fsync false: the disk is asked for nothing before something is acknowledged, as is NATS's habit */
export async function startOurPair(workbench: Workbench, fsync: boolean): Promise<UplinkPair> {
  const folder = workbench.folder();
  const flags = fsync ? [] : ["--import", NO_FSYNC];
  const hub = await laidOut(folder, HUB);
  const [address = ""] = hub.node.addresses;
  const [, , , , port, , peer] = address.split("/");
  const cable = await Relay.open(Number(port));
  const grant = { directory: path.join(folder, HUB), count: 1, site: SITE, approved: true, members: null };
  const [text = ""] = await siteTokens(grant);
  const parent = {
    token: { ...(await parseSiteToken(text)), addresses: [`/ip4/127.0.0.1/tcp/${cable.port}/p2p/${peer}`] },
    subscribe: { collections: [], prefixes: [], mirrors: false },
  };
  const site = await laidOut(folder, SITE, parent);
  for (const { node, config } of [hub.node, site.node]) {
    const args = [...process.execArgv, ...flags, PROGRAM, "node", "start", "--config", config];
    workbench.process(process.execPath, args, path.join(folder, `${node}.log`)).start();
  }
  for (const { http } of [hub.node, site.node]) await until(async () => (await fetch(`${http}/readyz`)).ok);

  const client = await openClaw({ gateways: site.node.addresses });
  const asking = new HttpClient(hub.node.http, 2);
  const atHub = async (): Promise<number> => {
    const status: unknown = JSON.parse(String(await asking.ask({ method: "GET", path: "/v1/status" })));
    if (typeof status !== "object" || status === null || !("revision" in status)) throw new Error("no revision");
    return Number(status.revision);
  };
  return {
    name: fsync ? "ours" : "oursNoFsync",
    cable,
    writer: {
      // `site` resolves when a majority of the site, here the one node, has it on disk.
      write: async (event, value) => void (await client.kv.put(`${PREFIX}${event}`, value).site),
      close: () => client.stop(),
    },
    atHub,
    watch: (heard) =>
      asking.lines({ method: "GET", path: `/v1/watch?prefix=${encodeURIComponent(PREFIX)}&origin=${SITE}` }, (line) => {
        const event = line.startsWith("data: ") ? /"key":"events\/(\d+)"/.exec(line)?.[1] : undefined;
        if (event !== undefined) heard(Number(event));
      }),
    close: async () => asking.close(),
  };
}

async function laidOut(
  folder: string,
  cluster: string,
  parent?: Parameters<typeof initCluster>[0]["parent"],
): Promise<{ readonly clusterKey: string; readonly node: InitialNode }> {
  const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
  const { clusterKey, nodes } = await initCluster({
    directory: path.join(folder, cluster),
    cluster,
    nodes: 1,
    host: "127.0.0.1",
    httpPorts: [http],
    p2pPorts: [p2p],
    wsPorts: [ws],
    logLevel: "warn",
    ...(parent === undefined ? {} : { parent }),
  });
  const [node] = nodes;
  if (node === undefined) throw new Error("a cluster of one has a node");
  return { clusterKey, node };
}
