/** A hub and a site of it as real processes on loopback, in one folder that is gone when the test is over. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import { type ClusterPlan, type InitialCluster, initCluster } from "@openclaw/edge-runtime/init.ts";
import { joinParent } from "@openclaw/edge-runtime/join-parent.ts";
import { parseSiteToken } from "@openclaw/edge-runtime/site-token.ts";
import { expect, onTestFinished } from "vitest";
import { z } from "zod";
import { OPENCLAW } from "./site.ts";

const HUB_PROGRAM = fileURLToPath(new URL("../../hub/cli.ts", import.meta.url));
const WAIT_MS = 60_000;

export const SITE = "california";

const Status = z.looseObject({ revision: z.number(), epochCounter: z.number(), notes: z.array(z.string()) });
const Sites = z.array(z.object({ cluster: z.string(), cursor: z.number() }));
const Rows = z.object({ rows: z.array(z.object({ key: z.string().nullable(), value: z.string() })) });

export async function call(http: string, method: string, route: string, body?: unknown): Promise<unknown> {
  const headers = { "content-type": typeof body === "string" ? "application/octet-stream" : "application/json" };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${http}${route}`, { method, ...(body === undefined ? {} : { body: text, headers }) });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${route}: ${answer}`);
  return answer === "" ? null : JSON.parse(answer);
}

export const put = (http: string, key: string, value: string): Promise<unknown> =>
  call(http, "PUT", `/v1/kv/${encodeURIComponent(key)}`, value);

export const statusOf = async (http: string): Promise<z.infer<typeof Status>> =>
  Status.parse(await call(http, "GET", "/v1/status"));

export async function keysOf(http: string, origin: string | null): Promise<Record<string, string>> {
  const from = origin === null ? "" : `&origin=${origin}`;
  const { rows } = Rows.parse(await call(http, "GET", `/v1/kv?prefix=&consistency=linearizable${from}`));
  return Object.fromEntries(rows.map(({ key, value }) => [key ?? "", Buffer.from(value, "base64").toString()]));
}

export async function cursorOf(hub: string): Promise<number> {
  const sites = Sites.parse(await call(hub, "GET", "/v1/sites"));
  return sites.find(({ cluster }) => cluster === SITE)?.cursor ?? 0;
}

/** Up to there at least: what the site takes from its hub meanwhile are revisions of its own, and pass by, too. */
export const shipped = (hub: string, revision: number): Promise<void> =>
  expect.poll(() => cursorOf(hub).catch(() => -1), { timeout: WAIT_MS }).toBeGreaterThanOrEqual(revision);

/** Some node of it says so. */
export const notes = (http: string, text: RegExp): Promise<void> =>
  expect
    .poll(
      async () =>
        statusOf(http).then(
          (status) => status.notes.join("\n"),
          (error: unknown) => String(error),
        ),
      { timeout: WAIT_MS },
    )
    .toMatch(text);

type Parent = NonNullable<ClusterPlan["parent"]>;

export interface Tier extends InitialCluster {
  readonly directory: string;
}

export async function layOut(folder: string, cluster: string, nodes: number, parent?: Parent): Promise<Tier> {
  const ports = await freePorts(Array.from({ length: 3 * nodes }, () => null));
  const [httpPorts = [], p2pPorts = [], wsPorts = []] = [0, 1, 2].map((i) => ports.slice(i * nodes, (i + 1) * nodes));
  const directory = path.join(folder, cluster);
  const plan = { directory, cluster, nodes, host: "127.0.0.1", httpPorts, p2pPorts, wsPorts };
  return { ...(await initCluster(parent === undefined ? plan : { ...plan, parent })), directory };
}

/** With a token that lets one cluster come below the hub in this folder. */
export async function parentPlan({ directory }: Pick<Tier, "directory">): Promise<Parent> {
  const [token = ""] = await siteTokens({ directory, count: 1, site: null, approved: true, members: null });
  return {
    token: await parseSiteToken(token),
    subscribe: { collections: ["notes"], prefixes: ["config/"], mirrors: false },
  };
}

/** As `sync join` puts a node below another hub. */
export async function below(config: string, hub: Pick<Tier, "directory">): Promise<void> {
  await joinParent({ directory: path.dirname(config), ...(await parentPlan(hub)) });
}

type Startable = InitialCluster["nodes"][number];

export function processOf(folder: string, kind: "hub" | "site", { config, http }: Pick<Startable, "config" | "http">) {
  const args = [kind === "hub" ? HUB_PROGRAM : OPENCLAW, "node", "start", "--config", config];
  const observer = { report: () => {}, started: () => {} };
  const logFile = path.join(folder, `${path.basename(path.dirname(config))}.log`);
  const own = new NodeProcess({ name: path.basename(path.dirname(config)), args, http, logFile }, observer);
  onTestFinished(() => own.kill());
  return own;
}

export async function start(...all: readonly NodeProcess[]): Promise<void> {
  for (const one of all) one.start();
  await Promise.all(all.map((one) => one.ready()));
}

/** The option for each kind of port, and free ones. */
export async function portOptions(): Promise<readonly string[]> {
  const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
  return ["--http-port", String(http), "--p2p-port", String(p2p), "--ws-port", String(ws)];
}
