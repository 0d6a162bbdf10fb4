/** Restores, clones and rescues of a site and its hub, as real processes: each is named, and one command resolves it (L3, S6). */
import fs from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { openclaw, refusal, type Where } from "./command.ts";
import { temporaryFolder } from "./site.ts";
import {
  below,
  call,
  cursorOf,
  keysOf,
  layOut,
  notes,
  parentPlan,
  portOptions,
  processOf,
  put,
  SITE,
  shipped,
  start,
  statusOf,
} from "./two-tiers.ts";

const TEST_MS = 600_000;

const Made = z.object({
  node: z.object({ config: z.string(), http: z.string(), addresses: z.array(z.string()) }),
});

const Lives = z.object({ left: z.array(z.object({ epoch: z.string() })) });
const Exported = z.object({ revision: z.number(), events: z.array(z.object({ value: z.string() })) });

async function fleet(nodes = 1) {
  const folder = await temporaryFolder();
  const hub = await layOut(folder, "hub", 1);
  const site = await layOut(folder, SITE, nodes, await parentPlan(hub));
  const hubProcess = processOf(folder, "hub", hub.nodes[0] as never);
  const siteProcesses = site.nodes.map((node) => processOf(folder, "site", node));
  await start(hubProcess, ...siteProcesses);
  const hubHttp = hub.nodes[0]?.http ?? "";
  const siteHttp = site.nodes[0]?.http ?? "";
  const where: Where = { cwd: folder };
  return { folder, hub, site, hubProcess, siteProcesses, hubHttp, siteHttp, where };
}

const writes = async (http: string, count: number, value: string): Promise<void> => {
  for (let i = 0; i < count; i++) await put(http, `k${i}`, `${value} ${i}`);
};

