/** S4 at a client: a first visit behind a compaction, weeks offline, and a wider wish. */
import { prefixEnd, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import type { KeyEvent } from "@openclaw/core/client/key-row.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { keyAfter } from "@openclaw/core/state-machine/row-pages.ts";
import { describe, expect, test } from "vitest";
import { type TestCluster, World } from "../sync/world.ts";

const put = (site: TestCluster, key: string, value = "v") =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });
const remove = (site: TestCluster, key: string) =>
  site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
const compact = async (site: TestCluster) =>
  expect(await site.execute({ kind: "compact", revision: site.position().revision })).toMatchObject({ ok: true });

/** What the app sees with no site to ask. */
async function seen(client: Client, prefix: string): Promise<string[]> {
  const rows = await client.kv.list(prefix, { consistency: "local" });
  return rows.map(shown);
}

const shown = ({ key, value, modRevision }: { key: Uint8Array; value: Uint8Array; modRevision: number }): string =>
  `${utf8Text(key)}=${utf8Text(value.subarray(0, 20))}@${modRevision}`;

/** Page by page: an answer ends early where values are large. */
async function there(site: TestCluster, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (let from = utf8(prefix); ; ) {
    const range = plainRange(from, prefixEnd(utf8(prefix)) ?? null, 10_000);
    const { rows, more } = await site.read({ kind: "range", origin: null, ...range });
    found.push(...rows.map(shown));
    const last = rows.at(-1);
    if (!more || last === undefined) return found;
    from = keyAfter(last.key);
  }
}

const told = (events: readonly KeyEvent[]): string[] =>
  events.map(({ kind, key, snapshot }) => `${snapshot ? "snapshot " : ""}${kind} ${utf8Text(key)}`);

const options = (store: MemoryClientStore) => ({ store, subscribe: { prefixes: ["q/"], collections: ["log"] } });

describe("S4: a client", () => {
  test("that opens for the first time behind a compaction has what stands, and goes on live", async () => {
    const world = new World();
    const site = await world.cluster("california");
    for (const key of ["q/1", "q/2", "x"]) await put(site, key);
    await remove(site, "q/2");
    await compact(site);
    const client = await world.client(site, options(new MemoryClientStore()));
    const events: string[] = [];
    client.kv.watch("q/", (some) => events.push(...told(some)));
    await world.elapse(1_000);
    expect(client.status()).toMatchObject({ link: "online", lastError: null, cursor: 4 });
    await put(site, "q/3");
    await world.elapse(1_000);
    expect(await seen(client, "q/")).toEqual(await there(site, "q/"));
    expect(events).toEqual(["snapshot put q/1", "put q/3"]);
  });

  test("that was offline for weeks: its mirror is replaced, and its own edits that wait are not lost", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const first = await world.client(site, options(store));
    for (const key of ["q/1", "q/2", "q/gone"]) await put(site, key);
    await world.elapse(1_000);
    first.goOffline();
    const edit = first.kv.put("q/own", "mine");
    await edit.device;
    await first.stop();

    await put(site, "q/1", "2");
    await remove(site, "q/gone");
    await put(site, "q/new");
    await compact(site);
    const client = await world.client(site, options(store));
    const events: string[] = [];
    client.kv.watch("q/", (some) => events.push(...told(some)));
    expect(await seen(client, "q/")).toEqual(["q/1=v@1", "q/2=v@2", "q/gone=v@3", "q/own=mine@0"]);
    await world.elapse(60_000);
    expect(await seen(client, "q/")).toEqual(await there(site, "q/"));
    expect(await there(site, "q/own")).toEqual(["q/own=mine@7"]);
    expect(events).toEqual(["snapshot put q/1", "snapshot put q/new", "snapshot delete q/gone", "put q/own"]);
  });

  test.each([1, 2, 3, 4, 5, 6])(
    "is cut, or dies, after %i frames: the next session goes on by the piece",
    async (frames) => {
      const world = new World();
      const site = await world.cluster("california");
      const store = new MemoryClientStore();
      const first = await world.client(site, options(store));
      for (let i = 0; i < 1_500; i++) await put(site, `q/${i}`);
      await world.elapse(5_000);
      await first.stop();
      await world.flush();
      for (let i = 0; i < 1_000; i++) await remove(site, `q/${i}`);
      for (let i = 1_000; i < 2_500; i++) await put(site, `q/${i}`, "2");
      await compact(site);
      const second = await world.client(site, options(store));
      await world.deliver(1 + frames);
      world.cutAll();
      await second.stop();
      const down = await store.down();
      if (down?.snapshot !== null) expect(down?.cursor).toBe(1_500);
      const events: string[] = [];
      const third = await world.client(site, options(store));
      third.kv.watch("q/", (some) => events.push(...told(some)));
      await world.elapse(60_000);
      expect(await seen(third, "q/")).toEqual(await there(site, "q/"));
      expect(new Set(events).size).toBe(events.length);
      expect(await store.down()).toMatchObject({ snapshot: null, cursor: site.position().revision });
    },
  );

  test("that is overtaken by a compaction while it reads gets the rest as a snapshot", async () => {
    const world = new World();
    const site = await world.cluster("california");
    for (let i = 0; i < 200; i++) await put(site, `q/${i}`, "x".repeat(100_000));
    const client = await world.client(site, options(new MemoryClientStore()));
    await world.deliver(4);
    for (let i = 0; i < 100; i++) await remove(site, `q/${i}`);
    await compact(site);
    await world.elapse(10_000);
    expect(client.status().lastError).toBeNull();
    expect(await seen(client, "q/")).toEqual(await there(site, "q/"));
  });

  test("that wants more while its session lives gets what is added, and nothing again", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site, options(new MemoryClientStore()));
    for (const key of ["q/1", "r/1", "r/2", "q/2"]) await put(site, key);
    await remove(site, "r/2");
    await world.elapse(5_000);
    const events: string[] = [];
    client.kv.watch("", (some) => events.push(...told(some)));
    await world.elapse(5_000);
    expect(events).toEqual(["snapshot put r/1"]);
    await put(site, "r/1", "2");
    await world.elapse(5_000);
    expect(events).toEqual(["snapshot put r/1", "put r/1"]);
    expect(await seen(client, "")).toEqual(await there(site, ""));
  });

  test("documents: a change of another device that is behind the compaction shows", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const author = await world.client(site);
    const draft = await author.docs.open<{ text: string }>("log", "d", { initial: { text: "" } });
    await world.elapse(1_000);
    for (let i = 0; i < 5; i++) {
      draft.change((doc) => {
        doc.text = `edit ${i}`;
      });
      await world.elapse(1_000);
    }
    await compact(site);
    const reader = await world.client(site, options(new MemoryClientStore()));
    await world.elapse(5_000);
    reader.goOffline();
    const read = await reader.docs.open<{ text: string }>("log", "d");
    expect(read.doc().text).toBe("edit 4");
  });
});
