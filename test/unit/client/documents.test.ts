import * as Automerge from "@automerge/automerge";
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import type { OutboxRow } from "@openclaw/core/client/store.ts";
import { seq } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

const open = (client: Client): Promise<DocumentHandle<Log>> =>
  client.docs.open<Log>("log", "today", { initial: EMPTY });

const changesAt = async (cluster: TestCluster) =>
  (await cluster.read({ kind: "document", collection: "log", document: "today", after: 0, limit: 10_000 })).changes;

const textAt = async (cluster: TestCluster): Promise<string> => {
  const [doc] = Automerge.applyChanges(
    Automerge.init<Log>(),
    (await changesAt(cluster)).map(({ bytes }) => bytes),
  );
  return doc.text;
};

const rungs = (handle: DocumentHandle<Log>) => handle.edits().map(({ rung }) => rung);

describe("a document", () => {
  test("shows an edit at once, and tells its rung", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    client.goOffline();
    const handle = await open(client);
    let calls = 0;
    handle.subscribe(() => calls++);
    const edit = handle.change(append("hello"));
    expect(handle.doc().text).toBe("hello");
    expect(handle.rung(edit.hashes[0] ?? ("" as never))).toBeNull();
    await edit.device;
    expect(rungs(handle)).toEqual(["device", "device"]);
    client.goOnline();
    await world.flush();
    expect(rungs(handle)).toEqual(["site", "site"]);
    expect(await edit.site).toBe(2);
    expect(calls).toBeGreaterThan(2);
    expect(await textAt(site)).toBe("hello");
  });

  test("an edit that changes nothing is done", async () => {
    const world = new World();
    const client = await world.client(await world.cluster("california"));
    const handle = await open(client);
    await world.flush();
    const doc = handle.doc();
    const edit = handle.change(() => undefined);
    expect(edit.hashes).toEqual([]);
    await Promise.all([edit.device, edit.site]);
    expect(handle.doc()).toBe(doc);
  });

  test("two devices that create one document offline make one first change, and their edits meet", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const [a, b] = [await world.client(site), await world.client(site)];
    a.goOffline();
    b.goOffline();
    const [left, right] = [await open(a), await open(b)];
    expect(left.heads()).toEqual(right.heads());
    left.change(append("left "));
    right.change(append("right "));
    a.goOnline();
    b.goOnline();
    await world.elapse(2_000);
    expect(left.doc().text).toBe(right.doc().text);
    expect([...left.doc().text].sort().join("")).toBe([..."left right "].sort().join(""));
    // The first change, and one by each.
    expect(await changesAt(site)).toHaveLength(3);
    expect(left.heads()).toEqual(right.heads());
  });

  test("two contents are two authors: the second is no quarantined twin of the first (D2)", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const [a, b] = [await world.client(site), await world.client(site)];
    a.goOffline();
    b.goOffline();
    await a.docs.open("log", "today", { initial: { text: "", title: "one" } });
    await b.docs.open("log", "today", { initial: { title: "two", text: "" } });
    a.goOnline();
    b.goOnline();
    await world.elapse(2_000);
    const { changes, quarantined } = await site.read({
      kind: "document",
      collection: "log",
      document: "today",
      after: 0,
      limit: 9,
    });
    expect([changes.length, quarantined.length]).toEqual([2, 0]);
    expect([a.status().failed, b.status().failed]).toEqual([0, 0]);
  });

  test("a change at earlier heads is made there", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    const handle = await open(client);
    handle.change(append("base"));
    const heads = handle.heads();
    handle.change(append(" one"));
    const edit = handle.changeAt(heads, append(" two"));
    await world.flush();
    expect(await codeOf(edit.site)).toBe("ok");
    const changes = await changesAt(site);
    expect(changes.find(({ hash }) => hash === edit.hashes[0])?.deps).toEqual(heads);
    expect(handle.doc().text).toMatch(/^base( one two| two one)$/);
    expect(await textAt(site)).toBe(handle.doc().text);
    expect(() => handle.changeAt(["0".repeat(64) as never], append("x"))).toThrow("not here");
  });

  test("what is on no device comes from the gateway, and is kept", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const writer = await world.client(site);
    (await open(writer)).change(append("hello"));
    await world.flush();
    const store = new MemoryClientStore();
    const reader = await world.client(site, { store });
    await world.flush();
    const opening = reader.docs.open<Log>("log", "today");
    await world.flush();
    const handle = await opening;
    expect(handle.doc().text).toBe("hello");
    expect(await store.document("log", "today")).toHaveLength(2);
    expect(handle.edits()).toEqual([]);
  });

  test("edits whose document went with a lost database do not begin it anew, and are whole with the gateway's", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const first = await world.client(site, { store });
    const handle = await open(first);
    handle.change(append("synced "));
    await world.flush();
    first.goOffline();
    handle.change(append("not synced"));
    await world.flush();
    // Of what the device had, the edit that waits is left.
    const left = new MemoryClientStore();
    for (const link of await store.outboxLinks()) {
      const rows = await store.outbox(link, seq(1), 9);
      await left.write({
        enqueue: rows,
        changes: rows.flatMap(({ command }) => (command.kind === "change" ? [command] : [])),
      });
    }
    const next = await world.client(site, { store: left });
    await world.flush();
    // By an app whose documents begin otherwise.
    const opening = next.docs.open<Log>("log", "today", { initial: { text: "begins otherwise " } });
    await world.flush();
    expect((await opening).doc().text).toBe("synced not synced");
    await world.elapse(60_000);
    expect(await textAt(site)).toBe("synced not synced");
    expect(await changesAt(site)).toHaveLength(3);
  });

  test("CHANGE_TOO_LARGE: an edit that could not travel is refused at once, and undone", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    const handle = await open(client);
    handle.change(append("kept"));
    const noise = world.random.bytes(1_200_000);
    expect(() => handle.change((doc) => Object.assign(doc, { noise }))).toThrow("1,048,576");
    await world.flush();
    expect(handle.doc().text).toBe("kept");
    const edit = handle.change(append(" on"));
    await world.flush();
    expect(await codeOf(edit.site)).toBe("ok");
    expect(await textAt(site)).toBe("kept on");
  });

  test("handles of one document share it; a closed one is told nothing, and the last one lets it go", async () => {
    const world = new World();
    const client = await world.client(await world.cluster("california"));
    const [one, two] = [await open(client), await open(client)];
    const heard: string[] = [];
    one.subscribe(() => heard.push("one"));
    two.subscribe(() => heard.push("two"));
    one.close();
    two.change(append("hello"));
    expect(heard).toEqual(["two"]);
    expect(one.doc().text).toBe("hello");
    expect(() => one.change(append("x"))).toThrow("closed");
    two.close();
    const again = await open(client);
    expect(again.doc().text).toBe("hello");
  });

  test("after a restart the document, its edits and their rungs are there, offline", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const first = await world.client(site, { store });
    const handle = await open(first);
    handle.change(append("synced "));
    await world.flush();
    first.goOffline();
    handle.change(append("not synced"));
    await world.flush();
    world.unreachable.add(site.id);
    const second = await world.client(site, { store });
    const reopened = await open(second);
    expect(reopened.doc().text).toBe("synced not synced");
    expect(rungs(reopened)).toEqual(["site", "site", "device"]);
    world.unreachable.clear();
    await world.elapse(20_000);
    expect(rungs(reopened)).toEqual(["site", "site", "site"]);
    expect(await textAt(site)).toBe("synced not synced");
  });

  test("typing while earlier edits are being stored makes rows of many changes", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    const handle = await open(client);
    await world.flush();
    const before = site.position().revision;
    const edits = Array.from({ length: 500 }, (_, i) => handle.change(append(String(i % 10))));
    await world.flush();
    await Promise.all(edits.map(({ site: done }) => done));
    expect(site.position().revision - before).toBe(2);
    expect(await textAt(site)).toBe(handle.doc().text);
  });
});

