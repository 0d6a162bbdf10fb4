/** S4, from a parent to a site: a cursor behind what the parent keeps, and a subscription that changed. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { isKeyEvent } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { change, changeHash } from "../state-machine/one-cluster.ts";
import { linkId, type TestCluster, World } from "./world.ts";

const put = (cluster: TestCluster, key: string, value = "v") =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });
const remove = (cluster: TestCluster, key: string) =>
  cluster.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
const compact = async (cluster: TestCluster) =>
  expect(await cluster.execute({ kind: "compact", revision: cluster.position().revision })).toMatchObject({ ok: true });

/** Every row, with all of its numbers. */
async function rowsOf(cluster: TestCluster, origin: TestCluster | null, prefix = ""): Promise<string[]> {
  const range = plainRange(utf8(prefix), null, 10_000);
  const { rows } = await cluster.read({ kind: "range", origin: origin?.id ?? null, ...range });
  return rows
    .filter(({ key }) => utf8Text(key)?.startsWith(prefix) === true)
    .map(
      ({ key, value, createRevision, modRevision, version }) =>
        `${utf8Text(key)}=${utf8Text(value)} ${createRevision}/${modRevision}/${version}`,
    );
}

/** What the site's own watchers are told, from a revision on. */
async function toldBy(site: TestCluster, from: number): Promise<string[]> {
  const { records } = await site.ledger(revision(from), 100_000_000);
  return records.flatMap(({ record }) => {
    const { events, snapshot, origin } = decodeRecord(record);
    return events.map((event) => {
      const key = isKeyEvent(event) ? utf8Text(event.key) : "";
      const what = event.kind === "change" ? event.change.hash.slice(0, 4) : key;
      return `${snapshot ? "snapshot " : ""}${event.kind} ${what} of ${origin?.cluster}@${origin?.revision}`;
    });
  });
}

const configOf = (...prefixes: string[]): Partial<Subscription> => ({
  prefixes: prefixes.map((prefix) => utf8(prefix)),
});

async function siteAndHub(subscription: Partial<Subscription>, seed = 1) {
  const world = new World(seed);
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  const uplink = world.uplink(site, hub, subscription);
  await world.flush();
  return { world, hub, site, uplink };
}

