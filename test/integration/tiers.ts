/** Clusters above one another, as real processes: a hub, and what comes below it by token. */
import path from "node:path";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import type { Subscribed } from "@openclaw/edge-runtime/parent-configuration.ts";
import { parseSiteToken, type SiteToken } from "@openclaw/edge-runtime/site-token.ts";
import { layOutSite, OPENCLAW, OPENCLAW_HUB, type SiteNode } from "./site.ts";

export interface Tier {
  readonly cluster: string;
  /** With its key. */
  readonly directory: string;
  readonly nodes: readonly SiteNode[];
  /** Base URL of its first node. */
  readonly http: string;
}

export interface TierPlan {
  readonly cluster: string;
  readonly nodes?: number;
  readonly kind: "hub" | "site";
  readonly parent?: { readonly token: SiteToken; readonly subscribe: Subscribed };
}

/** A running cluster; resolves when every node is ready. */
export async function startTier({ cluster, nodes: size = 1, kind, parent }: TierPlan): Promise<Tier> {
  const nodes = await layOutSite(size, cluster, kind === "hub" ? OPENCLAW_HUB : OPENCLAW, parent);
  for (const { process } of nodes) process.start();
  await Promise.all(nodes.map(({ process }) => process.ready()));
  const [first] = nodes;
  if (first === undefined) throw new Error("a tier without nodes");
  return { cluster, directory: path.dirname(path.dirname(first.config)), nodes, http: first.http };
}

/** A token that lets one cluster come below this one. */
export async function tokenOf(above: Tier, grant: "approved" | "pending" = "approved"): Promise<SiteToken> {
  const approved = grant === "approved";
  const [token = ""] = await siteTokens({ directory: above.directory, count: 1, site: null, approved, members: null });
  return parseSiteToken(token);
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a test expects of it is what it is
  readonly body: any;
}

export async function ask(http: string, method: string, route: string, body?: string): Promise<Answer> {
  const response = await fetch(`${http}${route}`, { method, ...(body === undefined ? {} : { body }) });
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text };
}
