/** Site, region and central hub, the same code three times: what goes up arrives once, what comes down arrives, and idle is idle. */
import { setTimeout as sleep } from "node:timers/promises";
import * as Automerge from "@automerge/automerge";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { ask, startTier, type Tier, tokenOf } from "./tiers.ts";

/**
 * Whatever a link may do by itself it does within this time: a parent tells a run of nothing after 5 s, and 5 s later its
 * child imports it; a refused push is tried again after 5 s.
 */
const BY_ITSELF_MS = 10_000;
/** Nothing was proposed for so long: the fleet has converged. The rest is what a busy machine takes. */
const STILL_MS = BY_ITSELF_MS + 2_000;
/** How long the converged fleet is watched for a proposal. A minute is `IDLE_SECONDS=60 npm test -- three-tiers`. */
const IDLE_MS = 1_000 * Number(process.env.IDLE_SECONDS ?? 12);

test(
  "L1, L4, L5: a put and an edit reach central once, central's keys come down two tiers, and idle tiers propose nothing",
  async () => {
    const central = await startTier({ cluster: "central", kind: "hub" });
    const config = { collections: ["log"], prefixes: ["config/"], mirrors: true };
    const region = await startTier({
      cluster: "region",
      kind: "hub",
      parent: { token: await tokenOf(central), subscribe: config },
    });
    const site = await startTier({
      cluster: "site",
      kind: "site",
      parent: { token: await tokenOf(region), subscribe: config },
    });
    const tiers = [site, region, central];

    const client = await openClaw({ gateways: site.nodes[0]?.addresses.slice(0, 1) ?? [] });
    onTestFinished(() => client.stop());
    const log = await client.docs.open<{ text: string }>("log", "today", { initial: { text: "" } });
    for (let i = 0; i < 20; i++) {
      expect((await ask(site.http, "PUT", "/v1/kv/till/1", String(i))).status).toBe(200);
      await log.change((doc) => Automerge.splice(doc as Automerge.Doc<typeof doc>, ["text"], 0, 0, "x")).site;
    }
    await ask(central.http, "PUT", "/v1/kv/config/price", "7");

    // The origin and its revisions are the site's at every tier above it.
    const rows = async ({ http }: Tier, origin: string) =>
      (await ask(http, "GET", `/v1/kv?origin=${origin}`)).body.rows;
    await expect
      .poll(() => rows(central, "site"), { timeout: 60_000 })
      .toMatchObject([{ key: "till/1", text: "19", origin: "site", version: 20 }]);
    expect(await rows(central, "site")).toEqual(await rows(region, "site"));
    await expect
      .poll(() => rows(site, "central"), { timeout: 60_000 })
      .toMatchObject([{ key: "config/price", text: "7" }]);
    const text = async ({ http }: Tier): Promise<string> =>
      (await ask(http, "GET", "/v1/docs/log/today")).body.document?.text ?? "";
    await expect.poll(() => text(central), { timeout: 60_000 }).toBe("x".repeat(20));

    // Each put once, in order, at every tier, however it is asked for.
    for (const tier of [region, central]) {
      const { versions } = (await ask(tier.http, "GET", "/v1/history/till/1?origin=site&limit=100")).body;
      expect(versions.map((version: { text: string }) => version.text)).toEqual(
        Array.from({ length: 20 }, (_, i) => String(19 - i)),
      );
      const everywhere = (await ask(tier.http, "GET", "/v1/kv?origin=*")).body.rows;
      expect(everywhere.map((row: { origin: string; key: string }) => [row.origin, row.key])).toContainEqual([
        "site",
        "till/1",
      ]);
    }

    await still(tiers, STILL_MS);
    const before = await Promise.all(tiers.map(standing));
    await sleep(IDLE_MS);
    expect(await Promise.all(tiers.map(standing))).toEqual(before);
  },
  500_000 + IDLE_MS,
);

/** Every entry of its log, of whatever kind, counts. */
async function standing({ http, cluster }: Tier) {
  const { commit, lastIndex, revision, term } = (await ask(http, "GET", "/v1/status?consistency=local")).body;
  return { cluster, commit, lastIndex, revision, term };
}

/** Resolves when no tier has appended anything for so long. */
async function still(tiers: readonly Tier[], ms: number): Promise<void> {
  let last = "";
  let since = performance.now();
  await expect
    .poll(
      async () => {
        const now = JSON.stringify(await Promise.all(tiers.map(standing)));
        if (now !== last) since = performance.now();
        last = now;
        return performance.now() - since;
      },
      { timeout: 120_000, interval: 500 },
    )
    .toBeGreaterThan(ms);
}
