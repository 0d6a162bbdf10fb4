/** L3 at a client: its site is restored, and what was told of the life before does not count in the next one. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { ClientOptions } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import type { Draft } from "@openclaw/core/client/journal.ts";
import { Keys, type KeysHost } from "@openclaw/core/client/keys.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { ReadSession } from "@openclaw/core/client/read-session.ts";
import { Rungs } from "@openclaw/core/client/rungs.ts";
import { type ChangeHash, revision } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";
import { append, EMPTY, type Log } from "./log.ts";

const put = (site: TestCluster, key: string, value = "v") =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const changesAt = async (site: TestCluster) =>
  (await site.read({ kind: "document", collection: "log", document: "today", after: 0, limit: 99 })).changes;

/** A site below a hub, and a client of it whose connections go to whatever `site` is. */
async function beginning(
  subscribe: { readonly prefixes?: readonly string[] } = {},
  options: Partial<ClientOptions> = {},
) {
  const world = new World();
  const [site, hub] = [await world.cluster("california"), await world.cluster("hub")];
  const uplink = world.uplink(site, hub);
  const store = new HeldStore();
  const reach = { site };
  const open = () => world.client(site, { store, connect: async () => reach.site.connect(), subscribe, ...options });
  const client = await open();
  await world.elapse(1_000);
  /** The site goes on from a backup of revision `at`; whoever was connected is cut off. */
  const restore = async (at: number): Promise<TestCluster> => {
    reach.site = await site.restored(at);
    world.unreachable.add(site.id);
    world.cutAll();
    await world.flush();
    world.unreachable.clear();
    return reach.site;
  };
  return { world, site, hub, uplink, store, reach, open, client, restore };
}

describe("a site that was restored", () => {
  test("L3: what the life before had sent, and was not yet taken, does not come behind the end of its mirror", async () => {
    const { world, store, client, reach, restore } = await beginning({ prefixes: ["k"] });
    // More than is taken in one step: while the first is being stored, the others wait.
    client.goOffline();
    for (let i = 0; i < 600; i++) await put(reach.site, `k${i}`);
    store.holding = true;
    client.goOnline();
    await world.elapse(1_000);
    await restore(0);
    await world.elapse(5_000);
    store.release();
    await world.elapse(20_000);
    expect(client.status()).toMatchObject({ link: "online", lastError: null });
    expect(await store.mirrored()).toEqual([]);
  });

  test("L3: the rung hub of a key's write is not said by the revisions of another life", async () => {
    const { world, client, uplink, restore } = await beginning();
    await uplink.stop();
    const edit = client.kv.put("a", "1");
    await world.elapse(1_000);
    expect(await edit.site).toBe(1);
    const early = codeOf(edit.hub());
    const after = await restore(0);
    for (let i = 0; i < 3; i++) await put(after, `other ${i}`);
    const hub = await world.cluster("hub");
    world.uplink(after, hub);
    await world.elapse(20_000);
    expect(client.status().upstream).toBeGreaterThan(1);
    expect(await after.get("a")).toBeNull();
    expect(await early).toBe("WRONG_EPOCH");
    expect(await codeOf(edit.hub())).toBe("WRONG_EPOCH");
  });

  test("L3: a document's edit is sent again, and is at the hub when it is there in the next life", async () => {
    const { world, client, uplink, restore } = await beginning();
    const opening = client.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.elapse(1_000);
    const handle = await opening;
    await uplink.stop();
    const edit = handle.change(append("x"));
    await world.elapse(1_000);
    expect(await codeOf(edit.site)).toBe("ok");
    let atHub = false;
    void edit.hub().then(() => {
      atHub = true;
    });
    const after = await restore(1);
    await put(after, "other 1");
    await put(after, "other 2");
    // The hub has the revisions that the edit had in the life before, and not the edit.
    const hub = await world.cluster("hub");
    const shipping = world.uplink(after, hub);
    world.unreachable.add(after.id);
    await world.elapse(5_000);
    await shipping.stop();
    world.unreachable.clear();
    await world.elapse(20_000);
    expect(client.status().upstream).toBeGreaterThan(2);
    expect(await changesAt(after)).toHaveLength(2);
    expect(atHub).toBe(false);
    const [hash] = edit.hashes;
    expect(handle.rung(hash ?? ("" as never))).toBe("site");
    world.uplink(after, hub);
    await world.elapse(20_000);
    expect(atHub).toBe(true);
    expect(await changesAt(hub)).toHaveLength(2);
  });

  test("S1, L3: storage that fails just then does not keep an edit from being sent again", async () => {
    const { world, client, uplink, store, restore } = await beginning();
    await uplink.stop();
    const opening = client.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.elapse(1_000);
    const handle = await opening;
    const edit = handle.change(append("x"));
    await world.elapse(2_000);
    expect(await codeOf(edit.site)).toBe("ok");
    const after = await restore(0);
    store.failing = 2;
    await world.elapse(60_000);
    expect(store.failing).toBe(0);
    expect((await changesAt(after)).map(({ hash }) => hash)).toContain(edit.hashes[0]);
    expect(client.status()).toMatchObject({ unsynced: 0, link: "online" });
  });

  test("D4: storage that fails then, however often, costs one link", async () => {
    const held = new Set<string>();
    const claim = async (link: string) => {
      held.add(link);
      return () => void held.delete(link);
    };
    const { world, client, store, restore } = await beginning({ prefixes: [""] }, { claim });
    const write = store.write.bind(store);
    let failures = 5;
    store.write = async (step) => {
      // What comes first is stored; that what waits goes on under the other name is not.
      if (held.size === 1 || step.mirrorReset === true || failures === 0) return write(step);
      failures--;
      throw new Error("planted");
    };
    const after = await restore(0);
    await world.elapse(60_000);
    expect([failures, held.size]).toEqual([0, 2]);
    client.kv.put("a", "1");
    await world.elapse(1_000);
    expect(await after.get("a")).toBe("1");
    await client.stop();
    expect(held.size).toBe(0);
  });

  test("L3: who watches keys hears that those are gone which the restored site lacks", async () => {
    const { world, site, client, restore } = await beginning({ prefixes: [""] });
    const here = new Map<string, string>();
    client.kv.watch("", (events) => {
      for (const { kind, key, value } of events)
        if (kind === "delete") here.delete(utf8Text(key) ?? "");
        else here.set(utf8Text(key) ?? "", utf8Text(value) ?? "");
    });
    for (const key of ["a", "b", "c"]) await put(site, key);
    await world.elapse(1_000);
    const after = await restore(1);
    await put(after, "c", "again");
    await world.elapse(20_000);
    expect([...here]).toEqual([
      ["a", "v"],
      ["c", "again"],
    ]);
  });

  test("Q1, D4: what a page left behind is not run again in another life, though it was the first of its link", async () => {
    const { world, site, client, open, restore } = await beginning();
    client.kv.put("b", "mine");
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (site.position().revision > 0) break;
      for (const wire of world.wires) wire.deliver();
    }
    // The answer is on its way when the page goes away.
    client.goOffline();
    const after = await restore(1);
    await put(after, "b", "newer");
    const next = await open();
    await world.elapse(60_000);
    expect(await after.get("b")).toBe("newer");
    expect(next.status()).toMatchObject({ link: "online", unsynced: 0, failed: 1 });
    expect((await next.outbox.list())[0]?.refusal?.code).toBe("SESSION_EXPIRED");
  });
});

