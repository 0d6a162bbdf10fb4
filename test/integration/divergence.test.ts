/** C1: a row of one node's state is altered on its disk while it is stopped, and the cluster finds and mends it. */
import fs from "node:fs/promises";
import path from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { openclaw } from "./command.ts";
import { type SiteNode, startSite } from "./site.ts";

const TEST_MS = 240_000;
const POLL = { timeout: 60_000, interval: 200 };

interface Status {
  readonly role: string;
  readonly agreement: string;
  readonly comparison: { readonly round: number; readonly verdict: string; readonly diverged: readonly string[] };
  readonly state?: { readonly hash: string };
}

const ask = (node: SiteNode, route: string, method = "GET", body?: string): Promise<Response> => {
  const json = { headers: { "content-type": "application/json" } };
  return fetch(`${node.http}${route}`, {
    method,
    ...(body === undefined ? {} : { body }),
    ...(route === "/v1/leader" ? json : {}),
  });
};

const statusOf = async (node: SiteNode, query = ""): Promise<Status> =>
  (await ask(node, `/v1/status${query}`)).json() as Promise<Status>;

const dataOf = (node: SiteNode): string => path.join(path.dirname(node.config), "data");

/** The value under a key is another one, on the disk of a node that is stopped. */
function alter(node: SiteNode, key: string): void {
  const database = new Database(path.join(dataOf(node), "state.db"));
  const row = Buffer.concat([Buffer.of(0x10), Buffer.from(key)]);
  const value = database.prepare<[Buffer], Buffer>("SELECT v FROM state WHERE k = ?").pluck().get(row);
  if (value === undefined) throw new Error(`no ${key}`);
  value.write("wrong", value.indexOf("right"));
  database.prepare("UPDATE state SET v = ? WHERE k = ?").run(value, row);
  database.close();
}

test(
  "C1: a node whose state was altered on its disk stops serving, is rebuilt from its peers, and keeps what was wrong aside",
  async () => {
    const nodes = await startSite(3);
    const [helper, ...victims] = nodes;
    if (helper === undefined) throw new Error("three");
    for (let i = 0; i < 50; i++) expect((await ask(helper, `/v1/kv/key-${i}`, "PUT", "right")).status).toBe(200);
    for (const [at, node] of victims.entries()) {
      const key = `key-${at}`;
      await node.process.stop();
      alter(node, key);
      node.process.start();
      await node.process.ready();
      // The second one leads when it is found.
      if (at === 1)
        expect((await ask(node, "/v1/leader", "POST", JSON.stringify({ node: node.node }))).status).toBe(200);
      // Nothing tells before states are compared: the ledger is as it was.
      expect(await (await ask(node, `/v1/kv/${key}?consistency=local`)).text()).toBe("wrong");
      const ledger = await openclaw({ cwd: "." }, "ledger", "verify", "--endpoint", node.http);
      expect(ledger).toMatch(/^revisions 1 to 50 are as they were written/);

      const found = (await (await ask(helper, "/v1/admin/compare-states", "POST")).json()) as Status["comparison"];
      expect(found).toMatchObject({ verdict: "agreed", diverged: [node.node] });
      const aside = async () => (await fs.readdir(dataOf(node))).filter((name) => name.startsWith("state-diverged-"));
      await expect.poll(aside, POLL).toEqual([`state-diverged-${found.round}.db`]);
      const standing = async ({ agreement, comparison }: Status) =>
        `${agreement} ${comparison.verdict} ${comparison.diverged} ${comparison.round > found.round}`;
      const all = () => Promise.all(nodes.map(async (one) => standing(await statusOf(one))));
      await expect.poll(all, POLL).toEqual(nodes.map(() => "sound agreed  true"));
      expect(await (await ask(node, `/v1/kv/${key}`)).text()).toBe("right");
      const hashes = async () => {
        const statuses = await Promise.all(nodes.map((one) => statusOf(one, "?hash=true")));
        return new Set(statuses.map(({ state }) => state?.hash)).size;
      };
      await expect.poll(hashes, POLL).toBe(1);
      const log = await fs.readFile(node.process.logFile, "utf8");
      expect(log).toMatch(/its state hashes to [0-9a-f]{64}, a majority's to [0-9a-f]{64}/);
    }
  },
  TEST_MS,
);
