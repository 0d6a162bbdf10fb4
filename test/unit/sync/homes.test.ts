/** Homes and queued commands over a link (Q2, Q3): cut, resumed, and behind what the parent keeps. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Outcome } from "@openclaw/core/state-machine/command.ts";
import { expect, test } from "vitest";
import { linkId, type TestCluster, World } from "./world.ts";

const put = (cluster: TestCluster, key: string, value = "v"): Promise<Outcome> =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const read = async (cluster: TestCluster, key: string) => {
  const { row, origin } = await cluster.read({ kind: "get", origin: null, key: utf8(key) });
  return [row === null ? null : utf8Text(row.value), origin];
};

async function siteAndHub(seed = 1) {
  const world = new World(seed);
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  const uplink = world.uplink(site, hub);
  await put(site, "own");
  await world.elapse(2_000);
  const declared = await hub.execute({ kind: "setHome", prefix: utf8("config/"), home: "hub", without: [] });
  expect(declared).toMatchObject({ ok: true });
  await world.elapse(2_000);
  return { world, hub, site, uplink };
}

const statuses = async (site: TestCluster) => {
  const { commands } = await site.read({ kind: "commands", after: revision(0), limit: 100 });
  return commands.map(({ outcome }) => (outcome === null ? "queued" : outcome.ok ? "done" : outcome.code));
};

test("Q2: queued while the link is cut, they run once when it is back, and their results come", async () => {
  const { world, hub, site, uplink } = await siteAndHub();
  uplink.setEnabled(false);
  await world.flush();
  for (const value of ["1", "2", "3"]) await put(site, "config/a", value);
  expect(await statuses(site)).toEqual(["queued", "queued", "queued"]);
  uplink.setEnabled(true);
  await world.elapse(5_000);
  expect(await statuses(site)).toEqual(["done", "done", "done"]);
  expect(await read(hub, "config/a")).toEqual(["3", null]);
  expect(await read(site, "config/a")).toEqual(["3", "hub"]);
  const { row } = await hub.read({ kind: "get", origin: null, key: utf8("config/a") });
  expect(row?.version).toBe(3);
});

test("Q3, S4: a site that is behind what the hub keeps has the keys of its prefixes all the same", async () => {
  const { world, hub, site, uplink } = await siteAndHub();
  await put(hub, "config/a", "1");
  await put(hub, "config/gone", "1");
  await world.elapse(2_000);
  uplink.setEnabled(false);
  await world.flush();
  await put(hub, "config/a", "2");
  await hub.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("config/gone") } });
  await put(hub, "config/b", "2");
  await put(hub, "own");
  expect(await hub.execute({ kind: "compact", revision: hub.position().revision })).toMatchObject({ ok: true });
  uplink.setEnabled(true);
  await world.elapse(5_000);
  expect(await read(site, "config/a")).toEqual(["2", "hub"]);
  expect(await read(site, "config/b")).toEqual(["2", "hub"]);
  expect(await read(site, "config/gone")).toEqual([null, "hub"]);
});

test("Q2: to another hub a site says nothing that it said to the one before, and runs nothing again", async () => {
  const { world, hub, site, uplink } = await siteAndHub();
  await put(site, "config/a", "1");
  await world.elapse(5_000);
  await put(hub, "config/a", "2");
  uplink.setEnabled(false);
  await world.flush();
  // Nobody knows whether it got there.
  await put(site, "config/b", "1");
  await uplink.stop();
  const other = await world.cluster("other");
  await other.execute({ kind: "setHome", prefix: utf8("config/"), home: "hub", without: [] });
  world.uplink(site, other);
  await world.elapse(5_000);
  expect(await statuses(site)).toEqual(["done", "OUTCOME_UNKNOWN"]);
  // What it had of the one before it has as its own, and hands over; what it asked for there is nobody's any more.
  expect(await read(other, "config/a")).toEqual(["1", null]);
  expect(await read(other, "config/b")).toEqual([null, null]);
  await put(site, "config/b", "2");
  await world.elapse(5_000);
  expect(await statuses(site)).toEqual(["done", "OUTCOME_UNKNOWN", "done"]);
  expect(await read(other, "config/b")).toEqual(["2", null]);
  // The mirror is whole all the same: of what was for the one before there are leaves.
  const { fault } = await other.history({
    kind: "mirror",
    link: linkId("california"),
    from: revision(1),
    bytes: 1_000_000,
  });
  expect(fault).toBeNull();
});

test("Q2, S4: what may have run at the hub does not run again when its home comes back with a snapshot", async () => {
  const { world, hub, site, uplink } = await siteAndHub();
  await put(hub, "own");
  await world.elapse(2_000);
  await put(site, "config/a", "1");
  // The hub runs it, and its answer is compacted before the site has it.
  for (let i = 0; i < 100 && (await hub.get("config/a")) === null; i++) await world.deliver(1);
  world.cutAll();
  uplink.setEnabled(false);
  await world.flush();
  expect(await read(hub, "config/a")).toEqual(["1", null]);
  expect(await statuses(site)).toEqual(["queued"]);
  await put(hub, "config/a", "2");
  await hub.execute({ kind: "setHome", prefix: utf8("config/"), home: "site", without: [] });
  await hub.execute({ kind: "compact", revision: hub.position().revision });
  uplink.setEnabled(true);
  await world.elapse(5_000);
  expect(await statuses(site)).toEqual(["OUTCOME_UNKNOWN"]);
  expect(await read(site, "config/a")).not.toEqual(["1", null]);
});

test("X1, S4: a tier between tells those below it of its own homes and of those above, 256 of each", async () => {
  const world = new World();
  const [central, region, site] = await Promise.all(
    ["central", "region", "california"].map((name) => world.cluster(name)),
  );
  if (central === undefined || region === undefined || site === undefined) throw new Error("three tiers");
  const declare = (at: TestCluster, prefix: string) =>
    at.execute({ kind: "setHome", prefix: utf8(prefix), home: "hub", without: [] });
  for (const at of [region, central])
    for (let i = 0; i < 200; i++) expect(await declare(at, `${at.id}/${i}/`)).toMatchObject({ ok: true });
  world.uplink(region, central);
  await world.elapse(5_000);
  expect((await region.read({ kind: "homes" })).homes).toHaveLength(400);
  expect(await region.execute({ kind: "compact", revision: region.position().revision })).toMatchObject({ ok: true });
  world.uplink(site, region);
  await world.elapse(5_000);
  expect(site.uplink?.status().lastError).toBeNull();
  expect((await site.read({ kind: "homes" })).homes).toHaveLength(400);
  // Of its own it declares no more, and says so.
  expect(await declare(region, "one/more/")).toMatchObject({ ok: false, code: "OVERLOADED" });
});