describe("L3: as processes", () => {
  test(
    "a site that was restored behind its hub is stopped and named, and goes on after `site resolve`",
    async () => {
      const { folder, hub, site, siteProcesses, hubHttp, siteHttp, where } = await fleet();
      await writes(siteHttp, 4, "kept");
      const backup = path.join(folder, "backup");
      await openclaw(where, "backup", backup, "--endpoint", siteHttp);
      await writes(siteHttp, 3, "lost");
      await shipped(hubHttp, 7);
      for (const one of siteProcesses) await one.kill();

      const to = path.join(folder, "again");
      const key = path.join(site.directory, "cluster.key");
      const made = ["restore", backup, "--to", to, "--key", key, ...(await portOptions()), "--json"];
      const { node } = Made.parse(JSON.parse(await openclaw(where, ...made)));
      await below(node.config, hub);
      await start(processOf(folder, "site", node));
      await put(node.http, "k3", "another life");
      await notes(node.http, /EPOCH_BEHIND.*revision 4, 7 was taken/);
      await notes(hubHttp, /child california is stopped.*EPOCH_BEHIND/);
      expect(await cursorOf(hubHttp)).toBe(7);

      const look = await openclaw(where, "site", "resolve", SITE, "--dry-run", "--endpoint", hubHttp);
      expect(look).toMatch(/would go on in epoch 2 .* from revision 4/);
      expect(look).toMatch(/only here, put aside: 3 revisions/);
      expect(look).toMatch(/k0 becomes its value then/);
      expect(await keysOf(hubHttp, SITE)).toMatchObject({ k0: "lost 0" });
      expect(await openclaw(where, "site", "resolve", SITE, "--endpoint", hubHttp)).toMatch(/goes on in epoch 2/);
      await shipped(hubHttp, (await statusOf(node.http)).revision);
      expect(await keysOf(hubHttp, SITE)).toEqual({ k0: "kept 0", k1: "kept 1", k2: "kept 2", k3: "another life" });
      expect(JSON.parse(await openclaw(where, "site", "lives", SITE, "--endpoint", hubHttp))).toMatchObject({
        followed: { counter: 2 },
        contenders: [],
        left: [{ counter: 1, from: 5, to: 7 }],
      });
      const [{ epoch = "" } = {}] = Lives.parse(
        JSON.parse(await openclaw(where, "site", "lives", SITE, "--endpoint", hubHttp)),
      ).left;
      const exported = await openclaw(where, "site", "lives", SITE, "--export", epoch, "--endpoint", hubHttp);
      const lines = exported
        .trim()
        .split("\n")
        .map((line) => Exported.parse(JSON.parse(line)));
      expect(lines.map(({ revision }) => revision)).toEqual([5, 6, 7]);
      expect(lines.map(({ events }) => Buffer.from(events[0]?.value ?? "", "base64").toString())).toEqual([
        "lost 0",
        "lost 1",
        "lost 2",
      ]);
    },
    TEST_MS,
  );

  test(
    "a clone of a site that went on by itself is a fork, named with its revision at both ends",
    async () => {
      const { folder, site, siteProcesses, hubHttp, siteHttp } = await fleet();
      await writes(siteHttp, 3, "both");
      await shipped(hubHttp, 3);
      const [own] = siteProcesses;
      await own?.kill();
      const copy = path.join(folder, "copy");
      await fs.cp(site.directory, copy, { recursive: true });
      own?.start();
      await own?.ready();
      await writes(siteHttp, 2, "own");
      await shipped(hubHttp, 5);
      await own?.kill();

      const config = path.join(copy, `${SITE}-1`, "config.yaml");
      await start(processOf(folder, "site", { config, http: siteHttp }));
      await writes(siteHttp, 2, "clone");
      await notes(siteHttp, /FORK.*revision 5/);
      await notes(hubHttp, /child california is stopped.*FORK.*revision 5/);
      expect(await keysOf(hubHttp, SITE)).toMatchObject({ k0: "own 0", k1: "own 1" });
      const metrics = await (await fetch(`${hubHttp}/metrics`)).text();
      // Each stream that it opens before it has heard is refused, and counted.
      expect(metrics).toMatch(/openclaw_links_refused\{side="child",code="FORK"\} [1-9]/);
    },
    TEST_MS,
  );

  test(
    "a hub that was restored to an older state is followed; what it lost is shipped again",
    async () => {
      const { folder, hub, site, hubProcess, siteProcesses, hubHttp, siteHttp, where } = await fleet();
      await put(hubHttp, "config/a", "kept");
      await expect.poll(() => keysOf(siteHttp, "hub"), { timeout: 60_000 }).toEqual({ "config/a": "kept" });
      await writes(siteHttp, 3, "kept");
      // What came of the hub took a revision, too.
      await shipped(hubHttp, 4);
      const backup = path.join(folder, "backup");
      await openclaw(where, "backup", backup, "--full", "--endpoint", hubHttp);
      await writes(siteHttp, 2, "later");
      await put(hubHttp, "config/a", "lost");
      await shipped(hubHttp, 6);
      await expect.poll(() => keysOf(siteHttp, "hub"), { timeout: 60_000 }).toEqual({ "config/a": "lost" });
      await hubProcess.kill();
      for (const one of siteProcesses) await one.kill();

      const to = path.join(folder, "hub-again");
      const key = path.join(hub.directory, "cluster.key");
      const made = ["restore", backup, "--to", to, "--key", key, ...(await portOptions()), "--json"];
      const { node } = Made.parse(JSON.parse(await openclaw(where, ...made)));
      for (const { config } of site.nodes) await below(config, { directory: to });
      await start(processOf(folder, "hub", node), ...siteProcesses);
      await expect.poll(() => keysOf(node.http, SITE), { timeout: 60_000 }).toEqual(await keysOf(siteHttp, null));
      const look = async () => ({ keys: await keysOf(siteHttp, "hub"), site: await statusOf(siteHttp) });
      await expect.poll(look, { timeout: 60_000 }).toMatchObject({ keys: { "config/a": "kept" }, site: { notes: [] } });
    },
    TEST_MS,
  );

  test(
    "a hub that was founded anew is refused, and followed after `sync adopt-parent`",
    async () => {
      const { folder, site, hubProcess, siteProcesses, hubHttp, siteHttp, where } = await fleet();
      await put(hubHttp, "config/a", "before");
      await expect.poll(() => keysOf(siteHttp, "hub"), { timeout: 60_000 }).toEqual({ "config/a": "before" });
      await writes(siteHttp, 3, "v");
      await shipped(hubHttp, 4);
      // The site notes it up to a tenth of a second later (S3).
      await expect.poll(() => statusOf(siteHttp), { timeout: 60_000 }).toMatchObject({ parent: { holds: 4 } });
      await hubProcess.kill();
      for (const one of siteProcesses) await one.kill();

      const anew = await layOut(path.join(folder, "second"), "hub", 1);
      for (const { config } of site.nodes) await below(config, anew);
      const newHttp = anew.nodes[0]?.http ?? "";
      await start(processOf(path.join(folder, "second"), "hub", anew.nodes[0] as never), ...siteProcesses);
      await put(newHttp, "config/b", "anew");
      await notes(siteHttp, /WRONG_EPOCH.*founded anew.*openclaw sync adopt-parent/);
      expect(await cursorOf(newHttp)).toBe(0);
      const look = await openclaw(where, "sync", "adopt-parent", "--dry-run", "--endpoint", siteHttp);
      expect(look).toMatch(/would follow hub/);
      expect(look).toMatch(/config\/a becomes absent/);
      expect(look).toMatch(/revisions 1 to 4 of this cluster lose the rung hub/);
      expect(await keysOf(siteHttp, "hub")).toEqual({ "config/a": "before" });
      await openclaw(where, "sync", "adopt-parent", "--endpoint", siteHttp);
      await expect.poll(() => keysOf(newHttp, SITE), { timeout: 60_000 }).toEqual(await keysOf(siteHttp, null));
      await expect.poll(() => keysOf(siteHttp, "hub"), { timeout: 60_000 }).toEqual({ "config/b": "anew" });
    },
    TEST_MS,
  );
});

