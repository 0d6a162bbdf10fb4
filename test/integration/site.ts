/** A real site on loopback: nodes as processes of their own, in a temporary folder, gone when the test is over. */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { type ClusterPlan, initCluster } from "@openclaw/edge-runtime/init.ts";
import { onTestFinished } from "vitest";

export const OPENCLAW_HUB: string = fileURLToPath(new URL("../../hub/cli.ts", import.meta.url));
export const OPENCLAW: string = fileURLToPath(new URL("../../edge-runtime/cli/openclaw.ts", import.meta.url));

export interface SiteNode {
  readonly node: string;
  readonly config: string;
  readonly http: string;
  /** Multiaddrs with /p2p, TCP first. */
  readonly addresses: readonly string[];
  readonly process: NodeProcess;
}

export async function temporaryFolder(): Promise<string> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-site-"));
  onTestFinished(() => fs.rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Configurations and processes of a site's nodes; none is started. */
export async function layOutSite(
  size: number,
  cluster = "shop",
  program: string = OPENCLAW,
  parent?: ClusterPlan["parent"],
): Promise<readonly SiteNode[]> {
  const folder = await temporaryFolder();
  const ports = await freePorts(Array.from({ length: 3 * size }, () => null));
  const [httpPorts, p2pPorts, wsPorts] = [0, 1, 2].map((kind) => ports.slice(kind * size, (kind + 1) * size));
  const plan = { directory: path.join(folder, cluster), cluster, nodes: size, host: "127.0.0.1" };
  const made = await initCluster({
    ...plan,
    httpPorts: httpPorts ?? [],
    p2pPorts: p2pPorts ?? [],
    wsPorts: wsPorts ?? [],
    ...(parent === undefined ? {} : { parent }),
  });
  return made.nodes.map(({ node, config, http, addresses }) => {
    const args = [program, "node", "start", "--config", config];
    const observer = { report: () => {}, started: () => {} };
    const own = new NodeProcess({ name: node, args, http, logFile: path.join(folder, `${node}.log`) }, observer);
    onTestFinished(() => own.kill());
    return { node, config, http, addresses, process: own };
  });
}

/** A running site; resolves when every node is ready. */
export async function startSite(size: number, cluster?: string): Promise<readonly SiteNode[]> {
  const nodes = await layOutSite(size, cluster);
  for (const { process } of nodes) process.start();
  await Promise.all(nodes.map(({ process }) => process.ready()));
  return nodes;
}
