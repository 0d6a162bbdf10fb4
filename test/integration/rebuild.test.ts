/** A site and its hub as real processes: the site is lost with every disk, and made again from the hub (S6, L3, L7). */
import { randomInt } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import type { NodeProcess } from "@openclaw/demo/node-process.ts";
import { expect, test } from "vitest";
import { z } from "zod";
import { openclaw, refusal, type Where } from "./command.ts";
import { temporaryFolder } from "./site.ts";
import {
  below,
  call,
  layOut,
  parentPlan,
  portOptions,
  processOf,
  SITE,
  shipped,
  start,
  type Tier,
} from "./two-tiers.ts";

const WRITES = 120;
const TEST_MS = 600_000;

const Hashed = z.object({ state: z.object({ content: z.object({ hash: z.string() }), revision: z.number() }) });
const Status = z.object({ revision: z.number(), epochCounter: z.number() });
const Uplink = z.object({ parent: z.object({ failure: z.string().nullable() }) });
const Rebuilt = z.object({
  revision: z.number(),
  contentHash: z.string(),
  bodies: z.number(),
  lacking: z.record(z.string(), z.number()),
  epoch: z.object({ counter: z.number() }),
  node: z.object({ config: z.string(), http: z.string() }),
});

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

async function rebuilt(where: Where, command: readonly string[]): Promise<z.infer<typeof Rebuilt>> {
  return Rebuilt.parse(JSON.parse(await openclaw(where, ...command, ...(await portOptions()), "--json")));
}

async function startBelow(folder: string, { node }: z.infer<typeof Rebuilt>, hub: Tier): Promise<NodeProcess> {
  await below(node.config, hub);
  const own = processOf(folder, "site", node);
  await start(own);
  return own;
}

const setting = (text: string) => ({ ops: [{ op: "put", path: [text], value: text }] });
const document = (http: string): Promise<unknown> => call(http, "GET", "/v1/docs/notes/shared").catch(() => null);

test(
  "S6, L3: a site whose boxes are all gone is rebuilt as it was at the last shipped revision, and ships on, exactly once",
  async () => {
    const folder = await temporaryFolder();
    const hub = await layOut(folder, "hub", 1);
    const site = await layOut(folder, SITE, 1, await parentPlan(hub));
    const [hubNode, siteNode] = [hub.nodes[0], site.nodes[0]];
    if (hubNode === undefined || siteNode === undefined) throw new Error("a node of each");
    const lost = processOf(folder, "site", siteNode);
    await start(processOf(folder, "hub", hubNode), lost);
    const [hubHttp, siteHttp] = [hubNode.http, siteNode.http];
    for (let at = 1; at <= WRITES; at++) await write(siteHttp, at);
    const { state: live } = Hashed.parse(await call(siteHttp, "GET", "/v1/status?hash=true"));
    await shipped(hubHttp, live.revision);

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

    await lost.kill();
    // Somebody still has an old disk.
    await fs.cp(path.join(folder, SITE), path.join(folder, "old"), { recursive: true });
    await fs.rm(path.join(folder, SITE), { recursive: true });
    await expect
      .poll(async () => JSON.stringify(await call(hubHttp, "GET", "/v1/sites")), { timeout: 60_000 })
      .toMatch(/"connected":false/);
    expect(await openclaw(where, ...rebuild, "--dry-run")).toMatch(/would rebuild california at revision/);
    const done = await rebuilt(where, [...rebuild, ...into]);
    expect(done).toMatchObject({ revision: live.revision, bodies: live.revision, lacking: {} });
    expect(done.contentHash).toBe(live.content.hash);

    // It goes on where it was, to the same hub, under its new epoch.
    const again = await startBelow(folder, done, hub);
    for (let at = 1; at <= 20; at++) await write(done.node.http, at);
    const { revision, epochCounter } = Status.parse(await call(done.node.http, "GET", "/v1/status"));
    expect(epochCounter).toBe(2);
    await shipped(hubHttp, revision);
    expect(await openclaw(where, "site", "verify", SITE, "--site", done.node.http)).toMatch(
      new RegExp(`revisions 1 to ${revision} are the same at both ends \\(${revision} as bodies\\)`),
    );

    // The old disk comes back: the hub takes nothing of it, and what was shipped since stays.
    const old = processOf(folder, "site", {
      config: siteNode.config.replace(`/${SITE}/`, "/old/"),
      http: siteHttp,
    });
    await start(old);
    await call(siteHttp, "PUT", "/v1/kv/zombie", "1");
    await expect
      .poll(async () => Uplink.parse(await call(siteHttp, "GET", "/v1/status")).parent.failure ?? "", {
        timeout: 60_000,
      })
      .toMatch(/epoch 2 is followed|another epoch/);
    await call(done.node.http, "PUT", "/v1/kv/after", "1");
    await shipped(hubHttp, revision + 1);
    expect(await openclaw(where, "site", "verify", SITE, "--site", done.node.http)).toMatch(/are the same/);
    await expect(call(hubHttp, "GET", `/v1/kv/zombie?origin=${SITE}`)).rejects.toThrow(/NOT_FOUND/);
    await old.kill();

    // Lost again, now with what came from the hub in between: that has no body there, and comes again over the link.
    const field = (at: string, text: string) => call(at, "POST", "/v1/docs/notes/shared", setting(text));
    await field(hubHttp, "hub");
    await expect.poll(() => document(done.node.http), { timeout: 60_000 }).toMatchObject({ document: { hub: "hub" } });
    await field(done.node.http, "site");
    await call(done.node.http, "PUT", "/v1/kv/last", "1");
    const { revision: end } = Status.parse(await call(done.node.http, "GET", "/v1/status"));
    await shipped(hubHttp, end);
    await again.kill();
    await fs.rm(path.join(folder, "again"), { recursive: true });
    const twice = ["--beside-live", "--data", path.join(folder, "twice"), "--key", key];
    const second = await rebuilt(where, [...rebuild, ...twice]);
    expect(second).toMatchObject({ revision: end, bodies: end - 1, lacking: { skipped: 1 }, epoch: { counter: 3 } });
    await startBelow(folder, second, hub);
    await expect
      .poll(() => document(second.node.http), { timeout: 60_000 })
      .toMatchObject({ document: { hub: "hub", site: "site" } });
    expect(await document(second.node.http)).toEqual(await document(hubHttp));
    expect(await openclaw(where, "site", "verify", SITE, "--site", second.node.http)).toMatch(/are the same/);
  },
  TEST_MS,
);
