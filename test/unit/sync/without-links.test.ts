/** Ends that were restored without links: what they hold of each other is told by the origins' marks alone (L3, L4). */
import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { describe, expect, test } from "vitest";
import { sha256 } from "../state-machine/one-cluster.ts";
import { cursorOf, errorOf, fleet, put, resolve, rowsOf } from "./lives.ts";
import { linkId, type TestCluster, type World } from "./world.ts";

/** What one cluster has of another is on a disk of before, and it goes on from there; `again` is the other, restored. */
async function fleetWith(setBack: number) {
  const { world, hub, site } = await fleet(setBack, 0);
  const old = await site.cloned();
  for (let i = 1; i <= 4; i++) await put(site, `lost ${i}`);
  await shipped(world, site, hub);
  const again = await hub.restored(hub.position().revision);
  return { world, hub, site, old, again };
}

async function shipped(world: World, site: TestCluster, hub: TestCluster): Promise<void> {
  world.uplink(site, hub, {});
  await world.elapse(1_000);
  expect(errorOf(site)).toBeNull();
  await site.uplink?.stop();
}

describe("L3: a site at a hub that was restored without links", () => {
  test("is taken up again where it is the one that was known", async () => {
    const { world, site, again } = await fleetWith(3);
    await put(site, "after");
    await shipped(world, site, again);
    expect(await cursorOf(again)).toBe(8);
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(site, null));
    expect(again.position().revision).toBe(8);
  });

  test("is FORK, at both ends, where its old disk ends below what the hub has", async () => {
    const { world, old, again } = await fleetWith(3);
    world.uplink(old, again, {});
    await put(old, "anew");
    await world.elapse(1_000);
    expect(errorOf(old)).toMatchObject({ code: "FORK", details: expect.stringContaining("revision 7") });
    expect(again.ended[0]).toMatchObject({ code: "FORK" });
    expect(await cursorOf(again)).toBe(0);
    expect(old.position().parentHolds).toBe(3);
  });

  // Simulated hierarchy, seed 942675149268: what it wrote anew up to the hub's mark was taken for known.
  test("is FORK where it wrote anew, up to what the hub has or further", async () => {
    for (const anew of [4, 6]) {
      const { world, old, again } = await fleetWith(3);
      for (let i = 1; i <= anew; i++) await put(old, `anew ${i}`);
      world.uplink(old, again, {});
      await world.elapse(1_000);
      expect(errorOf(old)).toMatchObject({ code: "FORK", details: expect.stringContaining("revision 7") });
      expect(again.ended[0]).toMatchObject({ code: "FORK" });
      expect(await cursorOf(again)).toBe(0);
    }
  });

  test("is FORK at apply, too, whatever the site says of itself", async () => {
    const { site, old, again } = await fleetWith(3);
    for (let i = 1; i <= 6; i++) await put(old, `anew ${i}`);
    const { cluster, epoch } = { cluster: site.id, epoch: site.epoch };
    const { records } = await old.ledger(revision(1), 1_000_000);
    const { hash } = records[6] ?? { hash: new Uint8Array(32) };
    const bodies = selectForParent(records.slice(0, 7), again.id, sha256);
    const skip = { kind: "skip", from: revision(4), to: revision(7), hash } as const;
    const link = linkId(cluster);
    for (const items of [bodies, [...bodies.slice(0, 3), skip]]) {
      const taken = await again.propose(
        { kind: "importLedger", side: "child", link, cluster, epoch, items, hash, after: null },
        { principal: "liar" },
      );
      expect(taken).toMatchObject({ kind: "importRefused", code: "FORK", cursor: 0 });
    }
  });

  test("is EPOCH_BEHIND in a life that departed below what the hub has, also while it ships again", async () => {
    for (const again of [0, 2]) {
      const { world, site, again: hub } = await fleetWith(3);
      await shipFirst(site, hub, again);
      expect(await cursorOf(hub)).toBe(again);
      const later = await site.restored(5);
      await put(later, "another life");
      world.uplink(later, hub, {});
      await world.elapse(1_000);
      expect(errorOf(later)).toMatchObject({ code: "EPOCH_BEHIND" });
      const { taken, parting } = await resolve(hub);
      expect(parting).toBe(5);
      expect(taken.listed.map((one) => Number(one.revision))).toEqual([6, 7]);
      await world.elapse(10_000);
      expect(errorOf(later)).toBeNull();
      expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(later, null));
    }
  });

  test("is FORK still in a life that is followed from a revision that the hub has otherwise", async () => {
    const { world, old, again } = await fleetWith(3);
    for (let i = 1; i <= 3; i++) await put(old, `anew ${i}`);
    // The hub has another revision 4 and 5.
    const later = await old.restored(5);
    world.uplink(later, again, {});
    await world.elapse(1_000);
    expect(errorOf(later)).toMatchObject({ code: "EPOCH_BEHIND" });
    await resolve(again);
    await world.elapse(10_000);
    expect(errorOf(later)).toMatchObject({ code: "FORK", details: expect.stringContaining("revision 5") });
    expect(await rowsOf(again, later.id)).toHaveProperty("lost 2");
    const right = await old.restored(3);
    await later.uplink?.stop();
    world.uplink(right, again, {});
    await world.elapse(10_000);
    await resolve(again, right.epoch.nonce);
    await world.elapse(10_000);
    expect(errorOf(right)).toBeNull();
    expect(await rowsOf(again, right.id)).toEqual(await rowsOf(right, null));
  });

  test("an older life of it is refused, and the one that is known goes on", async () => {
    const { world, hub, site } = await fleet(3, 0);
    const later = await site.restored(3);
    await put(later, "of the later life");
    await shipped(world, later, hub);
    const again = await hub.restored(hub.position().revision);
    await put(site, "an old disk");
    world.uplink(site, again, {});
    await world.elapse(1_000);
    expect(errorOf(site)).toMatchObject({ code: "FORK" });
    await site.uplink?.stop();
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(later, null));
    await put(later, "and more");
    await shipped(world, later, again);
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(later, null));
  });

  test("an older life of it may be chosen, and a snapshot brings what stands there", async () => {
    const { world, hub, site } = await fleet(3, 0);
    const later = await site.restored(3);
    await put(later, "k1", "of the later life");
    await shipped(world, later, hub);
    const again = await hub.restored(hub.position().revision);
    await put(site, "an old disk");
    world.uplink(site, again, {});
    await world.elapse(1_000);
    const { taken } = await resolve(again);
    expect(taken).toMatchObject({ revisions: 1, changes: null });
    await world.elapse(10_000);
    expect(errorOf(site)).toBeNull();
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(site, null));
  });
});

