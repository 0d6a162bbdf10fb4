/** S5: what a site shed before its hub had it, and the snapshot that makes the mirror right again (S4). */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { settle } from "../../simulation/virtual-clock.ts";
import { change } from "../state-machine/one-cluster.ts";
import { linkId, type TestCluster, World } from "./world.ts";

const put = (cluster: TestCluster, key: string, value = "v") =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });
const remove = (cluster: TestCluster, key: string) =>
  cluster.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
const edit = (cluster: TestCluster, ...changes: ReturnType<typeof change>[]) =>
  cluster.execute({ kind: "change", collection: "log", document: "d", changes });
const shed = (cluster: TestCluster, to: number) =>
  cluster.propose({ kind: "shed", revision: revision(to) }, { principal: "node:california-1" });

async function rowsOf(cluster: TestCluster, origin: TestCluster | null): Promise<string[]> {
  const { rows } = await cluster.read({
    kind: "range",
    origin: origin?.id ?? null,
    ...plainRange(utf8(""), null, 10_000),
  });
  return rows.map(
    ({ key, value, createRevision, modRevision, version }) =>
      `${utf8Text(key)}=${utf8Text(value)} ${createRevision}/${modRevision}/${version}`,
  );
}

async function shedAt(cluster: TestCluster): Promise<string[]> {
  const { shed: all } = await cluster.read({ kind: "shed" });
  return all.flatMap(({ link, runs }) => runs.map(({ from, to }) => `${link ?? "own"} ${from}-${to}`));
}

/** Which of the site's revisions the hub has as bodies, and what it was told of it in one go. */
async function bodiesAt(hub: TestCluster, site: TestCluster): Promise<(number | string)[]> {
  const { records } = await hub.ledger(revision(1), 100_000_000);
  return records.flatMap(({ record }) => {
    const { origin, snapshot } = decodeRecord(record);
    return origin?.cluster === site.id ? [snapshot ? `snapshot@${origin.revision}` : origin.revision] : [];
  });
}

async function fleet() {
  const world = new World();
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  const uplink = world.uplink(site, hub);
  await world.flush();
  return { world, hub, site, uplink };
}

