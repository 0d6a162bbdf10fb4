import { utf8 } from "@openclaw/core/bytes.ts";
import type { Withdrawn } from "@openclaw/core/client/upstream.ts";
import { type ClusterId, isLinkId, revision } from "@openclaw/core/ids.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import { ParentEpochs } from "@openclaw/core/sync/parent-epochs.ts";
import { describe, expect, test } from "vitest";
import { sha256 } from "../state-machine/one-cluster.ts";
import { codeOf } from "./code-of.ts";
import { type TestCluster, World } from "./world.ts";

const put = (cluster: TestCluster, key: string, value = "v") =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const rowsOf = async (cluster: TestCluster, origin: ClusterId | null): Promise<Record<string, string>> => {
  const { rows } = await cluster.read({ kind: "range", origin, ...plainRange(utf8(""), null, 10_000) });
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return Object.fromEntries(rows.map(({ key, value }) => [text(key), text(value)]));
};

const errorOf = (cluster: TestCluster) => cluster.uplink?.status().lastError ?? null;

/** A site with three revisions and a hub with four of its own, each with all of the other's. */
async function fleet() {
  const world = new World();
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  world.uplink(site, hub, { prefixes: [utf8("")] });
  for (let i = 1; i <= 3; i++) await put(site, `s${i}`, `site ${i}`);
  for (let i = 1; i <= 4; i++) await put(hub, `h${i}`, `hub ${i}`);
  await world.elapse(10_000);
  // What came of the hub took a revision each, too.
  expect(site.position()).toMatchObject({ revision: 7, parentHolds: 7 });
  expect(await rowsOf(site, hub.id)).toMatchObject({ h4: "hub 4" });
  const goOver = async (to: TestCluster): Promise<void> => {
    to.children.add(site.id);
    await site.uplink?.stop();
    world.uplink(site, to, { prefixes: [utf8("")] });
    await world.elapse(20_000);
  };
  return { world, hub, site, goOver };
}

