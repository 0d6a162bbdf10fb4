/** S5: real nodes with the smallest budget that is taken: written until it is used up, and brought back. */
import fs from "node:fs/promises";
import { emptyNodeBytes } from "@openclaw/edge-runtime/storage/disk-use.ts";
import { expect, test } from "vitest";
import { openclaw } from "./command.ts";
import { layOutSite, type SiteNode } from "./site.ts";

const TEST_MS = 240_000;
const POLL = { timeout: 60_000, interval: 200 };
const LOG_BYTES = 1_048_576;
const BUDGET = emptyNodeBytes(LOG_BYTES);
const VALUE = "x".repeat(1_000_000);
/** More than fit, whatever is shed. */
const PUTS_MAX = 120;

interface Status {
  readonly role: string;
  readonly revision: number;
  readonly compacted: number;
  readonly disk: {
    readonly budget: number | null;
    readonly used: number;
    readonly files: number;
    readonly full: boolean;
    readonly refuses: string | null;
    readonly order: readonly string[];
    readonly next: string;
    readonly shed: { readonly past: number; readonly log: number; readonly writes: number };
  };
  readonly notes: readonly string[];
}

const ask = (node: SiteNode, route: string, method = "GET", body?: string): Promise<Response> => {
  const json = route.startsWith("/v1/kv") ? {} : { headers: { "content-type": "application/json" } };
  return fetch(`${node.http}${route}`, { method, ...(body === undefined ? {} : { body, ...json }) });
};
const statusOf = async (node: SiteNode): Promise<Status> => (await ask(node, "/v1/status")).json() as Promise<Status>;
const put = async (node: SiteNode, key: string, value = VALUE): Promise<number> =>
  (await ask(node, `/v1/kv/${key}`, "PUT", value)).status;

const budgeted = async ({ config }: SiteNode): Promise<void> =>
  fs.appendFile(config, `disk: { budgetBytes: ${BUDGET} }\nmemory: { logBytes: ${LOG_BYTES} }\n`);

/** Writes new keys until they are refused; how many were taken. */
async function fill(node: SiteNode, refused: () => Promise<boolean>): Promise<number> {
  for (let i = 0; i < PUTS_MAX; i++) {
    const status = await put(node, `key-${i}`);
    if (status === 507 || (await refused())) return i;
    expect(status).toBe(200);
  }
  throw new Error("the budget was not used up");
}

test(
  "S5: a full node refuses puts, goes on reading, deleting and compacting, and takes puts again when that has made room",
  async () => {
    const [node] = await layOutSite(1);
    if (node === undefined) throw new Error("one");
    await budgeted(node);
    node.process.start();
    await node.process.ready();
    expect((await statusOf(node)).disk).toMatchObject({
      budget: BUDGET,
      full: false,
      order: ["copies", "log", "past", "unshipped", "writes"],
    });
    const taken = await fill(node, async () => false);
    const full = await statusOf(node);
    expect(full.disk.full).toBe(true);
    expect(full.notes.join()).toContain("writes that need room are refused: the disk budget of");
    expect(full.compacted).toBeGreaterThan(0);
    expect(full.disk.shed.past).toBe(full.compacted - 1);
    const text = await openclaw({ cwd: "." }, "status", "--endpoint", node.http);
    expect(text).toMatch(/^disk \d+\.\d of 57\.0 MiB .*in the order copies, log, past, unshipped, writes; next: \w+$/m);
    expect(text).toMatch(
      /^shed since the start: .* past \d+ revisions, unshipped 0 revisions, writes [1-9]\d* refused$/m,
    );
    const metrics = await (await ask(node, "/metrics")).text();
    expect(metrics).toMatch(new RegExp(`^openclaw_disk_budget_bytes ${BUDGET}$`, "m"));
    expect(metrics).toMatch(/^openclaw_disk_shed\{step="writes"\} [1-9]/m);

    expect(await (await ask(node, "/v1/kv/key-0")).text()).toBe(VALUE);
    for (let i = 0; i < taken; i++) expect((await ask(node, `/v1/kv/key-${i}`, "DELETE")).status).toBe(200);
    const { revision } = await statusOf(node);
    expect((await ask(node, "/v1/compact", "POST", JSON.stringify({ revision }))).status).toBe(200);
    await expect.poll(() => put(node, "after", "small"), POLL).toBe(200);
    expect((await statusOf(node)).disk).toMatchObject({ full: false, refuses: null });
    // The file is as large as it was: its pages are written over.
    expect(await put(node, "large")).toBe(200);
    const log = await fs.readFile(node.process.logFile, "utf8");
    for (const said of ["made room on the disk: the past", "writes are refused", "writes are taken again"])
      expect(log).toContain(said);
  },
  TEST_MS,
);

test(
  "S5: a full leader stops writes at every gateway; a full follower stops none",
  async () => {
    const nodes = await layOutSite(3);
    const [small, other, third] = nodes;
    if (small === undefined || other === undefined || third === undefined) throw new Error("three");
    await budgeted(small);
    for (const { process } of nodes) process.start();
    await Promise.all(nodes.map(({ process }) => process.ready()));
    const lead = async (next: SiteNode): Promise<void> => {
      const asked = () => ask(next, "/v1/leader", "POST", JSON.stringify({ node: next.node }));
      await expect.poll(async () => (await asked()).status, POLL).toBe(200);
      await expect.poll(async () => (await statusOf(next)).role, POLL).toBe("leader");
    };
    await lead(other);
    // Follower: its disk fills, and nobody is refused.
    await fill(other, async () => (await statusOf(small)).disk.full);
    const follower = await statusOf(small);
    expect(follower.disk.refuses).toBe(null);
    expect(follower.notes.join()).toContain("the other members have room, so writes go on");
    expect(await put(other, "while-a-follower-is-full", "v")).toBe(200);
    expect(await put(small, "at-the-full-follower", "v")).toBe(200);

    await lead(small);
    const refused = async (): Promise<string> => {
      const answer = await ask(third, "/v1/kv/at-another-gateway", "PUT", "v");
      return `${answer.status} ${await answer.text()}`;
    };
    await expect.poll(refused, POLL).toMatch(new RegExp(`^507 .*STORAGE_FULL.*${small.node}, which leads`));
    expect((await statusOf(third)).disk).toMatchObject({ budget: null, next: null });
    await lead(other);
    await expect.poll(refused, POLL).toMatch(/^200 /);
  },
  TEST_MS,
);
