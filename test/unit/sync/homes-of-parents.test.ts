/** Q3: what becomes of the homes that a parent told of when another one, or another life of it, is the parent. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Home } from "@openclaw/core/ledger/record.ts";
import { describe, expect, test } from "vitest";
import { type TestCluster, World } from "./world.ts";

const put = (cluster: TestCluster, key: string, value: string) =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const setHome = async (cluster: TestCluster, home: Home) =>
  expect(await cluster.execute({ kind: "setHome", prefix: utf8("config/"), home, without: [] })).toMatchObject({
    ok: true,
  });

const homesOf = async (cluster: TestCluster) =>
  (await cluster.read({ kind: "homes" })).homes.map(({ owner, open }) => [owner, open]);

/** What is read there, and whose it is. */
const read = async (cluster: TestCluster, key: string) => {
  const { row, origin } = await cluster.read({ kind: "get", origin: null, key: utf8(key) });
  return [row === null ? null : utf8Text(row.value), origin];
};

/** `config/` is the hub's, with a key that the site wrote before. */
async function fleet() {
  const world = new World();
  const hub = await world.cluster("hub");
  const other = await world.cluster("other");
  const site = await world.cluster("california");
  world.uplink(site, hub);
  await put(site, "config/a", "1");
  await world.elapse(2_000);
  const goOver = async (to: TestCluster): Promise<void> => {
    to.children.add(site.id);
    await site.uplink?.stop();
    await world.flush();
    world.uplink(site, to);
    await world.elapse(20_000);
  };
  const declare = async (at: TestCluster): Promise<void> => {
    await setHome(at, "hub");
    await world.elapse(5_000);
  };
  return { world, hub, other, site, goOver, declare };
}