describe("D3: changes that the site lacks", () => {
  test("a dead page's edits, and those of the next that build on them, arrive whichever comes first", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const first = await world.client(site, { store });
    const handle = await open(first);
    await world.flush();
    first.goOffline();
    for (let i = 0; i < 20; i++) {
      handle.change(append(`${i} `));
      await world.flush();
    }
    const second = await world.client(site, { store });
    // Its own link is welcomed, and pushes, before the dead one is drained.
    const reopened = await open(second);
    const edit = reopened.change(append("on top"));
    await world.elapse(60_000);
    expect(await codeOf(edit.site)).toBe("ok");
    expect(await textAt(site)).toBe(reopened.doc().text);
    expect(second.status()).toMatchObject({ unsynced: 0, failed: 0 });
    expect(await store.outboxLinks()).toEqual([]);
  });

  test("a stuck document holds up nothing else, and says what it lacks", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    await world.flush();
    const stranger = Automerge.from({ text: "elsewhere" });
    const [root] = Automerge.getAllChanges(stranger);
    const follow = Automerge.change(stranger, (doc) => {
      doc.text = "later";
    });
    const meta = Automerge.decodeChange(Automerge.getAllChanges(follow)[1] ?? new Uint8Array());
    expect(root).toBeDefined();
    // A row whose dependency this device never had.
    const row = {
      link: client.link,
      seq: await store.nextSeq(client.link),
      command: {
        kind: "change",
        collection: "log",
        document: "today",
        changes: [
          {
            hash: meta.hash,
            actor: meta.actor,
            seq: meta.seq,
            deps: meta.deps,
            bytes: Automerge.getAllChanges(follow)[1],
          },
        ],
      },
    } as unknown as OutboxRow;
    const other = new MemoryClientStore();
    await other.write({ enqueue: [{ ...row, link: "c".repeat(32) as never }] });
    const drainer = await world.client(site, { store: other });
    const put = drainer.kv.put("a", "1");
    await world.elapse(60_000);
    expect(await codeOf(put.site)).toBe("ok");
    expect(drainer.status()).toMatchObject({ unsynced: 0, failed: 1 });
    expect(await drainer.outbox.list()).toMatchObject([{ refusal: { code: "MISSING", details: meta.deps[0] } }]);
  });

  test("D1: a change that does not pass the check is refused; edits on top of it are refused with it, others go on", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    const handle = await open(client);
    await world.flush();
    client.goOffline();
    const bad = handle.change(append("bad"));
    await world.flush();
    const onTop = handle.change(append(" on top"));
    await world.flush();
    const put = client.kv.put("a", "1");
    site.badChanges.add(bad.hashes[0] ?? "");
    client.goOnline();
    await world.elapse(2_000);
    expect(await codeOf(bad.site)).toBe("CHANGE_INVALID");
    expect(await codeOf(onTop.site)).not.toBe("ok");
    expect(await codeOf(put.site)).toBe("ok");
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 2 });
    expect(await textAt(site)).toBe("");
  });
});