describe("S5: a site that shed what its hub lacks", () => {
  test("ships a snapshot of the first revision that it still tells, and then every record behind it", async () => {
    const { world, hub, site, uplink } = await fleet();
    for (const key of ["a", "b", "gone"]) await put(site, key);
    await world.elapse(2_000);
    uplink.setEnabled(false);
    await world.flush();
    await put(site, "a", "2"); // 4
    await remove(site, "gone"); // 5
    await put(site, "c"); // 6
    await put(site, "a", "3"); // 7
    expect(await shed(site, 6)).toMatchObject({ outcome: { ok: true } });
    await put(site, "c", "2"); // 8
    expect(await shedAt(site)).toEqual(["own 4-6"]);
    uplink.setEnabled(true);
    await world.elapse(2_000);
    expect(await bodiesAt(hub, site)).toEqual([1, 2, 3, "snapshot@6", 7, 8]);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
    expect(await shedAt(hub)).toEqual(["california 4-6"]);
    expect(await shedAt(site)).toEqual(["own 4-6"]);
    expect(site.position().parentHolds).toBe(8);
    await put(site, "d");
    await world.elapse(2_000);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
  });

  test("a hub that had more than the site knew is not told to lack it", async () => {
    const { world, hub, site, uplink } = await fleet();
    for (const key of ["a", "b", "c", "d", "e"]) await put(site, key);
    // The hub took it, and its word was lost.
    await world.deliver(6);
    uplink.setEnabled(false);
    world.cutAll();
    await world.flush();
    const { link } = await hub.read({ kind: "link", link: linkId("california") });
    const held = link?.cursor ?? 0;
    expect(held).toBeGreaterThan(site.position().parentHolds);
    for (let i = 0; i < 10; i++) await put(site, "f", String(i));
    await shed(site, 12);
    uplink.setEnabled(true);
    await world.elapse(5_000);
    expect(await shedAt(hub)).toEqual([`california ${held + 1}-12`]);
    expect(await shedAt(site)).toEqual([`own ${held + 1}-12`]);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
  });

  test("S3: what is on its way when it sheds more is not taken for held", async () => {
    const { world, hub, site } = await fleet();
    await put(site, "a");
    await world.elapse(2_000);
    // One push is on its way, and what follows waits for its answer.
    for (const key of ["b", "c", "d", "e", "f"]) await put(site, key);
    await settle();
    await shed(site, 6);
    await put(site, "g");
    await settle();
    world.cutAll();
    const { link } = await hub.read({ kind: "link", link: linkId("california") });
    expect(link?.cursor).toBe(1);
    expect(site.position().parentHolds).toBe(1);
    await world.elapse(10_000);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
    expect(await shedAt(hub)).toEqual(["california 2-6"]);
    expect(await shedAt(site)).toEqual(["own 2-6"]);
  });

  test("documents: the changes that were in what was shed come with the snapshot", async () => {
    const { world, hub, site, uplink } = await fleet();
    await edit(site, change(1, "a", 1, []));
    await world.elapse(2_000);
    uplink.setEnabled(false);
    await world.flush();
    await edit(site, change(2, "a", 2, [1]), change(3, "a", 3, [2]));
    await put(site, "k");
    await shed(site, 3);
    await edit(site, change(4, "a", 4, [3]));
    uplink.setEnabled(true);
    await world.elapse(2_000);
    for (const cluster of [hub, site]) {
      const answer = await cluster.read({ kind: "document", collection: "log", document: "d", after: 0, limit: 100 });
      expect(answer).toMatchObject({ pending: 0, position: 4 });
    }
    // Those that the hub had are not sent again.
    const { records } = await hub.ledger(revision(1), 1_000_000);
    expect(records.map(({ record }) => decodeRecord(record).events.length)).toEqual([1, 1, 2, 1]);
  });

  test("Q3: private keys stay where they are", async () => {
    const { world, hub, site, uplink } = await fleet();
    await site.execute({ kind: "setHome", prefix: utf8("pin/"), home: "private", without: [] });
    await put(site, "a");
    await world.elapse(2_000);
    uplink.setEnabled(false);
    await world.flush();
    for (const key of ["pin/1", "b", "pin/2", "c"]) await put(site, key, "secret");
    await shed(site, site.position().revision - 1);
    uplink.setEnabled(true);
    await world.elapse(5_000);
    expect((await rowsOf(hub, site)).map((row) => row.split("=")[0])).toEqual(["a", "b", "c"]);
  });

  test.each([
    ["site", "pin/"],
    ["hub", "pin/shared/"],
  ] as const)("Q3: what was private at its revision is not told after the home became %s", async (where, prefix) => {
    const { world, hub, site, uplink } = await fleet();
    await site.execute({ kind: "setHome", prefix: utf8("pin/"), home: "private", without: [] });
    await world.elapse(2_000);
    uplink.setEnabled(false);
    await world.flush();
    await put(site, "a");
    await put(site, "pin/shared/1", "secret");
    await put(site, "b");
    const at = site.position().revision;
    await remove(site, "pin/shared/1");
    expect(await site.execute({ kind: "setHome", prefix: utf8(prefix), home: where, without: [] })).toMatchObject({
      ok: true,
    });
    await put(site, "pin/shared/2", "open");
    await shed(site, at);
    uplink.setEnabled(true);
    await world.elapse(5_000);
    expect((await rowsOf(hub, site)).map((row) => row.split("=")[0])).toEqual(["a", "b", "pin/shared/2"]);
    const { records } = await hub.ledger(revision(1), 100_000_000);
    expect(records.some(({ record }) => Buffer.from(record).includes("secret"))).toBe(false);
  });

  test.each([0, 1, 2, 3, 4, 5, 6])("is cut after %i frames: nothing twice, nothing missing", async (frames) => {
    const { world, hub, site, uplink } = await fleet();
    for (let i = 0; i < 1_500; i++) await put(site, `k/${i}`);
    await world.elapse(5_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 1_000; i++) await remove(site, `k/${i}`);
    for (let i = 1_000; i < 2_500; i++) await put(site, `k/${i}`, "2");
    await shed(site, site.position().revision - 10);
    const before = hub.position().revision;
    uplink.setEnabled(true);
    await world.deliver(2 + frames);
    world.cutAll();
    await world.elapse(30_000);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
    const { records } = await hub.ledger(revision(before + 1), 100_000_000);
    const events = records.reduce((sum, { record }) => sum + decodeRecord(record).events.length, 0);
    expect(events).toBe(1_000 + 1_500);
    expect(await shedAt(hub)).toEqual([`california 1501-${site.position().revision - 10}`]);
  });

  test("is shed further while the snapshot is on its way: a later one takes its place", async () => {
    const { world, hub, site, uplink } = await fleet();
    for (let i = 0; i < 1_500; i++) await put(site, `k/${i}`);
    await shed(site, 1_000);
    world.cutAll();
    await world.flush();
    await world.elapse(500);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 700; i++) await remove(site, `k/${i}`);
    await shed(site, 2_100);
    uplink.setEnabled(true);
    await world.elapse(30_000);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
    expect((await shedAt(hub)).at(-1)).toMatch(/-2100$/);
  });

  test("three tiers: a snapshot travels up like any record, and the mirror of the mirror is right", async () => {
    const world = new World();
    const central = await world.cluster("central");
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    world.uplink(hub, central);
    const uplink = world.uplink(site, hub);
    for (let i = 0; i < 600; i++) await put(site, `k/${i}`);
    await world.elapse(5_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 600; i++) await (i % 2 === 0 ? remove(site, `k/${i}`) : put(site, `k/${i}`, "2"));
    await shed(site, 1_200);
    uplink.setEnabled(true);
    await world.elapse(30_000);
    expect(await rowsOf(hub, site)).toEqual(await rowsOf(site, null));
    expect(await rowsOf(central, site)).toEqual(await rowsOf(site, null));
  });

  test("the hub sheds in its turn: its children's mirrors come with its snapshot, and their later records behind it", async () => {
    const world = new World();
    const central = await world.cluster("central");
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    const up = world.uplink(hub, central);
    world.uplink(site, hub);
    for (let i = 0; i < 50; i++) await put(site, `k/${i}`);
    await put(hub, "own");
    await world.elapse(5_000);
    up.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 50; i++) await (i % 2 === 0 ? remove(site, `k/${i}`) : put(site, `k/${i}`, "2"));
    await put(hub, "own", "2");
    await world.elapse(5_000);
    await shed(hub, hub.position().revision - 10);
    await put(site, "k/late");
    await world.elapse(5_000);
    up.setEnabled(true);
    await world.elapse(30_000);
    expect(await rowsOf(central, hub)).toEqual(await rowsOf(hub, null));
    expect(await rowsOf(central, site)).toEqual(await rowsOf(site, null));
  });
});
