/** S4, S5 with real processes: a site and its hub that compact what the other one lacks, and a client of the site. */
import fs from "node:fs/promises";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { emptyNodeBytes } from "@openclaw/edge-runtime/storage/disk-use.ts";
import { expect, onTestFinished, test } from "vitest";
import { openclaw } from "./command.ts";
import { type SiteNode, startSite } from "./site.ts";
import { startTier, type Tier, tokenOf } from "./tiers.ts";

const TEST_MS = 600_000;
const POLL = { timeout: 60_000, interval: 200 };
const LOG_BYTES = 1_048_576;
const BUDGET = emptyNodeBytes(LOG_BYTES);
const LARGE = "x".repeat(1_000_000);
/** Of a megabyte each: three times what fits. */
const PUTS = 150;

interface Run {
  readonly from: number;
  readonly to: number;
}
interface Shed {
  readonly link: string | null;
  readonly revisions: number;
  readonly runs: readonly Run[];
}

/** A site of one node that takes `config/` from a hub of one, both running. */
async function siteAndHub(): Promise<{ site: Tier; hub: Tier }> {
  const hub = await startTier({ cluster: "hub", kind: "hub" });
  const subscribe = { prefixes: ["config/"], collections: [], mirrors: false };
  const site = await startTier({ cluster: "shop", kind: "site", parent: { token: await tokenOf(hub), subscribe } });
  return { site, hub };
}

const only = ({ nodes: [node] }: Tier): SiteNode => {
  if (node === undefined) throw new Error("one node");
  return node;
};
const kill = (tier: Tier): Promise<void> => only(tier).process.kill();
const start = async (tier: Tier): Promise<void> => {
  only(tier).process.start();
  await only(tier).process.ready();
};
const ask = (http: string, route: string, method = "GET", body?: string): Promise<Response> => {
  const json = route.startsWith("/v1/kv") ? {} : { headers: { "content-type": "application/json" } };
  return fetch(`${http}${route}`, { method, ...(body === undefined ? {} : { body, ...json }) });
};
const put = async (http: string, key: string, value: string): Promise<number> =>
  (await ask(http, `/v1/kv/${encodeURIComponent(key)}`, "PUT", value)).status;
const compact = async (http: string): Promise<void> => {
  const { revision } = (await (await ask(http, "/v1/status")).json()) as { revision: number };
  expect((await ask(http, "/v1/compact", "POST", JSON.stringify({ revision }))).status).toBe(200);
};

/** Keys with what their rows say, but for large values. */
async function rows(http: string, origin = "", prefix = ""): Promise<string[]> {
  const answer = await ask(http, `/v1/kv?prefix=${encodeURIComponent(prefix)}&origin=${origin}`);
  const body = (await answer.json()) as {
    rows: { key: string; value: string; modRevision: number; version: number }[];
  };
  return body.rows.map(({ key, value, ...row }) => `${key} ${value.slice(0, 16)} ${row.modRevision} ${row.version}`);
}

async function changes(http: string, from: number): Promise<{ kind: string; key: string; snapshot?: boolean }[]> {
  const { revision } = (await (await ask(http, "/v1/status")).json()) as { revision: number };
  if (revision < from) return [];
  const stream = await fetch(`${http}/v1/changes?from=${from}&to=${revision}`, {
    headers: { accept: "application/x-ndjson" },
  });
  const lines = (await stream.text()).split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === "put" || kind === "delete");
}

const shedAt = async (http: string): Promise<readonly Shed[]> =>
  ((await (await ask(http, "/v1/shed")).json()) as { shed: Shed[] }).shed;

test(
  "S4: a site that slept through a compaction of its hub gets what stands, deletions included, marked, each once",
  async () => {
    const { site, hub } = await siteAndHub();
    for (let i = 0; i < 1_200; i++) expect(await put(hub.http, `config/${i}`, "1")).toBe(200);
    await expect.poll(() => rows(site.http, "hub"), POLL).toEqual(await rows(hub.http, "", "config/"));
    const { revision } = (await (await ask(site.http, "/v1/status")).json()) as { revision: number };
    await kill(site);
    for (let i = 0; i < 900; i++) await ask(hub.http, `/v1/kv/config%2F${i}`, "DELETE");
    for (let i = 900; i < 1_300; i++) await put(hub.http, `config/${i}`, "2");
    await compact(hub.http);
    await start(site);
    // Killed in the middle of it, wherever that is.
    await kill(site);
    await start(site);
    await expect.poll(() => rows(site.http, "hub"), POLL).toEqual(await rows(hub.http, "", "config/"));
    expect(await put(hub.http, "config/after", "3")).toBe(200);
    await expect.poll(() => rows(site.http, "hub", "config/after"), POLL).toHaveLength(1);
    const told = await changes(site.http, revision + 1);
    expect(told).toHaveLength(900 + 400 + 1);
    expect(new Set(told.map(({ key }) => key)).size).toBe(told.length);
    expect(told.filter(({ snapshot }) => snapshot !== true)).toMatchObject([{ kind: "put", key: "config/after" }]);
  },
  TEST_MS,
);