describe("three tiers", () => {
  test("client, site, hub, other site, client: a document climbs device, site, hub, and converges", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const california = await world.cluster("california");
    const alaska = await world.cluster("alaska");
    world.uplink(california, hub, { collections: ["log"] });
    world.uplink(alaska, hub, { collections: ["log"] });
    const a = await world.client(california);
    const b = await world.client(alaska);
    const opening = [open(a), open(b)] as const;
    await world.flush();
    const [left, right] = await Promise.all(opening);
    const edit = left.change(append("from california"));
    const seen = new Set<unknown>();
    left.subscribe(() => seen.add(left.rung(edit.hashes[0] ?? ("" as never))));
    right.change(append("from alaska"));
    await world.elapse(10_000);
    await edit.hub();
    expect([...seen].filter((rung) => rung !== null)).toEqual(["device", "site", "hub"]);
    expect(left.doc().text).toBe(right.doc().text);
    expect(left.doc().text).toHaveLength("from california".length + "from alaska".length);
    for (const cluster of [hub, california, alaska]) expect(await textAt(cluster)).toBe(left.doc().text);
    expect(rungs(left)).toEqual(["hub", "hub"]);
    expect(rungs(right)).toEqual(["hub", "hub"]);
  });

  test("S3: after a restart the hub's rung is known from storage, offline", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const california = await world.cluster("california");
    world.uplink(california, hub, { collections: ["log"] });
    const store = new MemoryClientStore();
    const first = await world.client(california, { store });
    const handle = await open(first);
    const edit = handle.change(append("hello"));
    await world.elapse(10_000);
    expect(rungs(handle)).toEqual(["hub", "hub"]);
    await first.stop();
    world.unreachable.add(california.id);
    const second = await world.client(california, { store });
    const reopened = await open(second);
    expect(reopened.rung(edit.hashes[0] ?? ("" as never))).toBe("hub");
    expect(second.status().upstream).toBeGreaterThan(0);
  });

  test("a cut uplink: the site goes on, the hub's rung waits, and all of it is told when it is back", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const california = await world.cluster("california");
    const uplink = world.uplink(california, hub, { collections: ["log"] });
    const client = await world.client(california);
    const handle = await open(client);
    await world.elapse(5_000);
    uplink.setEnabled(false);
    await world.flush();
    const edit = handle.change(append("cut off"));
    await world.elapse(30_000);
    expect(await edit.site).toBeGreaterThan(0);
    expect(handle.rung(edit.hashes[0] ?? ("" as never))).toBe("site");
    expect(uplink.status()).toMatchObject({ enabled: false, connected: false });
    uplink.setEnabled(true);
    await world.elapse(5_000);
    expect(handle.rung(edit.hashes[0] ?? ("" as never))).toBe("hub");
    expect(await textAt(hub)).toBe("cut off");
  });
});
