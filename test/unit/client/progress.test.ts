/** S4: how far a first visit is, told over cuts, deaths and gateways; and nothing of it comes twice. */
import "@automerge/automerge";
import { utf8 } from "@openclaw/core/bytes.ts";
import type { Client, SyncProgress } from "@openclaw/core/client/client.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { describe, expect, test } from "vitest";
import { type TestCluster, World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";
import { telling } from "./telling.ts";

const KEYS = 3_000;
const CHANGES = 1_200;
const SUBSCRIBE = { prefixes: ["q/"], collections: ["log"] };

const put = (site: TestCluster, key: string, value = "v") =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });

/** Keys, some of them deleted, and a document of more changes than one piece holds; all of it compacted. */
async function filled(world: World): Promise<TestCluster> {
  const site = await world.cluster("california");
  const author = await world.client(site);
  const log = await author.docs.open<Log>("log", "long", { initial: EMPTY });
  await world.elapse(1_000);
  author.goOffline();
  for (let i = 1; i < CHANGES; i++) log.change(append("."));
  author.goOnline();
  for (let i = 0; i < KEYS + 100; i++) await put(site, `q/${i}`);
  for (let i = 0; i < 100; i++)
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8(`q/${KEYS + i}`) } });
  await world.elapse(10_000);
  expect(author.status().unsynced).toBe(0);
  await author.stop();
  expect(await site.execute({ kind: "compact", revision: site.position().revision })).toMatchObject({ ok: true });
  return site;
}

/** What `status` says from now on, each once. */
function told(client: Client): SyncProgress[] {
  const all: SyncProgress[] = [client.status().sync];
  client.subscribe(() => {
    const { sync } = client.status();
    if (JSON.stringify(sync) !== JSON.stringify(all.at(-1))) all.push(sync);
  });
  return all;
}

const receivedOf = (all: readonly SyncProgress[]): number[] =>
  all.flatMap((one) => (one.kind === "snapshot" ? [one.received] : []));

async function isWhole(site: TestCluster, store: MemoryClientStore): Promise<void> {
  const there = await site.read({ kind: "document", collection: "log", document: "long", after: 0, limit: 10_000 });
  const here = await store.document("log", "long");
  expect(here.map(({ hash }) => hash).sort()).toEqual(there.changes.map(({ hash }) => hash).sort());
  expect(here).toHaveLength(CHANGES);
  expect((await store.mirrored()).length).toBe(KEYS);
}

describe("S4: a first visit behind a compaction", () => {
  test("tells how many keys and changes have come, of how many", async () => {
    const world = new World();
    const site = await filled(world);
    const store = new MemoryClientStore();
    const client = await world.client(site, { store, subscribe: SUBSCRIBE });
    const all = told(client);
    expect(all).toEqual([{ kind: "waiting" }]);
    await world.elapse(5_000);
    const received = receivedOf(all);
    expect(received).toEqual([...received].sort((a, b) => a - b));
    expect(received.length).toBeGreaterThan(8);
    expect(received.at(-1)).toBe(KEYS + CHANGES);
    for (const one of all.slice(1, -1)) expect(one).toMatchObject({ kind: "snapshot", expected: KEYS + CHANGES });
    expect(all.at(-1)).toEqual({ kind: "streaming" });
    await isWhole(site, store);
    // More is wanted than is here: until that came, and again while there is no connection.
    client.kv.watch("r/", () => undefined);
    expect(client.status().sync).toEqual({ kind: "waiting" });
    await world.elapse(1_000);
    expect(client.status().sync).toEqual({ kind: "streaming" });
    client.goOffline();
    expect(client.status().sync).toEqual({ kind: "streaming" });
    client.kv.watch("s/", () => undefined);
    expect(client.status().sync).toEqual({ kind: "waiting" });
  });

  test("is cut every few frames, by a page that is closed every other time: counts on, and no piece comes twice", async () => {
    const world = new World();
    const site = await filled(world);
    const store = new MemoryClientStore();
    const pieces: string[] = [];
    const received: number[] = [];
    const open = () =>
      world.client(site, { store, subscribe: SUBSCRIBE, connect: async () => telling(site.connect(), pieces) });
    let client = await open();
    let all = told(client);
    let cuts = 0;
    for (; client.status().sync.kind !== "streaming"; cuts++) {
      // A hello, a welcome, a step or two with their credit.
      await world.deliver(6 + (cuts % 3));
      world.cutAll();
      if (cuts % 2 === 1) {
        await client.stop();
        received.push(...receivedOf(all));
        client = await open();
        all = told(client);
      } else while (client.status().link !== "online") await world.elapse(100);
    }
    received.push(...receivedOf(all));
    expect(cuts).toBeGreaterThan(2);
    expect(received).toEqual([...received].sort((a, b) => a - b));
    expect(new Set(pieces).size).toBe(pieces.length);
    await isWhole(site, store);
  });

  test("goes on at a revision of its own while others write: what they wrote comes behind it", async () => {
    const world = new World();
    const site = await filled(world);
    const store = new MemoryClientStore();
    const client = await world.client(site, { store, subscribe: SUBSCRIBE });
    await world.deliver(8);
    const begun = (await store.down())?.snapshot?.head.at;
    await put(site, "q/0", "2");
    await put(site, "q/new");
    world.cutAll();
    await put(site, "q/newer");
    await world.elapse(10_000);
    expect(begun).toBe(site.position().revision - 3);
    expect(client.status()).toMatchObject({ sync: { kind: "streaming" }, cursor: site.position().revision });
    expect((await store.mirrored()).length).toBe(KEYS + 2);
  });
});

describe("S4: a first visit to a site that has nothing", () => {
  test("is whole once the site said so, and stays so while it has nothing, whatever more is wanted", async () => {
    const world = new World();
    const site = await world.cluster("california");
    expect(site.position().revision).toBe(0);
    const client = await world.client(site, { subscribe: SUBSCRIBE });
    const all = told(client);
    expect(all).toEqual([{ kind: "waiting" }]);
    await world.elapse(1_000);
    expect(all).toEqual([{ kind: "waiting" }, { kind: "streaming" }]);
    client.kv.watch("r/", () => undefined);
    client.goOffline();
    client.goOnline();
    await world.elapse(1_000);
    expect(all).toHaveLength(2);
    await put(site, "q/1");
    await world.elapse(1_000);
    expect(client.status()).toMatchObject({ sync: { kind: "streaming" }, cursor: 1 });
    client.goOffline();
    client.kv.watch("s/", () => undefined);
    expect(client.status().sync).toEqual({ kind: "waiting" });
  });

  test("is not whole before it has what the site had when it was met", async () => {
    const world = new World();
    const site = await world.cluster("california");
    await put(site, "q/1");
    const client = await world.client(site, { subscribe: SUBSCRIBE });
    const cursors: number[] = [];
    client.subscribe(() => {
      if (client.status().sync.kind === "streaming") cursors.push(client.status().cursor);
    });
    await world.elapse(1_000);
    expect(client.status().sync).toEqual({ kind: "streaming" });
    expect(Math.min(...cursors)).toBe(1);
  });

  test("is asked again where the answer was lost, and where nothing is wanted nobody asks", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site, { subscribe: SUBSCRIBE });
    // A hello, its welcome, the question.
    await world.deliver(3);
    world.cutAll();
    expect(client.status().sync).toEqual({ kind: "waiting" });
    await world.elapse(5_000);
    expect(client.status().sync).toEqual({ kind: "streaming" });
    const idle = await world.client(site);
    await world.elapse(1_000);
    expect(idle.status()).toMatchObject({ link: "online", sync: { kind: "streaming" } });
  });
});