describe("Q3: a site that moves to another hub", () => {
  test("has what the one before declared as its own, and writes it", async () => {
    const { site, hub, other, goOver, declare } = await fleet();
    await declare(hub);
    await goOver(other);
    expect(await homesOf(site)).toEqual([]);
    expect(await read(site, "config/a")).toEqual(["1", null]);
    expect(await put(site, "config/a", "2")).toMatchObject({ ok: true, response: null });
  });

  test("hands over to the new one what it declares, and does not wait for the one before", async () => {
    const { site, hub, other, goOver, declare } = await fleet();
    await declare(hub);
    await goOver(other);
    await put(site, "config/a", "2");
    await declare(other);
    expect(await homesOf(other)).toEqual([[null, true]]);
    expect(await read(site, "config/a")).toEqual(["2", "other"]);
  });

  test("and back, has the homes of the first one again, with what it has now", async () => {
    const { world, site, hub, other, goOver, declare } = await fleet();
    await declare(hub);
    await goOver(other);
    await put(site, "config/b", "2");
    await put(hub, "config/a", "3");
    await goOver(hub);
    expect(await homesOf(site)).toEqual([["hub", true]]);
    await world.elapse(5_000);
    expect(await read(site, "config/a")).toEqual(["3", "hub"]);
    expect(await read(site, "config/b")).toEqual(["2", "hub"]);
  });

  // Simulated hierarchy, seed 696949234536: both wrote, as no link told that the first one had been the parent.
  test("and back, restored meanwhile, has the homes of the first one again", async () => {
    const { world, site, hub, other, goOver, declare } = await fleet();
    await declare(hub);
    await goOver(other);
    await site.uplink?.stop();
    const again = await site.restored(site.position().revision);
    world.uplink(again, other);
    await world.elapse(10_000);
    expect(await homesOf(again)).toEqual([]);
    await put(again, "config/b", "2");
    await again.uplink?.stop();
    await world.flush();
    world.uplink(again, hub);
    await world.elapse(20_000);
    expect(await homesOf(again)).toEqual([["hub", true]]);
    expect(await read(again, "config/a")).toEqual(["1", "hub"]);
    expect(await again.execute({ kind: "put", key: utf8("config/a"), value: utf8("3") })).toMatchObject({
      ok: true,
      response: { kind: "queued" },
    });
  });

  // Simulated hierarchy, seed 756404859693: it took them for its new parent's for good, where nobody wrote them.
  test("and is restored on the way, has what the one before declared as its own", async () => {
    const { world, site, hub, other, declare } = await fleet();
    await declare(hub);
    expect(await homesOf(site)).toEqual([["hub", true]]);
    await site.uplink?.stop();
    const again = await site.restored(site.position().revision);
    other.children.add(again.id);
    await world.flush();
    world.uplink(again, other);
    await world.elapse(20_000);
    expect(await homesOf(again)).toEqual([]);
    expect(await read(again, "config/a")).toEqual(["1", null]);
    expect(await put(again, "config/a", "2")).toMatchObject({ ok: true, response: null });
  });

  test("and back, restored meanwhile, has the homes of the first one again, also where nothing tells of the other", async () => {
    const { world, site, hub, other, goOver, declare } = await fleet();
    await declare(hub);
    await goOver(other);
    expect(await homesOf(site)).toEqual([]);
    await put(site, "config/b", "2");
    await put(hub, "config/a", "3");
    await site.uplink?.stop();
    const again = await site.restored(site.position().revision);
    await put(again, "config/c", "3");
    await world.flush();
    world.uplink(again, hub);
    await world.elapse(20_000);
    expect(await homesOf(again)).toEqual([["hub", true]]);
    expect(await read(again, "config/a")).toEqual(["3", "hub"]);
    await world.elapse(5_000);
    for (const [key, value] of [
      ["config/b", "2"],
      ["config/c", "3"],
    ] as const)
      expect(await read(again, key)).toEqual([value, "hub"]);
    expect(await put(again, "config/d", "4")).toMatchObject({ ok: true, response: { kind: "queued" } });
    await world.elapse(5_000);
    expect(await read(again, "config/d")).toEqual(["4", "hub"]);
  });

  test("restored, and below the same one again, has its homes as before", async () => {
    const { world, site, hub, declare } = await fleet();
    await declare(hub);
    await site.uplink?.stop();
    const again = await site.restored(site.position().revision);
    const { revision } = again.position();
    await world.flush();
    world.uplink(again, hub);
    await world.elapse(20_000);
    expect(await homesOf(again)).toEqual([["hub", true]]);
    expect(await read(again, "config/a")).toEqual(["1", "hub"]);
    expect(again.position().revision).toBe(revision);
  });

  test("L5: says nothing of what the one before streamed: its neighbours bring that themselves", async () => {
    const { site, hub, other, goOver, declare } = await fleet();
    await put(hub, "config/hubs", "1");
    await declare(hub);
    expect(await read(site, "config/hubs")).toEqual(["1", "hub"]);
    await goOver(other);
    const { row } = await other.read({ kind: "get", origin: hub.id, key: utf8("config/hubs") });
    expect(row).toBeNull();
  });
});

describe("L3, Q3: a hub that was restored to before a home moved", () => {
  test("to it: each site has its own keys again", async () => {
    const { site, hub, goOver, declare } = await fleet();
    const before = hub.position().revision;
    await declare(hub);
    await put(hub, "config/a", "2");
    await goOver(await hub.restored(before));
    expect(await homesOf(site)).toEqual([]);
    expect(await put(site, "config/a", "3")).toMatchObject({ ok: true, response: null });
  });

  test("from it: the site hands over again", async () => {
    const { world, site, hub, goOver, declare } = await fleet();
    await declare(hub);
    const before = hub.position().revision;
    await setHome(hub, "site");
    await world.elapse(5_000);
    await put(site, "config/b", "2");
    const again = await hub.restored(before);
    await goOver(again);
    expect(await homesOf(site)).toEqual([["hub", true]]);
    expect(await read(site, "config/b")).toEqual(["2", "hub"]);
    expect(await put(site, "config/b", "3")).toMatchObject({ ok: true, response: { kind: "queued" } });
  });

  test("waits for those of whom it took something, though no link is left", async () => {
    const { hub } = await fleet();
    const again = await hub.restored(hub.position().revision);
    await setHome(again, "hub");
    expect((await again.read({ kind: "homes" })).homes).toMatchObject([{ open: false, waiting: ["california"] }]);
  });
});