describe("L3: a parent at its child", () => {
  test("that departed above both cursors is followed, and nothing is withdrawn", async () => {
    const { world, hub, site, goOver } = await fleet();
    const again = await hub.restored(hub.position().revision);
    await put(again, "h5", "after");
    await goOver(again);
    expect(errorOf(site)).toBeNull();
    expect(await rowsOf(site, hub.id)).toEqual(await rowsOf(again, null));
    await put(site, "s4", "after");
    await world.elapse(5_000);
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(site, null));
    expect(site.position()).toMatchObject({ parentHolds: 9, parentEpoch: again.epoch.nonce });
  });

  test("that departed below what was taken is followed by itself: what it lost is put aside, and goes", async () => {
    const { world, hub, site, goOver } = await fleet();
    const all = hub.position().revision;
    await put(hub, "h1", "lost");
    await hub.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("h2") } });
    await put(hub, "h9", "lost");
    await world.elapse(10_000);
    expect(await rowsOf(site, hub.id)).toEqual({ h1: "lost", h3: "hub 3", h4: "hub 4", h9: "lost" });
    const again = await hub.restored(all);
    await put(again, "h3", "after");
    await goOver(again);
    expect(errorOf(site)).toBeNull();
    expect(await rowsOf(site, hub.id)).toEqual(await rowsOf(again, null));
    if (!isLinkId(hub.id)) throw new Error(hub.id);
    expect((await site.read({ kind: "lives", link: hub.id })).left).toMatchObject([
      { epoch: hub.epoch, from: all + 1, to: all + 3 },
    ]);
  });

  test("that departed below what was taken, of which some is compacted here, is followed by a snapshot", async () => {
    const { world, hub, site, goOver } = await fleet();
    const all = hub.position().revision;
    await put(hub, "h1", "lost");
    await hub.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("h2") } });
    await put(hub, "h9", "lost");
    await world.elapse(10_000);
    await site.execute({ kind: "compact", revision: site.position().revision });
    const again = await hub.restored(all);
    await put(again, "h3", "after");
    await goOver(again);
    expect(errorOf(site)).toBeNull();
    expect(await rowsOf(site, hub.id)).toEqual(await rowsOf(again, null));
    await put(again, "h4", "after");
    await put(site, "s4", "after");
    await world.elapse(10_000);
    expect(await rowsOf(site, hub.id)).toEqual(await rowsOf(again, null));
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(site, null));
  });

  test("that lost some of our ledger gets it again, and clients hear which revisions lost the rung hub", async () => {
    const { world, hub, site, goOver } = await fleet();
    const before = hub.position().revision;
    const client = await world.client(site);
    await world.elapse(1_000);
    for (let i = 4; i <= 6; i++) await put(site, `s${i}`, `site ${i}`);
    await world.elapse(1_000);
    expect(client.status().upstream).toBe(10);
    const withdrawn: Withdrawn[] = [];
    client.onWithdrawn((what) => withdrawn.push(what));
    const again = await hub.restored(before);
    // What it is told of the links of before: none; so it takes all of it again, and most of it is known.
    await goOver(again);
    expect(errorOf(site)).toBeNull();
    expect(withdrawn).toEqual([{ above: revision(0), to: revision(10) }]);
    expect(await rowsOf(again, site.id)).toEqual(await rowsOf(site, null));
    const { revision: end } = site.position();
    expect(site.position().parentHolds).toBe(end);
    expect(client.status().upstream).toBe(end);
    await client.stop();
  });

  test("a hub that never forgot a revision cannot come back with less in the same epoch", async () => {
    const { hub, site, world } = await fleet();
    const old = await hub.cloned();
    for (let i = 4; i <= 6; i++) await put(site, `s${i}`);
    await world.elapse(2_000);
    await site.uplink?.stop();
    old.children.add(site.id);
    world.uplink(site, old, {});
    await world.elapse(2_000);
    expect(errorOf(site)).toMatchObject({ code: "FORK" });
    expect(errorOf(site)?.details).toMatch(/has revision 7 of this cluster and acknowledged 10/);
    expect(site.position().parentHolds).toBe(10);
  });

  test("that was founded anew is refused, and followed when an operator says so", async () => {
    const { world, hub, site, goOver } = await fleet();
    const anew = await world.cluster("hub");
    await put(anew, "new", "hub");
    await goOver(anew);
    expect(errorOf(site)).toMatchObject({ code: "WRONG_EPOCH" });
    expect(errorOf(site)?.message).toMatch(/openclaw sync adopt-parent/);
    expect(site.position().parentHolds).toBe(7);
    expect(anew.proposals.some(({ kind }) => kind === "importLedger")).toBe(false);
    const plan = await site.uplink?.epochs.plan();
    expect(plan).toMatchObject({ parting: 0, holds: 0, held: 7, taken: { revisions: 4 } });
    expect(await rowsOf(site, hub.id)).toMatchObject({ h1: "hub 1" });
    await site.uplink?.epochs.adopt();
    await world.elapse(20_000);
    expect(errorOf(site)).toBeNull();
    expect(await rowsOf(site, hub.id)).toEqual({ new: "hub" });
    expect(await rowsOf(anew, site.id)).toEqual(await rowsOf(site, null));
    expect(await codeOf(site.uplink?.epochs.plan() ?? Promise.resolve())).toBe("NOT_FOUND");
  });

  test.each([0, 1])(
    "that was founded anew is adopted by a snapshot, where that is compacted; it has %i keys",
    async (keys) => {
      const { world, hub, site, goOver } = await fleet();
      await site.execute({ kind: "compact", revision: site.position().revision });
      const anew = await world.cluster("hub");
      if (keys > 0) await put(anew, "new", "hub");
      await goOver(anew);
      expect(errorOf(site)).toMatchObject({ code: "WRONG_EPOCH" });
      expect(await site.uplink?.epochs.plan()).toMatchObject({ parting: 0, taken: { changes: null } });
      await site.uplink?.epochs.adopt();
      await world.elapse(20_000);
      await put(anew, "later", "hub");
      await world.elapse(20_000);
      expect(errorOf(site)).toBeNull();
      expect(await rowsOf(site, hub.id)).toEqual(await rowsOf(anew, null));
      expect(await rowsOf(anew, site.id)).toEqual(await rowsOf(site, null));
    },
  );

  test("FORK: one that was founded anew and has more of the site's ledger than the site is not adopted", async () => {
    const { world, hub, site, goOver } = await fleet();
    const clone = await site.cloned();
    for (let i = 4; i <= 6; i++) await put(clone, `s${i}`);
    const anew = await world.cluster("hub");
    world.uplink(clone, anew);
    await world.elapse(2_000);
    await clone.uplink?.epochs.adopt();
    await world.elapse(10_000);
    await clone.uplink?.stop();
    await goOver(anew);
    expect(errorOf(site)).toMatchObject({ code: "WRONG_EPOCH" });
    expect(await codeOf(site.uplink?.epochs.adopt() ?? Promise.resolve())).toBe("FORK");
    expect(site.position()).toMatchObject({ parentHolds: 7, parentEpoch: hub.epoch.nonce });
  });

  test("is no fork for what it acknowledged over another connection since it was greeted", async () => {
    const { world, hub, site } = await fleet();
    const epochs = new ParentEpochs({
      source: site,
      parent: hub.id,
      sha256,
      barrier: () => site.barrier(),
      propose: (command) => site.propose(command, { principal: "tester" }),
    });
    epochs.greet();
    for (let i = 4; i <= 6; i++) await put(site, `s${i}`);
    await world.elapse(2_000);
    expect(site.position().parentHolds).toBe(10);
    const welcome = {
      kind: "welcome",
      version: SYNC_VERSION,
      cluster: hub.id,
      epoch: hub.epoch,
      ancestors: [],
      cursor: 7,
      hash: null,
      record: null,
      outcomes: [],
      upstream: revision(0),
      upstreamEpoch: null,
      snapshot: null,
    } as const;
    expect(await epochs.met(welcome)).toBe("goOn");
    epochs.greet();
    expect(await codeOf(epochs.met(welcome))).toBe("FORK");
  });

  test("an older life of it is refused", async () => {
    const { hub, site, goOver } = await fleet();
    const again = await hub.restored(hub.position().revision);
    await goOver(again);
    expect(errorOf(site)).toBeNull();
    await goOver(hub);
    expect(errorOf(site)).toMatchObject({ code: "WRONG_EPOCH" });
    expect(site.position().parentEpoch).toBe(again.epoch.nonce);
  });
});
