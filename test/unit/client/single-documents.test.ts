/** S4: who opens a document gets that document, whatever its collection holds; and keeps it. */
import "@automerge/automerge";
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { describe, expect, test } from "vitest";
import { ANYBODY } from "../sync/anybody.ts";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";
import { telling } from "./telling.ts";

const COLLECTION = "log";

const named = (document: string) => ({ collection: COLLECTION, document });

/** A site with so many documents, and who wrote them, who has them all open. */
async function written(world: World, count: number) {
  const site = await world.cluster("california");
  const author = await world.client(site, { subscribe: { collections: [COLLECTION] } });
  await world.elapse(1_000);
  author.goOffline();
  const all: DocumentHandle<Log>[] = [];
  for (let i = 0; i < count; i++) {
    const handle = await author.docs.open<Log>(COLLECTION, `d${i}`, { initial: EMPTY });
    handle.change(append(`text ${i}`));
    all.push(handle);
  }
  author.goOnline();
  await world.elapse(10_000);
  expect(author.status().unsynced).toBe(0);
  return { site, author, all };
}

async function opened(world: World, client: Client, id: string): Promise<DocumentHandle<Log>> {
  const opening = client.docs.open<Log>(COLLECTION, id);
  await world.elapse(2_000);
  return opening;
}

async function hashes(store: MemoryClientStore, id: string): Promise<readonly string[]> {
  return (await store.document(COLLECTION, id)).map(({ hash }) => hash).sort();
}

async function atSite(site: TestCluster, id: string): Promise<readonly string[]> {
  const { changes } = await site.read({ kind: "document", ...named(id), after: 0, limit: 10_000 });
  return changes.map(({ hash }) => hash).sort();
}

