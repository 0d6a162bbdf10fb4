/** The registry of a hub of three nodes: sites come with tokens, wait, are let in, and are shut out at every node. */
import { parseSiteToken } from "@openclaw/edge-runtime/site-token.ts";
import { expect, test } from "vitest";
import { openclaw, refusal, type Where } from "./command.ts";
import { temporaryFolder } from "./site.ts";
import { ask, startTier, type Tier } from "./tiers.ts";

/** Revoking is to be done with by then, ms. */
const REVOKED_MS = 5_000;
const nothing = { collections: [], prefixes: [], mirrors: false };

test("F1: a site comes with a token that the command made, waits, is let in, is shut out within 5 s, and its data stays", async () => {
  const hub = await startTier({ cluster: "hub", kind: "hub", nodes: 3 });
  const where: Where = { cwd: await temporaryFolder(), env: { OPENCLAW_ENDPOINT: hub.http } };
  const https = hub.nodes.map(({ http }) => http);
  const rowAt = async (http: string, site: string, query = "") =>
    (await ask(http, "GET", `/v1/sites${query}`)).body.find((row: { cluster: string }) => row.cluster === site);

  const made = (await openclaw(where, "site", "enrol", "--dir", hub.directory, "--count", "3")).trim().split("\n");
  expect(made).toHaveLength(3);
  expect(new Set(made).size).toBe(3);
  const [first = "", second = ""] = made;

  // Made before it has a parent, and put below it later by its operator.
  const shop = await startTier({ cluster: "shop", kind: "site" });
  await ask(shop.http, "PUT", "/v1/kv/till/1", "open");
  await openclaw(where, "sync", "join", first, "--dir", shop.directory);
  await restart(shop);
  await expect.poll(() => rowAt(hub.http, "shop"), { timeout: 60_000 }).toMatchObject({ state: "pending", cursor: 0 });
  await expect
    .poll(async () => (await rowAt(hub.http, "shop"))?.refused?.code, { timeout: 60_000 })
    .toBe("SITE_PENDING");
  await expect
    .poll(async () => JSON.stringify((await ask(shop.http, "GET", "/v1/status")).body), { timeout: 60_000 })
    .toContain("waits to be let in");

  // At another node than the one that took it.
  const other = { ...where, env: { OPENCLAW_ENDPOINT: https[2] ?? "" } };
  expect(await openclaw(other, "site", "approve", "shop")).toContain("shop is approved");
  const shipped = async () => (await ask(hub.http, "GET", "/v1/kv/till/1?origin=shop")).body;
  await expect.poll(shipped, { timeout: 60_000 }).toBe("open");
  expect(await rowAt(hub.http, "shop")).toMatchObject({ state: "approved", connected: true, epoch: { counter: 1 } });
  expect(await openclaw(where, "site", "list")).toMatch(/^shop\s+approved\s+up\s/m);

  // Another site with the same token.
  const thief = await startTier({
    cluster: "thief",
    kind: "site",
    parent: { token: await parseSiteToken(first), subscribe: nothing },
  });
  await expect
    .poll(() => rowAt(hub.http, "thief"), { timeout: 60_000 })
    .toMatchObject({ state: "unknown", refused: { code: "TOKEN_USED" } });
  await Promise.all(thief.nodes.map(({ process }) => process.kill()));

  await openclaw(other, "site", "revoke", "shop");
  const since = performance.now();
  await expect
    .poll(
      async () =>
        (await Promise.all(https.map((http) => rowAt(http, "shop", "?scope=node")))).map((row) => row?.connected),
      {
        timeout: REVOKED_MS,
        interval: 50,
      },
    )
    .toEqual([false, false, false]);
  expect(performance.now() - since).toBeLessThan(REVOKED_MS);
  await ask(shop.http, "PUT", "/v1/kv/till/1", "closed");
  await expect
    .poll(async () => (await rowAt(hub.http, "shop"))?.refused?.code, { timeout: 60_000 })
    .toBe("SITE_REVOKED");
  for (const http of https) expect(await ask(http, "GET", "/v1/kv/till/1?origin=shop")).toMatchObject({ body: "open" });

  // Let in again, it goes on where it left off.
  await openclaw(where, "site", "approve", "shop");
  await expect.poll(shipped, { timeout: 60_000 }).toBe("closed");
  expect(await openclaw(where, "site", "show", "shop")).toMatch(/state\s+approved by/);
  expect(await refusal(where, "site", "approve", "nobody")).toContain("UNKNOWN_CHILD");
  expect(second).not.toBe(first);
}, 500_000);

async function restart({ nodes }: Tier): Promise<void> {
  for (const { process } of nodes) {
    await process.stop();
    process.start();
    await process.ready();
  }
}
