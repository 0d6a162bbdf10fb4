import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { Journal } from "@openclaw/core/client/journal.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { Outbox } from "@openclaw/core/client/outbox.ts";
import { decodeOutboxFile, encodeOutboxFile } from "@openclaw/core/client/outbox-file.ts";
import { isLinkId, seq } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { changesOf } from "../documents/changes.ts";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";
import { append, EMPTY, type Log } from "./log.ts";

/** A store that tells what it read when it is let. */
class SlowReads extends MemoryClientStore {
  told: Promise<void> | null = null;
  reads = 0;
  override async document(collection: string, document: string) {
    const changes = await super.document(collection, document);
    if (this.told === null) return changes;
    this.reads++;
    await this.told;
    return changes;
  }
}

/** A store that is asked for an outbox while something else goes on, and that tells after each write what a crash would leave. */
class Interrupted extends HeldStore {
  before: (() => Promise<void>) | null = null;
  readonly left: number[] = [];

  override async outbox(...question: Parameters<HeldStore["outbox"]>) {
    const rows = await super.outbox(...question);
    await this.before?.();
    return rows;
  }

  override async write(...write: Parameters<HeldStore["write"]>): Promise<void> {
    await super.write(...write);
    this.left.push((await this.document("log", "today")).length);
  }
}

const open = (client: Client): Promise<DocumentHandle<Log>> =>
  client.docs.open<Log>("log", "today", { initial: EMPTY });

const nowhere = (): void => {};

async function offlineClient(store = new MemoryClientStore()) {
  const world = new World();
  const site = await world.cluster("california");
  const client = await world.client(site, { store });
  const handle = await open(client);
  await world.flush();
  client.goOffline();
  return { world, site, store, client, handle };
}

/** Types offline, each edit a row of its own. */
async function type(world: World, handle: DocumentHandle<Log>, ...texts: readonly string[]) {
  const edits = [];
  for (const text of texts) {
    edits.push(handle.change(append(text)));
    await world.flush();
  }
  return edits;
}

const changesAt = async (site: TestCluster) =>
  (await site.read({ kind: "document", collection: "log", document: "today", after: 0, limit: 10_000 })).changes;

/** A document with an edit that the site refused, and one on top of it. */
async function refusedClient() {
  const { world, site, store, client, handle } = await offlineClient();
  const [bad] = await type(world, handle, "bad", " on top");
  site.badChanges.add(bad?.hashes[0] ?? "");
  client.goOnline();
  await world.elapse(2_000);
  return { world, site, store, client, handle };
}