test(
  "S6: a site that lost two of three is rescued with the hub, from the most that both have, and its old members are fenced",
  async () => {
    const { folder, site, siteProcesses, hubHttp, siteHttp, where } = await fleet(3);
    await writes(siteHttp, 5, "shipped");
    await shipped(hubHttp, 5);
    const [first, second, third] = siteProcesses;
    const [, , left] = site.nodes;
    if (left === undefined) throw new Error("three nodes");
    // The survivor has this, and not what follows: the other two were a majority, and may have been for the last put, too.
    const known = async () => (await call(left.http, "GET", "/v1/status?consistency=local")) as { revision: number };
    await expect.poll(known, { timeout: 60_000 }).toMatchObject({ revision: 5 });
    await third?.kill();
    await expect
      .poll(
        () =>
          put(siteHttp, "k9", "two of three").then(
            () => true,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
    await shipped(hubHttp, (await statusOf(siteHttp)).revision);
    const { revision } = await statusOf(siteHttp);
    await first?.kill();
    await second?.kill();
    await fs.rm(path.join(site.directory, `${SITE}-1`), { recursive: true });

    const key = path.join(site.directory, "cluster.key");
    const rescue = ["site", "rescue", "--survivor", left.config];
    expect(await refusal(where, ...rescue, "--offline", "--dead", `${SITE}-1`, "--dry-run")).toMatch(
      /RESCUE_REFUSED.*california-2/s,
    );
    const look = await openclaw(where, ...rescue, "--hub", hubHttp, "--dry-run");
    expect(look).toMatch(new RegExp(`would go on from revision ${revision} in epoch 2`));
    expect(look).toMatch(/only at the hub, taken: revisions 6 to/);
    const to = path.join(folder, "rescued");
    const made = [...rescue, "--hub", hubHttp, "--to", to, "--key", key, ...(await portOptions()), "--json"];
    const { node } = Made.parse(JSON.parse(await openclaw(where, ...made)));
    await start(processOf(folder, "site", node));
    expect(await keysOf(node.http, null)).toMatchObject({ k0: "shipped 0", k9: "two of three" });
    await put(node.http, "after", "rescue");
    await shipped(hubHttp, revision + 1);
    expect(await keysOf(hubHttp, SITE)).toEqual(await keysOf(node.http, null));
    // The old members, should they come back with a majority: the hub takes nothing of them.
    await start(...[second, third].flatMap((one) => (one === undefined ? [] : [one])));
    const back = site.nodes[1]?.http ?? "";
    await expect
      .poll(
        () =>
          put(back, "old", "life").then(
            () => true,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
    await notes(hubHttp, /child california is stopped.*WRONG_EPOCH/);
    expect(await keysOf(hubHttp, SITE)).not.toHaveProperty("old");
  },
  TEST_MS,
);