test(
  "S5: a site with a small disk goes on without its hub; what it shed is itemised at both, and the mirror is right again",
  async () => {
    const { site, hub } = await siteAndHub();
    await kill(site);
    const { config, process } = only(site);
    await fs.appendFile(config, `disk: { budgetBytes: ${BUDGET} }\nmemory: { logBytes: ${LOG_BYTES} }\n`);
    await start(site);
    expect(await put(site.http, "first", "1")).toBe(200);
    await expect.poll(() => rows(hub.http, "shop"), POLL).toHaveLength(1);
    await kill(hub);
    expect((await ask(site.http, "/v1/kv/first", "DELETE")).status).toBe(200);
    for (let i = 0; i < PUTS; i++) await expect.poll(() => put(site.http, `till/${i % 3}`, LARGE), POLL).toBe(200);
    const [own] = await shedAt(site.http);
    expect(own).toMatchObject({ link: null, runs: [{ from: 2 }] });
    const text = await openclaw({ cwd: "." }, "status", "--endpoint", site.http);
    expect(text).toMatch(/^this cluster shed \d+ revisions before its parent had them, between 2 and \d+/m);
    await start(hub);
    const settled = async (): Promise<boolean> => {
      const status = (await (await ask(site.http, "/v1/status")).json()) as {
        revision: number;
        parent: { holds: number };
      };
      return status.parent.holds === status.revision;
    };
    await expect.poll(settled, POLL).toBe(true);
    expect(await rows(hub.http, "shop")).toEqual(await rows(site.http));
    const [ours] = await shedAt(site.http);
    const [theirs] = await shedAt(hub.http);
    expect(theirs?.link).toBe("shop");
    expect(theirs?.runs.map(({ from, to }) => [from, to])).toEqual(ours?.runs.map(({ from, to }) => [from, to]));
    const metrics = await (await ask(hub.http, "/metrics")).text();
    expect(metrics).toContain(`openclaw_shed_revisions{link="shop"} ${theirs?.revisions}`);
    const log = await fs.readFile(process.logFile, "utf8");
    expect(log).toContain("made room on the disk: what the parent does not hold, before revision");
  },
  TEST_MS,
);

test(
  "S4: a client that opens for the first time behind a compaction, and one that slept through it, see what stands",
  async () => {
    const [node] = await startSite(1);
    if (node === undefined) throw new Error("one");
    const options = { gateways: node.addresses.slice(0, 1), subscribe: { prefixes: ["p/"] } };
    const store = new MemoryClientStore();
    const before = await openClaw({ ...options, store });
    for (let i = 0; i < 700; i++) expect(await put(node.http, `p/${i}`, "1")).toBe(200);
    const local = { consistency: "local" } as const;
    const there = async (): Promise<string[]> =>
      (await rows(node.http, "", "p/")).map((row) => row.split(" ")[0] ?? "");
    const seen = async (client: typeof before): Promise<(string | undefined)[]> =>
      (await client.kv.list("p/", local)).map(({ key }) => utf8Text(key));
    await expect.poll(() => seen(before), POLL).toHaveLength(700);
    await before.stop();
    for (let i = 0; i < 600; i++) await ask(node.http, `/v1/kv/p%2F${i}`, "DELETE");
    for (let i = 650; i < 1_300; i++) await put(node.http, `p/${i}`, "2");
    await compact(node.http);
    const [fresh, late] = await Promise.all([openClaw(options), openClaw({ ...options, store })]);
    onTestFinished(async () => {
      await Promise.all([fresh.stop(), late.stop()]);
    });
    for (const client of [fresh, late]) {
      await expect.poll(() => seen(client), POLL).toEqual(await there());
      // A busy machine may cut a connection; the next one is welcome, too.
      await expect.poll(() => client.status().lastError, POLL).toBeNull();
    }
    await put(node.http, "p/live", "3");
    for (const client of [fresh, late]) await expect.poll(() => seen(client), POLL).toContain("p/live");
  },
  TEST_MS,
);