describe("S4: a site whose cursor is behind what its parent keeps", () => {
  test("gets what stands, deletions included, at exactly one revision; then the records go on", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/"));
    for (const key of ["config/a", "config/b", "config/gone", "other"]) await put(hub, key);
    await world.elapse(2_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
    uplink.setEnabled(false);
    await world.flush();

    await put(hub, "config/a", "2");
    await put(hub, "config/b", "2");
    await remove(hub, "config/b");
    await remove(hub, "config/gone");
    await put(hub, "config/new");
    await put(hub, "config/b", "3");
    await compact(hub);
    const before = site.position().revision;
    uplink.setEnabled(true);
    await world.elapse(2_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
    expect(await toldBy(site, before + 1)).toEqual([
      "snapshot delete config/gone of hub@10",
      "snapshot put config/a of hub@10",
      "snapshot put config/b of hub@10",
      "snapshot put config/new of hub@10",
    ]);
    await put(hub, "config/a", "4");
    await world.elapse(2_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
    expect(await toldBy(site, before + 2)).toEqual(["put config/a of hub@11"]);
  });

  test("L1: a snapshot in which nothing differs takes no revision", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/"));
    await put(hub, "config/a");
    await world.elapse(2_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 5; i++) await put(hub, "other", String(i));
    await compact(hub);
    const before = site.position();
    uplink.setEnabled(true);
    await world.elapse(2_000);
    expect(site.position().revision).toBe(before.revision);
    const { link } = await site.read({ kind: "link", link: linkId("hub") });
    expect(link?.cursor).toBe(6);
  });

  test("a first contact behind a compaction; the key's numbers are its origin's, here and at any revision", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    for (let i = 0; i < 3; i++) await put(hub, "config/a", String(i));
    await put(hub, "config/b");
    await compact(hub);
    world.uplink(site, hub, configOf(""));
    await world.elapse(2_000);
    expect(await rowsOf(site, hub)).toEqual(["config/a=2 1/3/3", "config/b=v 4/4/1"]);
    const at = site.position().revision;
    const past = await site.history({ kind: "range", origin: hub.id, at, ...plainRange(utf8(""), null, 10) });
    expect(past.rows).toMatchObject([{ version: 3, createRevision: 1, modRevision: 3 }, { version: 1 }]);
  });

  test("documents merge: what is known here stays, what was missed comes, in causal order", async () => {
    const { world, hub, site, uplink } = await siteAndHub({ collections: ["log"] });
    const edit = (cluster: TestCluster, ...changes: ReturnType<typeof change>[]) =>
      cluster.execute({ kind: "change", collection: "log", document: "d", changes });
    const first = change(1, "aa", 1, []);
    await edit(hub, first);
    await world.elapse(2_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 2; i < 700; i++) await edit(hub, change(i, "aa", i, [i - 1]));
    const own = change(1_000, "bb", 1, [1]);
    await edit(site, own);
    await compact(hub);
    uplink.setEnabled(true);
    await world.elapse(5_000);
    for (const cluster of [hub, site]) {
      const { heads, pending } = await cluster.read({
        kind: "document",
        collection: "log",
        document: "d",
        after: 0,
        limit: 10_000,
      });
      expect(heads).toEqual([changeHash(699), own.hash]);
      expect(pending).toBe(0);
    }
  });

  test.each([0, 1, 2, 3, 4, 5, 7, 9])("is cut after %i frames and goes on by the piece", async (frames) => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/"));
    for (let i = 0; i < 2_000; i++) await put(hub, `config/${i}`);
    await world.elapse(5_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 1_500; i++) await remove(hub, `config/${i}`);
    for (let i = 1_500; i < 3_000; i++) await put(hub, `config/${i}`, "new");
    await compact(hub);
    const before = site.position().revision;
    uplink.setEnabled(true);
    await world.deliver(2 + frames);
    world.cutAll();
    await put(hub, "config/late");
    await world.elapse(30_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
    const told = await toldBy(site, before + 1);
    expect(new Set(told).size).toBe(told.length);
    expect(told).toHaveLength(1_500 + 1_500 + 1);
    const { snapshot } = await site.read({ kind: "stream", link: linkId("hub") });
    expect(snapshot).toBeNull();
  });

  test("moves the cursor at its end, and not before: what was not taken yet is not held", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/"));
    for (let i = 0; i < 2_000; i++) await put(hub, `config/${i}`);
    await world.elapse(5_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 2_000; i++) await put(hub, `config/${i}`, "2");
    await compact(hub);
    uplink.setEnabled(true);
    await world.deliver(4);
    world.cutAll();
    await world.flush();
    const cursor = async () => (await site.read({ kind: "link", link: linkId("hub") })).link?.cursor;
    expect((await site.read({ kind: "stream", link: linkId("hub") })).snapshot?.place.from.length).toBeGreaterThan(0);
    expect(await cursor()).toBe(2_000);
    await world.elapse(30_000);
    expect(await cursor()).toBe(4_000);
  });

  test("is compacted again while it comes: another one takes its place, and nothing of the first is left", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/"));
    for (let i = 0; i < 2_000; i++) await put(hub, `config/${i}`);
    await compact(hub);
    uplink.setEnabled(false);
    await world.flush();
    uplink.setEnabled(true);
    await world.deliver(4);
    world.cutAll();
    for (let i = 0; i < 100; i++) await remove(hub, `config/${i}`);
    await compact(hub);
    await world.elapse(30_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
  });
});

describe("S4, Q3: a site behind a compaction, and keys whose home is the hub", () => {
  const homeAtHub = (hub: TestCluster) =>
    hub.execute({ kind: "setHome", prefix: utf8("config/"), home: "hub", without: [] });

  test("a first contact learns of the home and has its keys, whatever it subscribes to; what it writes there is queued", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    await put(site, "config/site", "before");
    expect(await homeAtHub(hub)).toMatchObject({ ok: true });
    for (const key of ["config/a", "config/gone", "other"]) await put(hub, key);
    await remove(hub, "config/gone");
    await compact(hub);
    world.uplink(site, hub);
    await world.elapse(20_000);
    const { homes } = await site.read({ kind: "homes" });
    expect(homes).toMatchObject([{ home: "hub", owner: hub.id, open: true }]);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
    expect(await put(site, "config/b", "mine")).toMatchObject({ ok: true, response: { kind: "queued" } });
    await world.elapse(20_000);
    expect(await hub.get("config/b")).toBe("mine");
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
  });

  test("weeks offline: in the end what is there is the hub's, in order, each once; nothing of it goes with a subscription", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/a", "x/"));
    expect(await homeAtHub(hub)).toMatchObject({ ok: true });
    for (const key of ["config/a", "config/b", "x/1"]) await put(hub, key);
    await world.elapse(20_000);
    await uplink.stop();
    await world.flush();
    const cursor = hub.position().revision;
    await put(hub, "config/a", "2");
    await remove(hub, "config/b");
    await put(hub, "config/c");
    await compact(hub);
    const before = site.position().revision;
    world.uplink(site, hub);
    await world.elapse(20_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null, "config/"));
    expect(await toldBy(site, before + 1)).toEqual([
      `snapshot delete x/1 of hub@${cursor}`,
      `snapshot delete config/b of hub@${cursor + 3}`,
      `snapshot put config/a of hub@${cursor + 3}`,
      `snapshot put config/c of hub@${cursor + 3}`,
    ]);
  });
});