describe("L3: a hub at a site that was restored without links", () => {
  test("is FORK, at both ends, where its disks went back", async () => {
    for (const anew of [0, 4, 6]) {
      const { world, hub, site } = await fleet(1, 0);
      world.uplink(site, hub, ALL);
      for (let i = 1; i <= 3; i++) await put(hub, `kept ${i}`);
      await world.elapse(1_000);
      const old = await hub.cloned();
      for (let i = 1; i <= 4; i++) await put(hub, `lost ${i}`);
      await world.elapse(1_000);
      await site.uplink?.stop();
      const again = await site.restored(site.position().revision);
      for (let i = 1; i <= anew; i++) await put(old, `anew ${i}`);
      world.uplink(again, old, ALL);
      await world.elapse(1_000);
      expect(errorOf(again)).toMatchObject({ code: "FORK", details: expect.stringContaining("revision 8") });
      expect(old.ended[0]).toMatchObject({ code: "FORK" });
      expect(Object.keys(await rowsOf(again, hub.id))).toEqual(Object.keys(await rowsOf(hub, null)));
    }
  });

  test("goes on where it is the one that was known, also with less subscribed to than before", async () => {
    const { world, hub, site } = await fleet(1, 0);
    world.uplink(site, hub, ALL);
    for (let i = 1; i <= 3; i++) await put(hub, `kept ${i}`);
    await world.elapse(1_000);
    await site.uplink?.stop();
    const again = await site.restored(site.position().revision);
    await put(hub, "after");
    world.uplink(again, hub, { prefixes: [utf8("after")] });
    await world.elapse(1_000);
    expect(errorOf(again)).toBeNull();
    expect(await rowsOf(again, hub.id)).toHaveProperty("after");
  });
});

const ALL = { prefixes: [utf8("")] };

/** The site's first revisions, as a connection brings them that is cut behind them. */
async function shipFirst(site: TestCluster, hub: TestCluster, count: number): Promise<void> {
  const { records } = await site.ledger(revision(1), 1_000_000);
  const last = records[count - 1];
  if (last === undefined) return;
  const items = selectForParent(records.slice(0, count), hub.id, sha256);
  const { id: cluster, epoch } = site;
  const link = linkId(cluster);
  await hub.propose(
    { kind: "importLedger", side: "child", link, cluster, epoch, items, hash: last.hash, after: null },
    { principal: "site" },
  );
}
