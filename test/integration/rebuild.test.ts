/** A site and its hub as real processes: the site is lost with every disk, and made again from the hub (S6, L3, L7). */
import { randomInt } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { enrolChild, type InitialCluster, initCluster, type ParentPlan } from "@openclaw/edge-runtime/init.ts";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { openclaw, refusal, type Where } from "./command.ts";
import { OPENCLAW, temporaryFolder } from "./site.ts";

const HUB_PROGRAM = fileURLToPath(new URL("../../hub/cli.ts", import.meta.url));
const SITE = "california";
const WRITES = 120;
const TEST_MS = 300_000;

const Hashed = z.object({ state: z.object({ content: z.object({ hash: z.string() }), revision: z.number() }) });
const Sites = z.array(z.object({ cluster: z.string(), cursor: z.number() }));
const Rebuilt = z.object({
  revision: z.number(),
  contentHash: z.string(),
  bodies: z.number(),
  lacking: z.record(z.string(), z.number()),
  node: z.object({ config: z.string(), http: z.string() }),
});

async function call(http: string, method: string, route: string, body?: unknown): Promise<unknown> {
  const headers = { "content-type": typeof body === "string" ? "application/octet-stream" : "application/json" };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${http}${route}`, { method, ...(body === undefined ? {} : { body: text, headers }) });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${route}: ${answer}`);
  return answer === "" ? null : JSON.parse(answer);
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

async function write(http: string, at: number): Promise<void> {
  const key = `k/${randomInt(9)}`;
  const put = (name: string) => ({ op: "put", key: base64(name), value: base64(`v${at}`) });
  switch (randomInt(5)) {
    case 0:
      await call(http, "POST", "/v1/txn", {
        success: [put(`${key}/a`), put(`${key}/b`), { op: "deleteRange", key: base64(`${key}/c`) }],
      });
      return;
    case 1:
      await call(http, "DELETE", `/v1/kv/${encodeURIComponent(key)}`).catch(() => null);
      return;
    case 2: {
      const ops = [{ op: "put", path: [`field ${randomInt(5)}`], value: at }];
      await call(http, "POST", `/v1/docs/notes/${randomInt(3)}`, { ops });
      return;
    }
    default:
      await call(http, "PUT", `/v1/kv/${encodeURIComponent(key)}`, `value ${at}`);
  }
}

function processes(folder: string, program: string, { nodes }: Pick<InitialCluster, "nodes">): readonly NodeProcess[] {
  return nodes.map(({ node, config, http }) => {
    const args = [program, "node", "start", "--config", config];
    const observer = { report: () => {}, started: () => {} };
    const own = new NodeProcess({ name: node, args, http, logFile: path.join(folder, `${node}.log`) }, observer);
    onTestFinished(() => own.kill());
    return own;
  });
}

async function start(all: readonly NodeProcess[]): Promise<void> {
  for (const one of all) one.start();
  await Promise.all(all.map((one) => one.ready()));
}

async function layOut(folder: string, cluster: string, nodes: number, parent?: ParentPlan): Promise<InitialCluster> {
  const ports = await freePorts(Array.from({ length: 3 * nodes }, () => null));
  const [httpPorts = [], p2pPorts = [], wsPorts = []] = [0, 1, 2].map((i) => ports.slice(i * nodes, (i + 1) * nodes));
  const directory = path.join(folder, cluster);
  const plan = { directory, cluster, nodes, host: "127.0.0.1", httpPorts, p2pPorts, wsPorts };
  return initCluster(parent === undefined ? plan : { ...plan, parent });
}

async function cursor(hub: string): Promise<number> {
  const sites = Sites.parse(await call(hub, "GET", "/v1/sites"));
  return sites.find(({ cluster }) => cluster === SITE)?.cursor ?? 0;
}

test(
  "S6, L3: a site whose boxes are all gone is rebuilt as it was at the last shipped revision, and ships on, exactly once",
  async () => {
    const folder = await temporaryFolder();
    const hub = await layOut(folder, "hub", 1);
    const parent: ParentPlan = {
      cluster: "hub",
      clusterKey: hub.clusterKey,
      addresses: hub.nodes.flatMap(({ addresses }) => addresses.filter((address) => !address.includes("/ws/"))),
      subscribe: { collections: ["notes"], prefixes: [], mirrors: false },
    };
    const site = await layOut(folder, SITE, 2, parent);
    await enrolChild(path.join(folder, "hub"), { cluster: SITE, clusterKey: site.clusterKey });
    const hubNodes = processes(folder, HUB_PROGRAM, hub);
    const siteNodes = processes(folder, OPENCLAW, site);
    await start([...hubNodes, ...siteNodes]);
    const hubHttp = hub.nodes[0]?.http ?? "";
    const siteHttp = site.nodes[0]?.http ?? "";
    for (let at = 1; at <= WRITES; at++) await write(siteHttp, at);
    const { state: live } = Hashed.parse(await call(siteHttp, "GET", "/v1/status?hash=true"));
    await expect.poll(() => cursor(hubHttp), { timeout: 30_000 }).toBe(live.revision);

    const where: Where = { cwd: folder, env: { OPENCLAW_ENDPOINT: hubHttp } };
    expect(await openclaw(where, "site", "verify", SITE, "--site", siteHttp)).toMatch(
      new RegExp(`revisions 1 to ${live.revision} are the same at both ends`),
    );
    const report: unknown = JSON.parse(await fs.readFile(path.join(folder, `${SITE}-verify.json`), "utf8"));
    expect(report).toMatchObject({ site: SITE, bodies: live.revision, difference: null });

    // While it has a link it is not lost.
    const rebuild = ["site", "rebuild", SITE, "--from", hubHttp];
    const key = path.join(folder, "cluster.key");
    await fs.copyFile(path.join(folder, SITE, "cluster.key"), key);
    const into = ["--data", path.join(folder, "again"), "--key", key];
    expect(await refusal(where, ...rebuild, ...into)).toMatch(/RESTORE_REFUSED/);

    for (const one of siteNodes) await one.kill();
    await fs.rm(path.join(folder, SITE), { recursive: true });
    await expect
      .poll(async () => JSON.stringify(await call(hubHttp, "GET", "/v1/sites")), { timeout: 60_000 })
      .toMatch(/"connected":false/);
    expect(await openclaw(where, ...rebuild, "--dry-run")).toMatch(/would rebuild california at revision/);
    const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
    const ports = ["--http-port", String(http), "--p2p-port", String(p2p), "--ws-port", String(ws)];
    const done = Rebuilt.parse(JSON.parse(await openclaw(where, ...rebuild, ...into, ...ports, "--json")));
    expect(done).toMatchObject({ revision: live.revision, bodies: live.revision, lacking: {} });
    expect(done.contentHash).toBe(live.content.hash);
  },
  TEST_MS,
);