describe("rungs", () => {
  const hash = (digit: string): ChangeHash => digit.repeat(64) as ChangeHash;

  test("L3: in another epoch, what is not known to be at the hub is on this device only, until it is told anew", () => {
    const rungs = new Rungs();
    rungs.hubHolds(revision(5), "e".repeat(32));
    rungs.committed([hash("a")], revision(5));
    rungs.committed([hash("b")], revision(6));
    expect([rungs.rung(hash("a")), rungs.rung(hash("b"))]).toEqual(["hub", "site"]);
    rungs.withdraw();
    expect([rungs.rung(hash("a")), rungs.rung(hash("b"))]).toEqual(["hub", "device"]);
    rungs.committed([hash("b")], revision(3));
    rungs.hubHolds(revision(2), "e".repeat(32));
    expect(rungs.rung(hash("b"))).toBe("site");
    rungs.hubHolds(revision(3), "e".repeat(32));
    expect(rungs.rung(hash("b"))).toBe("hub");
  });

  test("what another session stored above what the hub had is not taken for there, in another epoch either", () => {
    const rungs = new Rungs();
    rungs.restore([], [], [], { upstream: revision(4), upstreamEpoch: "e".repeat(32) }, revision(9));
    expect(rungs.rung(hash("c"))).toBe("site");
    rungs.withdraw();
    expect(rungs.rung(hash("c"))).toBe("device");
  });

  test("at a site without a hub nothing is at the hub", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const [writer, reader] = [await world.client(site), await world.client(site)];
    const writing = writer.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.elapse(2_000);
    await writing;
    await world.flush();
    const rungOf = (handle: DocumentHandle<Log>) => handle.heads().map((hash) => handle.rung(hash));
    // As it was fetched, before the stream has told of it.
    const reading = reader.docs.open<Log>("log", "today").then((handle) => ({ handle, rungs: rungOf(handle) }));
    await world.elapse(5_000);
    const { handle, rungs } = await reading;
    expect(rungs).toEqual(["site"]);
    expect(rungOf(handle)).toEqual(["site"]);
  });
});

test("L3: an own write that the site had in another life is not shown over what it says now", async () => {
  const store = new MemoryClientStore();
  const drafts: Draft[] = [];
  const host: Partial<KeysHost> = {
    store,
    rungs: new Rungs(),
    session: new ReadSession(false),
    assertRoom: () => undefined,
    enqueue: (draft) => void drafts.push(draft),
    mirrored: () => null,
    covers: () => true,
  };
  const keys = new Keys(host as KeysHost);
  const committed = keys.put("a", "had");
  keys.put("b", "waits");
  drafts[0]?.edits[0]?.committed(revision(9), null);
  await committed.site;
  const shown = async () => (await keys.list("")).map(({ key, value }) => `${utf8Text(key)}=${utf8Text(value)}`);
  expect(await shown()).toEqual(["a=had", "b=waits"]);
  keys.forget();
  expect(await shown()).toEqual(["b=waits"]);
});

test("at-least: the mirror answers for a position when it holds it, and not while that is being stored", async () => {
  const { world, site, client, store } = await beginning({ prefixes: [""] });
  await put(site, "a", "old");
  await world.elapse(1_000);
  store.holding = true;
  await put(site, "a", "new");
  await world.flush();
  expect(client.status().cursor).toBe(1);
  const minRevision = `california.0.${site.epoch.nonce}.2`;
  const reading = client.kv.get("a", { minRevision }).then((row) => row && utf8Text(row.value));
  await world.flush();
  expect(await reading).toBe("new");
  store.release();
  await world.elapse(1_000);
  expect(client.status().cursor).toBe(2);
});