describe("S4: a subscription that changed", () => {
  test("brings what was added as of the cursor, marked; then the records go on for both", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("a/"));
    for (const key of ["a/1", "b/1", "b/2"]) await put(hub, key);
    await remove(hub, "b/2");
    await world.elapse(10_000);
    await uplink.stop();
    await world.flush();
    const before = site.position().revision;
    await put(hub, "b/1", "later");
    await put(hub, "a/1", "later");
    world.uplink(site, hub, configOf("a/", "b/"));
    await world.elapse(10_000);
    expect(await toldBy(site, before + 1)).toEqual([
      "snapshot put b/1 of hub@4",
      "put b/1 of hub@5",
      "put a/1 of hub@6",
    ]);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null));
  });

  test("deletes what is not wanted any more, as one marked change, with no word from the parent", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("a/", "b/"));
    for (const key of ["a/1", "b/1", "b/2"]) await put(hub, key);
    await world.elapse(10_000);
    await uplink.stop();
    await world.flush();
    const before = site.position().revision;
    world.unreachable.add(hub.id);
    world.uplink(site, hub, configOf("a/"));
    await world.elapse(10_000);
    expect(await rowsOf(site, hub)).toEqual(["a/1=v 1/1/1"]);
    expect(site.position().revision).toBe(before + 1);
    expect(await toldBy(site, before + 1)).toEqual(["snapshot delete b/1 of hub@3", "snapshot delete b/2 of hub@3"]);
    // And wanted again, it is there again.
    world.unreachable.clear();
    await site.uplink?.stop();
    world.uplink(site, hub, configOf("a/", "b/"));
    await world.elapse(10_000);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null));
  });

  test("mirrors of other sites come and go with it, and never those of the site itself", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const alaska = await world.cluster("alaska");
    const site = await world.cluster("california");
    world.uplink(alaska, hub);
    const first = world.uplink(site, hub, configOf("q/"));
    for (const key of ["q/1", "q/2", "x"]) await put(alaska, key);
    await remove(alaska, "q/2");
    await put(site, "q/own");
    await put(hub, "q/hub");
    await world.elapse(10_000);
    expect(await rowsOf(site, alaska)).toEqual([]);
    await first.stop();
    const second = world.uplink(site, hub, { ...configOf("q/"), mirrors: true });
    await world.elapse(10_000);
    expect(await rowsOf(site, alaska)).toEqual(["q/1=v 1/1/1"]);
    expect(await rowsOf(site, site)).toEqual([]);
    await put(alaska, "q/1", "2");
    await world.elapse(10_000);
    expect(await rowsOf(site, alaska)).toEqual(["q/1=2 1/5/2"]);
    await second.stop();
    world.uplink(site, hub, configOf("q/"));
    await world.elapse(10_000);
    expect(await rowsOf(site, alaska)).toEqual([]);
    expect(await rowsOf(site, hub)).toEqual(await rowsOf(hub, null));
  });

  test("twice in the middle of a snapshot: what is wanted last is what is there", async () => {
    const { world, hub, site, uplink } = await siteAndHub(configOf("config/"));
    for (let i = 0; i < 2_000; i++) await put(hub, `config/${i}`);
    for (let i = 0; i < 50; i++) await put(hub, `more/${i}`);
    await world.elapse(1_000);
    uplink.setEnabled(false);
    await world.flush();
    for (let i = 0; i < 2_000; i++) await put(hub, `config/${i}`, "2");
    await compact(hub);
    uplink.setEnabled(true);
    await world.deliver(4);
    await uplink.stop();
    world.cutAll();
    const second = world.uplink(site, hub, configOf("more/", "config/1"));
    await world.deliver(3);
    await second.stop();
    world.cutAll();
    world.uplink(site, hub, configOf("more/", "config/2"));
    await world.elapse(30_000);
    const wanted = [...(await rowsOf(hub, null, "config/2")), ...(await rowsOf(hub, null, "more/"))];
    expect(await rowsOf(site, hub)).toEqual(wanted);
  });
});
