/** A site and its hub as real processes: the site is lost with every disk, and made again from the hub (S6, L3, L7). */
import { randomInt } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { enrolChild, type InitialCluster, initCluster, type ParentPlan } from "@openclaw/edge-runtime/init.ts";
import { expect, onTestFinished, test } from "vitest";
import { parseDocument } from "yaml";
import { z } from "zod";
import { openclaw, refusal, type Where } from "./command.ts";
import { OPENCLAW, temporaryFolder } from "./site.ts";

const HUB_PROGRAM = fileURLToPath(new URL("../../hub/cli.ts", import.meta.url));
const SITE = "california";
const WRITES = 120;
const TEST_MS = 300_000;

const Hashed = z.object({ state: z.object({ content: z.object({ hash: z.string() }), revision: z.number() }) });
const Status = z.object({ revision: z.number(), epochCounter: z.number() });
const Uplink = z.object({ parent: z.object({ failure: z.string().nullable() }) });
const Sites = z.array(z.object({ cluster: z.string(), cursor: z.number() }));
const Rebuilt = z.object({
  revision: z.number(),
  contentHash: z.string(),
  bodies: z.number(),
  lacking: z.record(z.string(), z.number()),
  epoch: z.object({ counter: z.number() }),
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

/** @param ports three of them */
function layOut(
  folder: string,
  cluster: string,
  ports: readonly number[],
  parent?: ParentPlan,
): Promise<InitialCluster> {
  const [http = 0, p2p = 0, ws = 0] = ports;
  const ofPorts = { httpPorts: [http], p2pPorts: [p2p], wsPorts: [ws] };
  const plan = { directory: path.join(folder, cluster), cluster, nodes: 1, host: "127.0.0.1", ...ofPorts };
  return initCluster(parent === undefined ? plan : { ...plan, parent });
}

/** As an operator does with `sync join`. */
async function belowHub(file: string, parent: ParentPlan): Promise<void> {
  const document = parseDocument(await fs.readFile(file, "utf8"));
  document.set("parent", document.createNode(parent));
  await fs.writeFile(file, document.toString());
}

async function rebuilt(where: Where, command: readonly string[], ports: readonly number[]) {
  const [http, p2p, ws] = ports.map(String);
  const at = ["--http-port", http ?? "", "--p2p-port", p2p ?? "", "--ws-port", ws ?? ""];
  return Rebuilt.parse(JSON.parse(await openclaw(where, ...command, ...at, "--json")));
}

async function startBelow(folder: string, { node }: z.infer<typeof Rebuilt>, parent: ParentPlan): Promise<NodeProcess> {
  await belowHub(node.config, parent);
  const name = path.basename(path.dirname(path.dirname(node.config)));
  const [own] = processes(folder, OPENCLAW, { nodes: [{ ...node, node: name, peer: "", addresses: [] }] });
  if (own === undefined) throw new Error("a node");
  await start([own]);
  return own;
}

const setting = (text: string) => ({ ops: [{ op: "put", path: [text], value: text }] });
const document = (http: string): Promise<unknown> => call(http, "GET", "/v1/docs/notes/shared").catch(() => null);

async function cursor(hub: string): Promise<number> {
  const sites = Sites.parse(await call(hub, "GET", "/v1/sites"));
  return sites.find(({ cluster }) => cluster === SITE)?.cursor ?? 0;
}

test(
  "S6, L3: a site whose boxes are all gone is rebuilt as it was at the last shipped revision, and ships on, exactly once",
  async () => {
    const folder = await temporaryFolder();
    const ports = await freePorts(Array.from({ length: 12 }, () => null));
    const hub = await layOut(folder, "hub", ports.slice(0, 3));
    const parent: ParentPlan = {
      cluster: "hub",
      clusterKey: hub.clusterKey,
      addresses: hub.nodes.flatMap(({ addresses }) => addresses.filter((address) => !address.includes("/ws/"))),
      subscribe: { collections: ["notes"], prefixes: [], mirrors: false },
    };
    const site = await layOut(folder, SITE, ports.slice(3, 6), parent);
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
    // Somebody still has an old disk.
    await fs.cp(path.join(folder, SITE), path.join(folder, "old"), { recursive: true });
    await fs.rm(path.join(folder, SITE), { recursive: true });
    await expect
      .poll(async () => JSON.stringify(await call(hubHttp, "GET", "/v1/sites")), { timeout: 60_000 })
      .toMatch(/"connected":false/);
    expect(await openclaw(where, ...rebuild, "--dry-run")).toMatch(/would rebuild california at revision/);
    const done = await rebuilt(where, [...rebuild, ...into], ports.slice(6, 9));
    expect(done).toMatchObject({ revision: live.revision, bodies: live.revision, lacking: {} });
    expect(done.contentHash).toBe(live.content.hash);

    // It goes on where it was, to the same hub, under its new epoch.
    const again = await startBelow(folder, done, parent);
    for (let at = 1; at <= 20; at++) await write(done.node.http, at);
    const { revision, epochCounter } = Status.parse(await call(done.node.http, "GET", "/v1/status"));
    expect(epochCounter).toBe(2);
    await expect.poll(() => cursor(hubHttp), { timeout: 30_000 }).toBe(revision);
    expect(await openclaw(where, "site", "verify", SITE, "--site", done.node.http)).toMatch(
      new RegExp(`revisions 1 to ${revision} are the same at both ends \\(${revision} as bodies\\)`),
    );

    // The old disk comes back: the hub takes nothing of it, and what was shipped since stays.
    const { nodes } = site;
    const config = nodes.map((node) => ({ ...node, config: node.config.replace(`/${SITE}/`, "/old/") }));
    const [old] = processes(folder, OPENCLAW, { nodes: config });
    if (old === undefined) throw new Error("a node");
    await start([old]);
    await call(siteHttp, "PUT", "/v1/kv/zombie", "1");
    await expect
      .poll(async () => Uplink.parse(await call(siteHttp, "GET", "/v1/status")).parent.failure ?? "", {
        timeout: 30_000,
      })
      .toMatch(/epoch 2 is followed|another epoch/);
    await call(done.node.http, "PUT", "/v1/kv/after", "1");
    await expect.poll(() => cursor(hubHttp), { timeout: 30_000 }).toBe(revision + 1);
    expect(await openclaw(where, "site", "verify", SITE, "--site", done.node.http)).toMatch(/are the same/);
    await expect(call(hubHttp, "GET", `/v1/kv/zombie?origin=${SITE}`)).rejects.toThrow(/NOT_FOUND/);
    await old.kill();

    // Lost again, now with what came from the hub in between: that has no body there, and comes again over the link.
    const field = (at: string, text: string) => call(at, "POST", "/v1/docs/notes/shared", setting(text));
    await field(hubHttp, "hub");
    await expect.poll(() => document(done.node.http), { timeout: 30_000 }).toMatchObject({ document: { hub: "hub" } });
    await field(done.node.http, "site");
    await call(done.node.http, "PUT", "/v1/kv/last", "1");
    const { revision: end } = Status.parse(await call(done.node.http, "GET", "/v1/status"));
    await expect.poll(() => cursor(hubHttp), { timeout: 30_000 }).toBe(end);
    await again.kill();
    await fs.rm(path.join(folder, "again"), { recursive: true });
    const twice = ["--beside-live", "--data", path.join(folder, "twice"), "--key", key];
    const second = await rebuilt(where, [...rebuild, ...twice], ports.slice(9));
    expect(second).toMatchObject({ revision: end, bodies: end - 1, lacking: { skipped: 1 }, epoch: { counter: 3 } });
    await startBelow(folder, second, parent);
    await expect
      .poll(() => document(second.node.http), { timeout: 30_000 })
      .toMatchObject({ document: { hub: "hub", site: "site" } });
    expect(await document(second.node.http)).toEqual(await document(hubHttp));
    expect(await openclaw(where, "site", "verify", SITE, "--site", second.node.http)).toMatch(/are the same/);
  },
  TEST_MS,
);