describe("the outbox", () => {
  test("lists what waits and what was refused, of earlier sessions too", async () => {
    const { world, site, store, client, handle } = await offlineClient();
    await type(world, handle, "one");
    client.kv.put("a", "1");
    await world.flush();
    expect(await client.outbox.list()).toMatchObject([
      { command: { kind: "change" }, refusal: null },
      { command: { kind: "put" }, refusal: null },
    ]);
    world.unreachable.add(site.id);
    const next = await world.client(site, { store });
    expect(await next.outbox.list()).toHaveLength(2);
  });

  test("a refused edit is tried again, and arrives once the site takes it", async () => {
    const { world, site, client, handle } = await refusedClient();
    expect(client.status()).toMatchObject({ failed: 2, unsynced: 0 });
    site.badChanges.clear();
    await client.outbox.retry(await client.outbox.list());
    expect(handle.edits().map(({ failure }) => failure)).toEqual([null, null, null]);
    await world.elapse(2_000);
    expect(client.status()).toMatchObject({ failed: 0, unsynced: 0 });
    expect(handle.edits().map(({ rung }) => rung)).toEqual(["site", "site", "site"]);
    expect(await changesAt(site)).toHaveLength(3);
  });

  test("what is discarded is given to keep first, goes with what follows it, and leaves no hole in the sequence", async () => {
    const { world, site, store, client, handle } = await refusedClient();
    const [first] = await client.outbox.list();
    if (first === undefined) throw new Error("an edit was refused");
    let kept: Uint8Array | null = null;
    await client.outbox.discard([first], (exported) => {
      expect(handle.doc().text).toBe("bad on top");
      kept = exported;
    });
    expect(decodeOutboxFile(kept ?? new Uint8Array()).refused).toHaveLength(2);
    expect(handle.doc().text).toBe("");
    expect(client.status()).toMatchObject({ failed: 0, unsynced: 0 });
    const edit = handle.change(append("good"));
    await world.elapse(2_000);
    expect(await codeOf(edit.site)).toBe("ok");
    const changes = await changesAt(site);
    expect(changes).toHaveLength(2);
    // D2: the numbers of what was dropped are not used again.
    expect(changes.at(-1)?.actor).not.toBe(client.link);
    await client.stop();
    const next = await open(await world.client(site, { store }));
    expect(next.doc().text).toBe("good");
    expect(next.edits().map(({ rung, failure }) => [rung, failure])).toEqual([
      ["site", null],
      ["site", null],
    ]);
  });

  test("what waits is discarded, too: what follows it is not sent, and the rest arrives in its order", async () => {
    const { world, site, client, handle } = await offlineClient();
    await type(world, handle, "one");
    const first = client.kv.put("a", "1");
    const [second] = await type(world, handle, " two");
    client.kv.put("b", "2");
    await world.flush();
    const waiting = await client.outbox.list();
    await client.outbox.discard(waiting.slice(0, 1), nowhere);
    expect(handle.doc().text).toBe("");
    expect(client.status().unsynced).toBe(2);
    client.goOnline();
    await world.elapse(2_000);
    expect(await codeOf(first.site)).toBe("ok");
    expect(await codeOf(second?.site ?? Promise.resolve(0))).toBe("DISCARDED");
    expect([await site.get("a"), await site.get("b")]).toEqual(["1", "2"]);
    expect(await changesAt(site)).toHaveLength(1);
    expect(client.status()).toMatchObject({ failed: 0, unsynced: 0 });
    await type(world, handle, "anew");
    await world.elapse(2_000);
    expect(await changesAt(site)).toHaveLength(2);
  });

  test("a key's write that is discarded does not take place; and nothing goes where it could not be kept", async () => {
    const { world, site, client } = await offlineClient();
    const put = client.kv.put("a", "1");
    await world.flush();
    const waiting = await client.outbox.list();
    const full = () => Promise.reject(new Error("the disk is full"));
    await expect(client.outbox.discard(waiting, full)).rejects.toThrow("the disk is full");
    expect(await client.outbox.list()).toHaveLength(1);
    await client.outbox.discard(waiting, nowhere);
    client.goOnline();
    await world.elapse(2_000);
    expect(await site.get("a")).toBeNull();
    expect(await codeOf(put.site)).toBe("DISCARDED");
  });

  test("an edit made while that is being kept goes with what it follows, and is kept first", async () => {
    const { world, client, handle } = await offlineClient();
    await type(world, handle, "one");
    const kept: number[] = [];
    await client.outbox.discard(await client.outbox.list(), async (exported) => {
      kept.push(decodeOutboxFile(exported).refused.length);
      if (kept.length === 1) await type(world, handle, " two");
    });
    expect(kept).toEqual([1, 2]);
    expect(handle.doc().text).toBe("");
    expect(await client.outbox.list()).toEqual([]);
  });

  test("D2: what was discarded too late comes back with the stream, and is shown where it is", async () => {
    const { world, client, handle } = await offlineClient();
    client.goOnline();
    await world.elapse(2_000);
    await handle.change(append("sent")).device;
    const [row] = await client.outbox.list();
    if (row === undefined) throw new Error("an edit waits");
    await client.outbox.discard([row], nowhere);
    await world.elapse(2_000);
    expect(handle.doc().text).toBe("sent");
    expect(handle.edits().map(({ rung, failure }) => [rung, failure])).toEqual([
      ["site", null],
      ["site", null],
    ]);
  });

  test("of two that are discarded at once neither is shown, though the document was being read when the second went", async () => {
    const store = new SlowReads();
    const { world, client, handle } = await offlineClient(store);
    await type(world, handle, "one", " two");
    const [first, second] = (await client.outbox.list()).slice(-2);
    if (first === undefined || second === undefined) throw new Error("two edits wait");
    const { promise, resolve } = Promise.withResolvers<void>();
    store.told = promise;
    const discarded = [client.outbox.discard([second], nowhere)];
    await world.flush();
    expect(store.reads).toBe(1);
    discarded.push(client.outbox.discard([first], nowhere));
    await world.flush();
    resolve();
    await Promise.all(discarded);
    expect(handle.doc().text).toBe("");
  });

  test("D3: what waits under two names, as what was sent again does, goes with both", async () => {
    const { world, client, handle } = await offlineClient();
    await type(world, handle, "one");
    const waiting = (await client.outbox.list()).slice(-1);
    const [row] = waiting;
    const other = "b".repeat(32);
    if (row === undefined || !isLinkId(other)) throw new Error("an edit waits");
    const again = { link: other, seq: seq(1), command: row.command };
    await client.outbox.import(encodeOutboxFile({ cluster: null, waiting: [again], refused: [] }));
    await client.outbox.discard(waiting, nowhere);
    expect((await client.outbox.list()).some(({ command }) => command === row.command)).toBe(false);
    expect(await client.outbox.list()).toHaveLength(0);
    expect(handle.doc().text).toBe("");
  });

  test("L4: a change that comes back while it is being discarded is stored, as the cursor says", async () => {
    const store = new HeldStore();
    const link = "a".repeat(32);
    if (!isLinkId(link)) throw new Error("no link");
    const journal = new Journal(store, new Outbox(link, seq(1)), nowhere, nowhere);
    const document = { collection: "log", document: "today" };
    const changes = [{ ...document, changes: changesOf("aabb", (draft) => Object.assign(draft, { text: "x" })) }];
    await journal.commit({ write: { changes } });
    store.holding = true;
    const writes = [journal.commit({}), journal.commit({ late: () => ({ dropped: changes }) })];
    writes.push(journal.commit({ write: { changes } }));
    await Promise.resolve();
    store.release();
    await Promise.all(writes);
    expect(await store.document("log", "today")).toHaveLength(1);
  });

  test("S1: what the site tells of while it is being discarded is at no time missing on the device", async () => {
    const store = new Interrupted();
    const { world, client, handle } = await offlineClient(store);
    await type(world, handle, "one");
    const waiting = await client.outbox.list();
    const told = Promise.withResolvers<void>();
    let looks = 0;
    store.before = async () => {
      // The second look is the last before it goes; what the site tells now is on its way into the store then.
      if (++looks < 2) return;
      store.before = null;
      store.holding = true;
      client.goOnline();
      await world.elapse(500);
      told.resolve();
    };
    const discarded = client.outbox.discard(waiting, nowhere);
    await told.promise;
    await world.flush();
    store.left.length = 0;
    store.release();
    await discarded;
    await world.elapse(2_000);
    expect(handle.doc().text).toBe("one");
    expect(store.left.length).toBeGreaterThan(1);
    expect(new Set(store.left)).toEqual(new Set([2]));
  });

  test("what the site has is nobody's to discard", async () => {
    const { world, site, client, handle } = await offlineClient();
    const [edit] = await type(world, handle, "one");
    const waiting = await client.outbox.list();
    const [row] = waiting;
    if (row?.command.kind !== "change") throw new Error("a change waits");
    // Another way to the site: by a copy of the outbox.
    await site.execute(row.command);
    client.docs.received("log", "today", []);
    await world.client(site);
    client.goOnline();
    await world.flush();
    await codeOf(edit?.site ?? Promise.resolve(0));
    await expect(client.outbox.discard(waiting, nowhere)).resolves.toBeUndefined();
    expect(handle.doc().text).toBe("one");
    expect(await changesAt(site)).toHaveLength(2);
  });
});