describe("S4: a single document", () => {
  test("opened: it comes with what others write to it, and nothing else of its collection does", async () => {
    const world = new World();
    const { site, all } = await written(world, 5);
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    await world.elapse(1_000);
    const handle = await opened(world, client, "d3");
    expect(handle.doc().text).toBe("text 3");
    for (const one of all) one.change(append(", more"));
    await world.elapse(5_000);
    expect(handle.doc().text).toBe("text 3, more");
    expect(await store.documents(COLLECTION)).toEqual(["d3"]);
    expect(client.status()).toMatchObject({ link: "online", lastError: null, cursor: site.position().revision });
  });

  test("opened where the collection is wanted whole: all of it comes, and it is not named beside it", async () => {
    const world = new World();
    const { site } = await written(world, 3);
    const store = new MemoryClientStore();
    const client = await world.client(site, { store, subscribe: { collections: [COLLECTION] } });
    await opened(world, client, "d1");
    expect([...(await store.documents(COLLECTION))].sort()).toEqual(["d0", "d1", "d2"]);
    expect((await store.down())?.subscription).toEqual({ prefixes: [], collections: [COLLECTION], mirrors: false });
  });

  test("the 50th: over the connection that there is, and the other 49 do not come again", async () => {
    const world = new World();
    const { site } = await written(world, 50);
    const traffic = { sent: 0, received: 0 };
    const store = new MemoryClientStore();
    const client = await world.client(site, { store, connect: async () => site.connect(traffic) });
    for (let i = 0; i < 49; i++) await opened(world, client, `d${i}`);
    const before = { ...traffic };
    const { connections } = client.metrics();
    const handle = await opened(world, client, "d49");
    expect(handle.doc().text).toBe("text 49");
    // One empty, one for the first document of all.
    expect(connections).toBeLessThanOrEqual(2);
    expect(client.metrics().connections).toBe(connections);
    const history = (await store.document(COLLECTION, "d49")).reduce((sum, { bytes }) => sum + bytes.length, 0);
    // Its changes twice: as it was asked for, and as of the stream; with all 50 names, twice.
    expect(traffic.received - before.received).toBeLessThan(2 * history + 2 * 50 * 12 + 2_000);
    for (let i = 0; i < 50; i++) expect(await hashes(store, `d${i}`)).toEqual(await atSite(site, `d${i}`));
    expect((await store.down())?.subscription.documents).toHaveLength(50);
  });

  test("opened many at once, of an empty site too: one connection more, and each comes", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const [client, other] = [await world.client(site), await world.client(site)];
    await world.elapse(1_000);
    const opening = Array.from({ length: 20 }, (_, i) => client.docs.open<Log>(COLLECTION, `d${i}`));
    await world.elapse(5_000);
    const handles = await Promise.all(opening);
    expect(client.metrics()).toMatchObject({ connections: 2, failedConnections: 0 });
    for (let i = 0; i < 20; i++) {
      const theirs = other.docs.open<Log>(COLLECTION, `d${i}`, { initial: EMPTY });
      await world.elapse(100);
      (await theirs).change(append(`text ${i}`));
    }
    await world.elapse(5_000);
    expect(handles.map((handle) => handle.doc().text)).toEqual(handles.map((_, i) => `text ${i}`));
    expect(client.status().lastError).toBeNull();
  });

  test("closed: it is kept up to date all the same, in the next session too, and is there offline", async () => {
    const world = new World();
    const { site, all } = await written(world, 3);
    const store = new MemoryClientStore();
    const first = await world.client(site, { store });
    (await opened(world, first, "d1")).close();
    all[1]?.change(append(", more"));
    await world.elapse(2_000);
    await first.stop();
    all[1]?.change(append(", and more"));
    await world.elapse(2_000);
    const second = await world.client(site, { store });
    await world.elapse(2_000);
    second.goOffline();
    const handle = await second.docs.open<Log>(COLLECTION, "d1");
    expect(handle.doc().text).toBe("text 1, more, and more");
    expect(await store.documents(COLLECTION)).toEqual(["d1"]);
  });

  test.each(Array.from({ length: 16 }, (_, i) => i))(
    "the connection is cut %i frames after it was opened, and others write meanwhile: nothing lacks",
    async (frames) => {
      const world = new World();
      const { site, all } = await written(world, 4);
      const store = new MemoryClientStore();
      const client = await world.client(site, { store });
      await opened(world, client, "d0");
      const opening = [client.docs.open<Log>(COLLECTION, "d1"), client.docs.open<Log>(COLLECTION, "d2")];
      for (const one of all) one.change(append(", more"));
      await world.deliver(frames);
      world.cutAll();
      for (const one of all) one.change(append(", and more"));
      await world.elapse(60_000);
      await Promise.all(opening);
      for (const id of ["d0", "d1", "d2"]) expect(await hashes(store, id)).toEqual(await atSite(site, id));
      expect(await store.documents(COLLECTION)).not.toContain("d3");
      expect(client.status()).toMatchObject({ link: "online", cursor: site.position().revision });
      expect(await store.down()).toMatchObject({ snapshot: null });
    },
  );

  test.each(Array.from({ length: 8 }, (_, i) => i))(
    "opened where the site has nothing yet, and the connection is cut %i frames later: no snapshot stays under way",
    async (frames) => {
      const world = new World();
      const site = await world.cluster("california");
      const store = new MemoryClientStore();
      const client = await world.client(site, { store });
      await opened(world, client, "d0");
      const opening = client.docs.open<Log>(COLLECTION, "d1");
      await world.deliver(frames);
      world.cutAll();
      await world.elapse(30_000);
      const other = await world.client(site);
      const theirs = other.docs.open<Log>(COLLECTION, "d1", { initial: EMPTY });
      await world.elapse(100);
      (await theirs).change(append("text"));
      await world.elapse(30_000);
      expect((await opening).doc().text).toBe("text");
      expect([client.status().sync, (await store.down())?.snapshot]).toEqual([{ kind: "streaming" }, null]);
    },
  );

  test("several that are long, all new: page by page, each change once, also over a cut", async () => {
    const world = new World();
    const { site, author, all } = await written(world, 3);
    author.goOffline();
    for (const one of all) for (let i = 0; i < 500; i++) one.change(append("."));
    author.goOnline();
    await world.elapse(10_000);
    const pieces: string[] = [];
    const store = new MemoryClientStore();
    const connect = async () => telling(site.connect(), pieces);
    const first = await world.client(site, { store, connect });
    await opened(world, first, "absent");
    await first.stop();
    const documents = all.map(({ id }) => named(id));
    const client = await world.client(site, { store, connect, subscribe: { documents } });
    await world.deliver(5);
    world.cutAll();
    await world.elapse(10_000);
    expect(new Set(pieces).size).toBe(pieces.length);
    expect(pieces.length).toBeGreaterThan(2);
    for (const { id } of all) expect(await hashes(store, id)).toEqual(await atSite(site, id));
    expect(client.status().sync).toEqual({ kind: "streaming" });
  });

  test("opened behind a compaction, and while the stream is overtaken by one: what stands comes whole", async () => {
    const world = new World();
    const { site, all } = await written(world, 3);
    const compact = async () =>
      expect(await site.execute({ kind: "compact", revision: site.position().revision })).toMatchObject({ ok: true });
    await compact();
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    await opened(world, client, "d0");
    const opening = client.docs.open<Log>(COLLECTION, "d1");
    all[0]?.change(append(", more"));
    await world.deliver(6);
    await compact();
    await world.elapse(10_000);
    expect((await opening).doc().text).toBe("text 1");
    for (const id of ["d0", "d1"]) expect(await hashes(store, id)).toEqual(await atSite(site, id));
  });

  test("opened while a large snapshot comes: that one is not begun again, and the document is there before its end", async () => {
    const world = new World();
    const { site } = await written(world, 2);
    for (let i = 0; i < 3_000; i++)
      await site.execute({ kind: "put", key: new TextEncoder().encode(`q/${i}`), value: new Uint8Array(100) });
    expect(await site.execute({ kind: "compact", revision: site.position().revision })).toMatchObject({ ok: true });
    const pieces: string[] = [];
    const store = new MemoryClientStore();
    const connect = async () => telling(site.connect(), pieces);
    const client = await world.client(site, { store, subscribe: { prefixes: ["q/"] }, connect });
    await world.deliver(6);
    const begun = (await store.down())?.snapshot;
    expect(begun?.head.kept).toBeNull();
    const opening = client.docs.open<Log>(COLLECTION, "d1");
    await world.deliver(3);
    world.cutAll();
    await world.elapse(10_000);
    expect((await opening).doc().text).toBe("text 1");
    expect((await client.kv.list("q/", { consistency: "local" })).length).toBe(3_000);
    expect(await store.down()).toMatchObject({ snapshot: null, subscription: { documents: [named("d1")] } });
    // Each piece once: what was delivered before the cut is stored.
    expect(new Set(pieces).size).toBe(pieces.length);
    expect(pieces.filter((piece) => piece.startsWith(`${begun?.head.at} `)).length).toBeGreaterThanOrEqual(6);
  });

  test("a collection that is wanted whole later: its documents that are here do not come again", async () => {
    const world = new World();
    const { site, all } = await written(world, 2);
    all[0]?.change(append("x".repeat(50_000)));
    await world.elapse(2_000);
    const store = new MemoryClientStore();
    const first = await world.client(site, { store });
    await opened(world, first, "d0");
    await first.stop();
    const traffic = { sent: 0, received: 0 };
    const options = { store, subscribe: { collections: [COLLECTION] }, connect: async () => site.connect(traffic) };
    await world.client(site, options);
    await world.elapse(5_000);
    for (const id of ["d0", "d1"]) expect(await hashes(store, id)).toEqual(await atSite(site, id));
    expect(traffic.received).toBeLessThan(20_000);
  });

  test("that may not be read: nothing of it comes, and the stream goes on", async () => {
    const world = new World();
    const { site, all } = await written(world, 3);
    const secrets = new Set(["d0", "d2"]);
    site.principal = () => ({ ...ANYBODY, mayReadDocument: (_, document) => !secrets.has(document) });
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    // The first comes with the records from the beginning on, the others by snapshots.
    const secret = await opened(world, client, "d0");
    const open = await opened(world, client, "d1");
    await opened(world, client, "d2");
    for (const one of all) one.change(append(", more"));
    await world.elapse(5_000);
    expect(secret.doc()).toEqual({});
    expect(open.doc().text).toBe("text 1, more");
    expect(await store.documents(COLLECTION)).toEqual(["d1"]);
    expect(client.status()).toMatchObject({ link: "online", cursor: site.position().revision });
  });
});

