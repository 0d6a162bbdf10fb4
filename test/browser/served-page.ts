/**
 * A built page that real gateways serve, and the devices that open it: one node in this process, or a site of three processes
 * where some are to be killed. Whatever was begun is ended by `stop`, and also where the beginning fails.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { type ClusterPlan, initCluster } from "@openclaw/edge-runtime/init.ts";
import { type RunningNode, startNode } from "@openclaw/edge-runtime/node.ts";
import type { BrowserContext } from "playwright";
import { buildPage } from "../../demo/build-page.ts";
import { type Cluster, Fleet } from "../../demo/fleet.ts";
import { freePorts } from "../../demo/ports.ts";
import { launchChromium } from "./chromium.ts";

export interface Device {
  readonly context: BrowserContext;
  /** Its folder. */
  readonly profile: string;
}

export interface ServedPage {
  /** For what a test keeps beside it. */
  readonly folder: string;
  /** Another one at each call. */
  device(serviceWorkers?: "allow" | "block", flags?: readonly string[]): Promise<Device>;
  stop(): Promise<void>;
}

export interface PageAtNode extends ServedPage {
  readonly node: RunningNode;
  /** Where clients reach it. */
  readonly gateways: readonly string[];
}

export interface PageAtSite extends ServedPage {
  readonly site: Cluster;
}

type Undo = (() => Promise<unknown>)[];

/** @param build puts the page together, in that folder or where it has its own place */
export const pageAtNode = (
  build: (folder: string) => Promise<string>,
  plan: Pick<ClusterPlan, "tls"> = {},
): Promise<PageAtNode> =>
  served(async (folder, undo) => {
    const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
    const { nodes } = await initCluster({
      directory: join(folder, "shop"),
      cluster: "shop",
      nodes: 1,
      host: "127.0.0.1",
      httpPorts: [http],
      p2pPorts: [p2p],
      wsPorts: [ws],
      page: await build(join(folder, "page")),
      logLevel: "silent",
      ...plan,
    });
    const [made] = nodes;
    if (made === undefined) throw new Error("one node was laid out");
    const node = await startNode(await loadConfig(made.config));
    undo.push(() => node.stop());
    return { node, gateways: made.addresses };
  });

/** The demo's page, at a site below a hub. */
export const pageAtSite = (): Promise<PageAtSite> =>
  served(async (folder, undo) => {
    const fleet = await Fleet.open({
      folder: join(folder, "fleet"),
      page: await buildPage(),
      ports: "any",
      fresh: true,
      sites: [{ name: "california", networks: ["ci"] }],
      report: () => undefined,
    });
    undo.push(() => fleet.stop());
    await fleet.start();
    return { site: fleet.site("california") };
  });

async function served<T>(begin: (folder: string, undo: Undo) => Promise<T>): Promise<T & ServedPage> {
  const folder = await mkdtemp(join(tmpdir(), "openclaw-page-"));
  const undo: Undo = [() => rm(folder, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  const device: ServedPage["device"] = async (...options) => {
    const profile = await mkdtemp(join(folder, "profile-"));
    const context = await launchChromium(profile, ...options);
    undo.push(() => context.close());
    return { context, profile };
  };
  try {
    return { ...(await begin(folder, undo)), folder, device, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