describe("an exported outbox", () => {
  test("Q2: is taken at another device, where the site runs each once, whoever sends it first; twice adds nothing", async () => {
    const { world, site, client, handle } = await offlineClient();
    await type(world, handle, "typed here");
    client.kv.put("a", "1");
    await world.flush();
    const exported = await client.outbox.export();

    const other = await world.client(site);
    expect(await other.outbox.import(exported)).toEqual({ taken: 2, known: 0 });
    expect(await other.outbox.import(exported)).toEqual({ taken: 0, known: 2 });
    const theirs = await (async () => {
      const opening = open(other);
      await world.elapse(60_000);
      return opening;
    })();
    expect(theirs.doc().text).toBe("typed here");
    expect(await site.get("a")).toBe("1");
    expect(other.status()).toMatchObject({ unsynced: 0, failed: 0 });
    const { revision } = site.position();
    client.goOnline();
    await world.elapse(60_000);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
    expect(site.position().revision).toBe(revision);
  });

  test("Q2: has no hole where something was discarded: the site runs what is behind it", async () => {
    const { world, site, client } = await offlineClient();
    for (const key of ["a", "b", "c"]) {
      client.kv.put(key, "1");
      await world.flush();
    }
    await client.outbox.discard((await client.outbox.list()).slice(1, 2), nowhere);
    const exported = await client.outbox.export();
    await client.stop();
    const other = await world.client(site);
    expect(await other.outbox.import(exported)).toEqual({ taken: 2, known: 0 });
    await world.elapse(120_000);
    expect([await site.get("a"), await site.get("b"), await site.get("c")]).toEqual(["1", null, "1"]);
    expect(other.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("what was discarded comes back by it, among the refused, and may be tried again", async () => {
    const { world, site, client, handle } = await offlineClient();
    await type(world, handle, "one");
    let kept = new Uint8Array();
    await client.outbox.discard(await client.outbox.list(), (exported) => {
      kept = exported.slice();
    });
    expect(handle.doc().text).toBe("");
    expect(await client.outbox.import(kept)).toEqual({ taken: 1, known: 0 });
    expect(await client.outbox.import(kept)).toEqual({ taken: 0, known: 1 });
    expect(handle.doc().text).toBe("one");
    expect(await client.outbox.list()).toMatchObject([{ refusal: { code: "DISCARDED" } }]);
    await client.outbox.retry(await client.outbox.list());
    client.goOnline();
    await world.elapse(2_000);
    expect(await changesAt(site)).toHaveLength(2);
    expect(handle.edits().map(({ rung }) => rung)).toEqual(["site", "site"]);
  });

  test("that was cut, altered, made up, or is for another site is refused, and nothing of it is taken", async () => {
    const { world, client, handle } = await offlineClient();
    await type(world, handle, "one");
    const exported = await client.outbox.export();
    const other = await world.client(await world.cluster("alaska"));
    await world.flush();
    expect(await codeOf(other.outbox.import(exported))).toBe("WRONG_CLUSTER");
    for (const at of [0, 20, 60, exported.length - 1]) {
      const altered = exported.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(await codeOf(other.outbox.import(altered)), `byte ${at}`).toBe("BAD_REQUEST");
    }
    expect(await codeOf(other.outbox.import(exported.subarray(0, 100)))).toBe("BAD_REQUEST");
    const [change] = changesOf("aabb", (draft) => Object.assign(draft, { text: "x" }));
    const [row] = decodeOutboxFile(exported).waiting;
    if (change === undefined || row === undefined) throw new Error("a change was made");
    const bytes = change.bytes.slice();
    bytes[4] = (bytes[4] ?? 0) ^ 1;
    const command = { kind: "change", collection: "c", document: "d", changes: [{ ...change, bytes }] } as const;
    const hostile = encodeOutboxFile({ cluster: null, waiting: [{ ...row, command }], refused: [] });
    expect(await codeOf(other.outbox.import(hostile))).toBe("CHANGE_INVALID");
    expect(await other.outbox.list()).toEqual([]);
  });
});