describe("X1: documents that one device is kept up to date with", () => {
  test("1,024 are open; one more is refused, and comes when another one is closed", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    await world.flush();
    client.goOffline();
    const handles: DocumentHandle<Log>[] = [];
    for (let i = 0; i < 1_024; i++) handles.push(await client.docs.open<Log>(COLLECTION, `d${i}`));
    expect(await codeOf(client.docs.open("another", "e"))).toBe("OVERLOADED");
    handles[7]?.close();
    expect(await codeOf(client.docs.open("another", "e"))).toBe("ok");
    client.goOnline();
    await site.execute({ kind: "put", key: new Uint8Array(1), value: new Uint8Array(1) });
    await world.elapse(5_000);
    expect(client.status()).toMatchObject({ link: "online", lastError: null, cursor: 1 });
  });

  test("of more than that, those give way that were opened longest ago and are closed; what is here of them stays", async () => {
    const world = new World();
    const { site, all } = await written(world, 4);
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    await world.elapse(1_000);
    // The first stays open, the second is opened again, and so the third gives way.
    const kept = await opened(world, client, "d0");
    for (const id of ["d1", "d2", "d1"]) (await opened(world, client, id)).close();
    client.goOffline();
    for (let i = 0; i < 1_022; i++) (await client.docs.open<Log>(COLLECTION, `absent${i}`)).close();
    client.goOnline();
    await world.elapse(5_000);
    for (const one of all) one.change(append(", more"));
    await world.elapse(5_000);
    expect(kept.doc().text).toBe("text 0, more");
    expect(await hashes(store, "d1")).toEqual(await atSite(site, "d1"));
    const names = (await store.down())?.subscription.documents ?? [];
    expect(names).toHaveLength(1_024);
    expect(names).not.toContainEqual(named("d2"));
    expect((await hashes(store, "d2")).length).toBe((await atSite(site, "d2")).length - 1);
    // Opened again, it shows what is here at once, and then what it lacks.
    const again = await client.docs.open<Log>(COLLECTION, "d2");
    expect(again.doc().text).toBe("text 2");
    await world.elapse(2_000);
    expect(again.doc().text).toBe("text 2, more");
  });
});
