/** The hub: a node whose children are sites, with the fleet's routes on top of its API. */
import type { NodeConfig } from "@openclaw/edge-runtime/config.ts";
import { type RunningNode, startNode } from "@openclaw/edge-runtime/node.ts";
import { hubRoutes } from "./routes.ts";

export type { SiteMemberRow, SiteRow } from "./sites.ts";

/** Starts a node of a hub. @throws OpenClawError as `startNode`, and CONFIG_INVALID when `page` is configured */
export const startHub = (config: NodeConfig): Promise<RunningNode> => startNode(config, { extend: hubRoutes });
