import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { admitChild } from "@openclaw/core/sync/child-admission.ts";
import { planResolution } from "@openclaw/core/sync/life-change.ts";
import { SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import { describe, expect, test } from "vitest";
import { sha256 } from "../state-machine/one-cluster.ts";
import { ANYBODY } from "./anybody.ts";
import { codeOf } from "./code-of.ts";
import { cursorOf, errorOf, fleet, put, resolve, rowsOf } from "./lives.ts";
import { linkId } from "./world.ts";

describe("L3: a site at its hub", () => {
  test("goes on in a new epoch that has all that was taken, and whose departure is the cursor", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const again = await site.restored(5);
    world.uplink(again, hub, {});
    await put(again, "after", "1");
    await world.elapse(1_000);
    expect(errorOf(again)).toBeNull();
    expect(await cursorOf(hub)).toBe(6);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
    expect(again.position()).toMatchObject({ revision: 6, parentHolds: 6 });
    const { link } = await hub.read({ kind: "link", link: linkId("california") });
    expect(link).toMatchObject({ epoch: again.epoch, hash: again.position().hash });
  });

  test("goes on when it departed above the cursor: what lies between is the old epoch's, and is checked", async () => {
    const { world, hub, site } = await fleet(5, 3);
    const again = await site.restored(7);
    await put(again, "after", "1");
    world.uplink(again, hub, {});
    await world.elapse(1_000);
    expect(errorOf(again)).toBeNull();
    expect(await cursorOf(hub)).toBe(8);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
    const { link } = await hub.read({ kind: "link", link: linkId("california") });
    expect(link).toMatchObject({ epoch: again.epoch, hash: again.position().hash });
  });

  test("is followed through two epochs that the hub never heard of", async () => {
    const { world, hub, site } = await fleet(5, 3);
    const second = await site.restored(7);
    for (const key of ["a", "b", "c"]) await put(second, key, "second");
    const third = await second.restored(9);
    await put(third, "d", "third");
    world.uplink(third, hub, {});
    await world.elapse(1_000);
    expect(errorOf(third)).toBeNull();
    expect(await cursorOf(hub)).toBe(10);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(third, null));
  });

  test("S3: back at a hub that it had before, knows what that one holds", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const other = await world.cluster("other-hub");
    world.uplink(site, other, {});
    await world.elapse(1_000);
    expect(site.position()).toMatchObject({ parentHolds: 5, parentEpoch: other.epoch.nonce });
    await site.uplink?.stop();
    await put(site, "back", "1");
    world.uplink(site, hub, {});
    await world.elapse(1_000);
    expect(errorOf(site)).toBeNull();
    expect(site.position()).toMatchObject({ parentHolds: 6, parentEpoch: hub.epoch.nonce });
  });

  test("comes whole to a hub that never knew it, through all its epochs", async () => {
    const { world, site } = await fleet(5, 3);
    const again = await site.restored(6);
    await put(again, "after");
    const hub = await world.cluster("hub");
    world.uplink(again, hub, {});
    await world.elapse(1_000);
    expect(errorOf(again)).toBeNull();
    expect(await cursorOf(hub)).toBe(7);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
  });

  test("is stopped when it departed below the cursor, and goes on where an operator says so", async () => {
    const { world, hub, site } = await fleet(5, 0);
    await put(site, "k4", "changed");
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("k1") } });
    site.uplink?.start();
    await world.elapse(1_000);
    await site.uplink?.stop();
    expect(await cursorOf(hub)).toBe(7);
    const again = await site.restored(4);
    await put(again, "k2", "another life");
    world.uplink(again, hub, {});
    await world.elapse(1_000);
    expect(errorOf(again)).toMatchObject({ code: "EPOCH_BEHIND" });
    expect(await cursorOf(hub)).toBe(7);
    const plan = await planResolution(hub, sha256, site.id, null);
    expect(plan).toMatchObject({ parting: 4, from: { cursor: 7 }, to: { revision: 5, code: "EPOCH_BEHIND" } });
    expect(plan.taken).toMatchObject({ revisions: 3 });
    expect(plan.taken.listed.map(({ revision: at }) => Number(at))).toEqual([5, 6, 7]);
    // A look changes nothing.
    expect(await rowsOf(hub, site.id)).toMatchObject({ k4: "changed", k5: "shipped 5" });

    await resolve(hub);
    await world.elapse(10_000);
    expect(errorOf(again)).toBeNull();
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
    expect(await rowsOf(hub, site.id)).toMatchObject({ k1: "shipped 1", k2: "another life", k4: "shipped 4" });
    expect(await cursorOf(hub)).toBe(5);
    expect(await hub.read({ kind: "lives", link: linkId("california") })).toMatchObject({
      contenders: [],
      left: [{ epoch: site.epoch, from: 5, to: 7 }],
    });
    // The life that was left is fenced.
    site.uplink?.start();
    await put(site, "old", "life");
    await world.elapse(10_000);
    expect(errorOf(site)).toMatchObject({ code: "WRONG_EPOCH" });
    expect(await rowsOf(hub, site.id)).not.toHaveProperty("old");
  });

  // Simulated hierarchy, seed 980960022685: the dry run would have put aside all of the life that was followed.
  test("is no other life any more where a refusal is noted behind the decision", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const again = await site.restored(4);
    world.uplink(again, hub, {});
    await world.elapse(1_000);
    const { to } = await resolve(hub);
    await world.elapse(10_000);
    expect(errorOf(again)).toBeNull();
    await hub.propose({ kind: "noteContender", link: linkId("california"), contender: to }, { principal: "x" });
    expect(await codeOf(planResolution(hub, sha256, site.id, null))).toBe("NOT_FOUND");
    await world.elapse(1_000);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
  });

  // Simulated hierarchy, seed 78854763413: the site was told the cursor of the life that had been left, and took it for a fork.
  test("is told of its link as of one moment, also while an operator decides", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const again = await site.restored(4);
    world.uplink(again, hub, {});
    await world.elapse(1_000);
    expect(errorOf(again)).toMatchObject({ code: "EPOCH_BEHIND" });
    await again.uplink?.stop();

    const { backend } = hub;
    let isDecided = false;
    const read: typeof backend.read = async (query) => {
      const answer = await backend.read(query);
      if (query.kind === "link" && !isDecided) {
        isDecided = true;
        await resolve(hub);
      }
      return answer;
    };
    const { epoch, ancestors, revision: at } = again.position();
    const hello = {
      kind: "hello",
      version: SYNC_VERSION,
      link: linkId("california"),
      child: { kind: "site", cluster: again.id, epoch, ancestors, revision: at, credential: new Uint8Array() },
      down: null,
    } as const;
    const principal = { ...ANYBODY, name: "site:california" };
    const during = admitChild({ ...backend, read }, hello, principal);
    expect(await codeOf(during)).toBe("EPOCH_BEHIND");
    const after = await admitChild(backend, hello, principal);
    expect(after.link).toMatchObject({ epoch, cursor: 4 });
  });

  test("takes again what was put aside of an earlier life, when one that went on from it is chosen after all", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const second = await site.restored(3);
    await put(second, "k1", "second life");
    world.uplink(second, hub, {});
    await world.elapse(1_000);
    await resolve(hub);
    await world.elapse(10_000);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(second, null));
    await second.uplink?.stop();

    const third = await site.restored(5);
    await put(third, "k2", "third life");
    world.uplink(third, hub, {});
    await world.elapse(1_000);
    expect(errorOf(third)).toMatchObject({ code: "FORK" });
    await resolve(hub, third.epoch.nonce);
    await world.elapse(10_000);
    expect(errorOf(third)).toBeNull();
    expect(await cursorOf(hub)).toBe(6);
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(third, null));
  });

  test("L1: of more lives than are remembered the others are refused, and cost no entry", async () => {
    const { world, hub, site } = await fleet(5, 0);
    for (let i = 0; i < 9; i++) {
      const again = await site.restored(4);
      const uplink = world.uplink(again, hub, {});
      await world.elapse(20_000);
      expect(errorOf(again)).toMatchObject({ code: "EPOCH_BEHIND" });
      await uplink.stop();
    }
    expect(hub.proposals.filter(({ kind }) => kind === "noteContender").length).toBe(8);
  });

  test("an older life is refused, and nothing of it is taken", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const again = await site.restored(5);
    world.uplink(again, hub, {});
    await put(again, "after");
    await world.elapse(1_000);
    await put(site, "old", "life");
    site.uplink?.start();
    await world.elapse(5_000);
    expect(errorOf(site)).toMatchObject({ code: "WRONG_EPOCH" });
    expect(hub.ended.map(({ code }) => code)).toContain("WRONG_EPOCH");
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(again, null));
  });

  test.each(["taken first", "arrived later"])(
    "of two lives of one counter the operator chooses; here the one that %s",
    async (which) => {
      const { world, hub, site } = await fleet(5, 2);
      const [one, other] = [await site.restored(6), await site.restored(7)];
      await put(one, "who", "one");
      await put(other, "who", "other");
      world.uplink(one, hub, {});
      await world.elapse(1_000);
      world.uplink(other, hub, {});
      await world.elapse(5_000);
      expect(errorOf(one)).toBeNull();
      expect(errorOf(other)).toMatchObject({ code: "FORK" });
      expect(errorOf(other)?.message).toMatch(/parted at revision 6/);
      expect((await hub.read({ kind: "lives", link: linkId("california") })).contenders).toMatchObject([
        { epoch: other.epoch, code: "FORK" },
      ]);
      if (which === "arrived later") await resolve(hub, other.epoch.nonce.slice(0, 8));
      for (const key of ["x", "y"]) {
        await put(one, key, "one");
        await put(other, key, "other");
      }
      // The connection that is open ends with its next push.
      await world.elapse(10_000);
      const [kept, fenced] = which === "arrived later" ? [other, one] : [one, other];
      expect(errorOf(kept)).toBeNull();
      expect(errorOf(fenced)).toMatchObject({ code: "FORK" });
      expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(kept, null));
    },
  );

  test("a clone that went on by itself is a fork, named with the revision at both ends", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const clone = await site.cloned();
    await put(site, "a", "site");
    site.uplink?.start();
    await world.elapse(1_000);
    await put(clone, "a", "clone");
    await put(clone, "b", "clone");
    hub.ended.length = 0;
    world.uplink(clone, hub, {});
    await world.elapse(1_000);
    expect(errorOf(clone)).toMatchObject({ code: "FORK" });
    expect(errorOf(clone)?.details).toMatch(/revision 6/);
    expect(hub.ended[0]).toMatchObject({ code: "FORK", details: errorOf(clone)?.details });
    expect(await rowsOf(hub, site.id)).toEqual(await rowsOf(site, null));
  });

  test("a site whose disks went back is a fork, not taken for behind", async () => {
    const { world, hub, site } = await fleet(5, 0);
    const back = await site.cloned();
    site.uplink?.start();
    for (const key of ["a", "b"]) await put(site, key);
    await world.elapse(1_000);
    world.uplink(back, hub, {});
    await world.elapse(1_000);
    expect(errorOf(back)).toMatchObject({ code: "FORK" });
    expect(errorOf(back)?.details).toMatch(/revision 7, this cluster ends at 5/);
  });

  test("ahead is no fork: a node that is behind its own cluster asks it before it judges", async () => {
    const { world, hub, site } = await fleet(5, 0);
    // As it stood when this node said hello; since then another one led, and shipped more.
    const old = site.position();
    let behind = true;
    let asked = 0;
    const node = {
      propose: site.propose.bind(site),
      read: site.read.bind(site),
      history: site.history.bind(site),
      ledger: site.ledger.bind(site),
      follow: site.follow.bind(site),
      status: site.status.bind(site),
      onLeadership: site.onLeadership.bind(site),
      position: () => (behind ? old : site.position()),
      barrier: async () => {
        if (asked++ > 0) behind = false;
      },
    };
    site.uplink?.start();
    for (const key of ["a", "b"]) await put(site, key);
    await world.elapse(1_000);
    await site.uplink?.stop();
    const uplink = world.uplink(node, hub, {}, {}, site);
    await world.elapse(1_000);
    expect(asked).toBe(2);
    expect(uplink.status()).toMatchObject({ connected: true, lastError: null, cursor: 7 });
  });
});

test("L3: nothing but another life lowers what the parent holds", async () => {
  const { world, hub, site } = await fleet(5, 0);
  expect(site.position().parentHolds).toBe(5);
  const propose = (epoch: string, at: number) =>
    site.propose({ kind: "parentHolds", parent: hub.id, epoch, revision: revision(at) }, { principal: "x" });
  await propose("00".repeat(16), 3);
  await propose(hub.epoch.nonce, 2);
  expect(site.position().parentHolds).toBe(5);
  await world.flush();
  expect(await codeOf(planResolution(hub, sha256, site.id, null))).toBe("NOT_FOUND");
});
