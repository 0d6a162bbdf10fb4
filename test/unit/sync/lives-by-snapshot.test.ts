/** L3: a life whose differences a snapshot (S4) puts right, and what a snapshot is of. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { planResolution } from "@openclaw/core/sync/life-change.ts";
import { describe, expect, test } from "vitest";
import { sha256 } from "../state-machine/one-cluster.ts";
import { cursorOf, errorOf, fleet, put, resolve, rowsOf } from "./lives.ts";
import { type TestCluster, World } from "./world.ts";

const putMany = (cluster: TestCluster, prefix: string, value: string) =>
  cluster.execute({
    kind: "txn",
    compares: [],
    success: Array.from({ length: 120 }, (_, i) => ({
      kind: "put" as const,
      key: utf8(`${prefix}/${i}`),
      value: utf8(value),
      lease: null,
      previous: false,
    })),
    failure: [],
  });

describe("L3, S4: a life of a site that is gone on with", () => {
  test.each(["compacted in part", "compacted", "too much for one decision"])(
    "behind its hub is gone on with by a snapshot, where what was taken above is %s",
    async (what) => {
      const { world, hub, site } = await fleet(3, 0);
      const many = what === "too much for one decision" ? 9 : 1;
      for (let i = 0; i < many; i++) await putMany(site, `n${i}`, "before");
      const parting = site.position().revision;
      site.uplink?.start();
      await put(site, "k3", "changed");
      await world.elapse(1_000);
      const own = await put(hub, "own");
      for (let i = 0; i < many; i++) await putMany(site, `n${i}`, "changed");
      await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("k1") } });
      await world.elapse(1_000);
      await site.uplink?.stop();
      if (!own.ok) throw new Error(own.code);
      if (what === "compacted in part") await hub.execute({ kind: "compact", revision: own.revision });
      if (what === "compacted") await hub.execute({ kind: "compact", revision: hub.position().revision });

      const again = await site.restored(parting);
      await put(again, "k2", "another life");
      world.uplink(again, hub, {});
      await world.elapse(1_000);
      expect(errorOf(again)).toMatchObject({ code: "EPOCH_BEHIND" });
      expect((await planResolution(hub, sha256, site.id, null)).taken.changes).toBeNull();
      await resolve(hub);
      await world.elapse(10_000);
      expect(errorOf(again)).toBeNull();
      expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
      await put(again, "after", "1");
      await world.elapse(1_000);
      expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
      expect(await cursorOf(hub)).toBe(again.position().revision);
    },
  );

  test("a region behind its hub brings also what it passes on by that snapshot, and what comes of it later", async () => {
    const world = new World();
    const [hub, region, site] = [
      await world.cluster("hub"),
      await world.cluster("california"),
      await world.cluster("alaska"),
    ];
    world.uplink(region, hub, {});
    world.uplink(site, region, { prefixes: [utf8("")] });
    for (const cluster of [region, site]) for (const key of ["a", "b"]) await put(cluster, key, "1");
    await world.elapse(10_000);
    const { revision: parting } = region.position();
    for (const cluster of [region, site]) for (const key of ["b", "c"]) await put(cluster, key, "2");
    await world.elapse(10_000);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(site, null));
    await region.uplink?.stop();
    await site.uplink?.stop();
    await hub.execute({ kind: "compact", revision: hub.position().revision });

    const again = await region.restored(parting);
    world.uplink(site, again, { prefixes: [utf8("")] });
    world.uplink(again, hub, {});
    await put(again, "d", "3");
    await world.elapse(20_000);
    expect(errorOf(again)).toMatchObject({ code: "EPOCH_BEHIND" });
    await resolve(hub);
    await world.elapse(20_000);
    expect(errorOf(again)).toBeNull();
    expect(await rowsOf(hub, region.id)).toEqual(await rowsOf(again, null));
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(site, null));
  });

  test("a snapshot is of the epoch that wrote its revision, and is put back with what else was taken of it", async () => {
    const { world, hub, site } = await fleet(5, 3);
    const second = await site.restored(7);
    await second.execute({ kind: "compact", revision: revision(7) });
    world.uplink(second, hub, {});
    await put(second, "after", "second");
    await world.elapse(2_000);
    expect(errorOf(second)).toBeNull();
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(second, null));
    await second.uplink?.stop();
    const { records } = await hub.ledger(revision(1), 1_000_000);
    const snapshots = records.map(({ record }) => decodeRecord(record)).filter(({ snapshot }) => snapshot);
    expect(snapshots.map(({ origin }) => origin)).toEqual([
      { cluster: site.id, epoch: site.epoch.nonce, revision: revision(7) },
    ]);

    const third = await site.restored(5);
    await put(third, "after", "third");
    world.uplink(third, hub, {});
    await world.elapse(1_000);
    expect(errorOf(third)).toMatchObject({ code: "FORK" });
    await resolve(hub, third.epoch.nonce);
    await world.elapse(10_000);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(third, null));
  });
});
