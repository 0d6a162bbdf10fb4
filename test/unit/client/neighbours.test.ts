/** Sessions of one device: what one has stored, the others show, and follow to the site. */

import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import type { DeviceNews, NeighboursPort } from "@openclaw/core/client/device-news.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { revision } from "@openclaw/core/ids.ts";
import { expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";
import { append, EMPTY, type Log } from "./log.ts";

/** All tabs of a device: each hears what another tells. */
class Tabs {
  readonly told: DeviceNews[] = [];
  readonly #heard = new Map<object, (news: DeviceNews) => void>();

  port(): NeighboursPort {
    const own = {};
    const early: DeviceNews[] = [];
    this.#heard.set(own, (news) => early.push(news));
    return {
      tell: (news) => {
        this.told.push(news);
        for (const [other, heard] of this.#heard) if (other !== own) heard(structuredClone(news));
      },
      listen: (heard) => {
        this.#heard.set(own, heard);
        for (const news of early) heard(news);
      },
      close: () => this.#heard.delete(own),
    };
  }
}

class Device {
  readonly world = new World();
  readonly store = new HeldStore();
  readonly tabs = new Tabs();
  readonly #alive = new Set<string>();
  readonly #site: TestCluster;

  private constructor(site: TestCluster) {
    this.#site = site;
  }

  static async with(prefixes: readonly string[] = []): Promise<{ device: Device; a: Client; b: Client }> {
    const world = new World();
    const site = await world.cluster("california");
    const device = Object.assign(new Device(site), { world });
    const [a, b] = [await device.open({ subscribe: { prefixes } }), await device.open({ subscribe: { prefixes } })];
    await world.elapse(2_000);
    return { device, a, b };
  }

  get site(): TestCluster {
    return this.#site;
  }

  open(options: Partial<ClientOptions> = {}): Promise<Client> {
    const claim: ClientOptions["claim"] = async (link) => {
      if (this.#alive.has(link)) return null;
      this.#alive.add(link);
      return () => this.#alive.delete(link);
    };
    return this.world.client(this.#site, { store: this.store, neighbours: this.tabs.port(), claim, ...options });
  }

  /** A tab is gone: it says nothing more, and its link can be had. */
  crash(client: Client): void {
    client.goOffline();
    this.#alive.delete(client.link);
  }
}

async function both(device: Device, ...clients: readonly Client[]): Promise<readonly DocumentHandle<Log>[]> {
  const opening = clients.map((client) => client.docs.open<Log>("log", "today", { initial: EMPTY }));
  // The site is asked for a document that is not on the device.
  await device.world.elapse(2_000);
  return Promise.all(opening);
}
const rungs = (handle: DocumentHandle<Log> | undefined) => handle?.edits().map(({ rung }) => rung);
const rows = async (client: Client, prefix: string) =>
  (await client.kv.list(prefix)).map((row) => `${utf8Text(row.key)}=${utf8Text(row.value)}@${row.modRevision}`);

test("an edit in one tab shows in the other offline, on the rung device, and climbs in both", async () => {
  const { device, a, b } = await Device.with();
  const [one, two] = await both(device, a, b);
  for (const client of [a, b]) client.goOffline();
  const edit = one?.change(append("typed in one"));
  await edit?.device;
  await device.world.flush();
  expect(two?.doc().text).toBe("typed in one");
  expect(rungs(two)?.at(-1)).toBe("device");
  expect([a.status().unsynced, b.status().unsynced]).toEqual([1, 1]);
  two?.change(append(", and in two"));
  await device.world.flush();
  expect(one?.doc().text).toBe("typed in one, and in two");
  // Only one of them can reach the site: it tells the other what the site said.
  a.goOnline();
  await device.world.elapse(2_000);
  expect(rungs(two)?.slice(-2)).toEqual(["site", "device"]);
  expect(rungs(one)?.slice(-2)).toEqual(["site", "device"]);
  expect([a.status().unsynced, b.status().unsynced]).toEqual([1, 1]);
  b.goOnline();
  await device.world.elapse(2_000);
  expect([rungs(one)?.slice(-2), rungs(two)?.slice(-2)]).toEqual([
    ["site", "site"],
    ["site", "site"],
  ]);
  expect([a.status().unsynced, b.status().unsynced]).toEqual([0, 0]);
});

test("S1: nothing is told before it is stored, and nothing of what could not be", async () => {
  const { device, a, b } = await Device.with();
  const [one, two] = await both(device, a, b);
  const before = device.tabs.told.length;
  device.store.holding = true;
  one?.change(append("held"));
  await device.world.flush();
  expect([two?.doc().text, device.tabs.told.length]).toEqual(["", before]);
  device.store.failing = 1;
  device.store.release();
  await device.world.flush();
  expect([two?.doc().text, device.tabs.told.length]).toEqual(["", before]);
  one?.change(append("stored"));
  await device.world.flush();
  expect(two?.doc().text).toBe("stored");
});

test("a key that one tab writes shows in the others' mirrors at once, and is the site's when that has it", async () => {
  const { device, a, b } = await Device.with(["q/"]);
  await device.site.execute({ kind: "put", key: new TextEncoder().encode("q/old"), value: new Uint8Array([0x31]) });
  await device.world.elapse(2_000);
  const mirror = b.kv.mirror("q/");
  await device.world.elapse(2_000);
  const shown = () => {
    const state = mirror.state();
    return state.kind === "ready" ? state.rows.map((row) => `${utf8Text(row.key)}@${row.modRevision}`) : state.kind;
  };
  for (const client of [a, b]) client.goOffline();
  a.kv.put("q/1", "mine");
  a.kv.delete("q/old");
  await device.world.flush();
  expect(shown()).toEqual(["q/1@0"]);
  expect(await rows(b, "q/")).toEqual(["q/1=mine@0"]);
  // A page that opens now sees it, too, and so does one that opens when the tab is gone.
  const c = await device.open({ subscribe: { prefixes: ["q/"] } });
  expect(await rows(c, "q/")).toEqual(["q/1=mine@0"]);
  a.goOnline();
  await device.world.elapse(2_000);
  expect(await rows(c, "q/")).toEqual(["q/1=mine@2"]);
  // What its own stream has not brought yet.
  expect(shown()).toEqual(["q/1@2"]);
  b.goOnline();
  await device.world.elapse(2_000);
  expect(await rows(b, "q/")).toEqual(["q/1=mine@2"]);
  expect(shown()).toEqual(["q/1@2"]);
});

test("D4: what a tab that crashed has left shows in the others, one of them sends it, once, and it climbs", async () => {
  const { device, a, b } = await Device.with(["q/"]);
  const [one, two] = await both(device, a, b);
  for (const client of [a, b]) client.goOffline();
  a.kv.put("q/1", "mine");
  const edit = one?.change(append("left behind"));
  await edit?.device;
  await device.world.flush();
  device.crash(a);
  const c = await device.open({ subscribe: { prefixes: ["q/"] } });
  c.goOffline();
  const before = device.site.ledgerEvents.length;
  for (const client of [b, c]) client.goOnline();
  await device.world.elapse(40_000);
  expect(await rows(b, "q/")).toEqual([expect.stringMatching(/^q\/1=mine@[1-9]/)]);
  expect(await rows(c, "q/")).toEqual(await rows(b, "q/"));
  expect(rungs(two)?.at(-1)).toBe("site");
  expect([b.status().unsynced, c.status().unsynced]).toEqual([0, 0]);
  expect(device.site.ledgerEvents.length - before).toBe(2);
});

test("what the site refuses one tab shows as refused in the others, until one of them discards it", async () => {
  const { device, a, b } = await Device.with(["q/"]);
  const refused = a.kv.compareAndSet("q/1", 7, "never");
  await device.world.elapse(2_000);
  expect(await codeOf(refused.site)).toBe("COMPARE_FAILED");
  expect(await b.outbox.list()).toMatchObject([{ link: a.link, refusal: { code: "COMPARE_FAILED" } }]);
  expect([a.status().failed, b.status().failed]).toEqual([1, 1]);
  await b.outbox.discard(await b.outbox.list(), () => {});
  await device.world.flush();
  expect([await a.outbox.list(), await b.outbox.list()]).toEqual([[], []]);
});

test("an edit of a document that one tab discards is gone in the others", async () => {
  const { device, a, b } = await Device.with([]);
  const handles = Promise.all([a, b].map((client) => client.docs.open<Log>("log", "today", { initial: EMPTY })));
  await device.world.elapse(2_000);
  const [one, two] = await handles;
  for (const client of [a, b]) client.goOffline();
  one?.change(append("typed"));
  await device.world.flush();
  expect(two?.doc().text).toBe("typed");
  await a.outbox.discard(await a.outbox.list(), () => {});
  await device.world.flush();
  expect([one?.doc().text, two?.doc().text]).toEqual(["", ""]);
  two?.change(append("anew"));
  await device.world.flush();
  for (const client of [a, b]) client.goOnline();
  await device.world.elapse(5_000);
  expect([one?.doc().text, two?.doc().text]).toEqual(["anew", "anew"]);
  expect(b.status()).toMatchObject({ unsynced: 0, failed: 0 });
});

test("an edit that one tab discards and imports again is on the rung device in the others, too", async () => {
  const { device, a, b } = await Device.with([]);
  const [one, two] = await both(device, a, b);
  for (const client of [a, b]) client.goOffline();
  one?.change(append("typed"));
  await device.world.flush();
  let kept = new Uint8Array();
  await a.outbox.discard(await a.outbox.list(), (exported) => {
    kept = exported.slice();
  });
  await device.world.flush();
  await a.outbox.import(kept);
  await device.world.flush();
  expect(two?.doc().text).toBe("typed");
  expect(two?.edits()).toEqual(one?.edits());
  expect(two?.edits().at(-1)).toMatchObject({ rung: "device", failure: { code: "DISCARDED" } });
  await a.outbox.retry(await a.outbox.list());
  await device.world.flush();
  expect(two?.edits()).toEqual(one?.edits());
  expect(two?.edits().at(-1)).toMatchObject({ rung: "device", failure: null });
});

test("an edit that is discarded and an edit that is refused while a tab does not hear are so there when it does", async () => {
  const { device, a } = await Device.with([]);
  const heard: ((news: DeviceNews) => void)[] = [];
  const silent = { tell: () => undefined, close: () => undefined };
  const listen = (listener: (news: DeviceNews) => void): void => void heard.push(listener);
  const frozen = await device.open({ neighbours: { ...silent, listen } });
  await device.world.elapse(2_000);
  const [one, two] = await both(device, a, frozen);
  const tellAgain = async (): Promise<void> => {
    for (const listener of heard) listener({ kind: "reread" });
    await device.world.flush();
  };
  for (const client of [a, frozen]) client.goOffline();
  one?.change(append("to go"));
  await device.world.flush();
  await tellAgain();
  expect(two?.doc().text).toBe("to go");
  const [edit] = (await a.outbox.list()).slice(-1);
  if (edit === undefined) throw new Error("an edit waits");
  await a.outbox.discard([edit], () => {});
  await device.world.flush();
  const bad = one?.change(append("bad"));
  await device.world.flush();
  await tellAgain();
  expect([one?.doc().text, two?.doc().text]).toEqual(["bad", "bad"]);
  expect(two?.edits()).toEqual(one?.edits());
  const [hash] = bad?.hashes ?? [];
  if (hash === undefined) throw new Error("an edit was made");
  device.site.badChanges.add(hash);
  a.goOnline();
  await device.world.elapse(2_000);
  a.goOffline();
  expect(one?.edits().at(-1)?.failure).not.toBeNull();
  await tellAgain();
  expect(two?.edits().at(-1)).toMatchObject({ rung: "device", failure: { code: one?.edits().at(-1)?.failure?.code } });
});

test("D2: numbers of what another tab discarded are not used again by the tab that made it", async () => {
  const { device, a, b } = await Device.with([]);
  const [one] = await both(device, a, b);
  a.goOffline();
  const bad = one?.change(append("bad"));
  await device.world.flush();
  const [hash] = bad?.hashes ?? [];
  if (hash === undefined) throw new Error("an edit was made");
  device.site.badChanges.add(hash);
  const actors = async () => (await device.store.document("log", "today")).slice(-1).map(({ actor }) => actor);
  const before = await actors();
  a.goOnline();
  await device.world.elapse(2_000);
  await b.outbox.discard(await b.outbox.list(), () => {});
  await device.world.flush();
  expect(one?.doc().text).toBe("");
  one?.change(append("anew"));
  await device.world.flush();
  expect(one?.doc().text).toBe("anew");
  expect(await actors()).not.toEqual(before);
});

test("X1: what is too much to tell is read from the store", async () => {
  const { device, a, b } = await Device.with(["q/"]);
  await device.site.execute({ kind: "put", key: new TextEncoder().encode("q/0"), value: new Uint8Array([0x30]) });
  await device.world.elapse(2_000);
  for (const client of [a, b]) client.goOffline();
  const before = device.tabs.told.length;
  a.kv.put("q/1", new Uint8Array(600_000));
  a.kv.put("q/2", new Uint8Array(600_000));
  await device.world.flush();
  expect((await b.kv.list("q/")).map(({ value }) => value.length)).toEqual([1, 600_000, 600_000]);
  expect(device.tabs.told.slice(before)).toEqual([{ kind: "reread" }]);
  expect(b.status().unsynced).toBe(2);
});

test("a tab that did not hear for a while takes up all of it from the store", async () => {
  const { device, a } = await Device.with(["q/"]);
  await device.site.execute({ kind: "put", key: new TextEncoder().encode("q/0"), value: new Uint8Array([0x30]) });
  await device.world.elapse(2_000);
  a.goOffline();
  const silent = { tell: () => undefined, close: () => undefined };
  const heard: ((news: DeviceNews) => void)[] = [];
  const frozen = await device.open({
    subscribe: { prefixes: ["q/"] },
    neighbours: { ...silent, listen: (listener) => void heard.push(listener) },
  });
  await device.world.elapse(2_000);
  frozen.goOffline();
  const [one, two] = await both(device, a, frozen);
  one?.change(append("while it "));
  a.goOnline();
  await device.world.elapse(2_000);
  a.goOffline();
  // The site has the first of it: that waits in no outbox any more.
  one?.change(append("slept"));
  a.kv.put("q/1", "too");
  await device.world.flush();
  expect([two?.doc().text, await rows(frozen, "q/")]).toEqual(["", ["q/0=0@1"]]);
  for (const listener of heard) listener({ kind: "reread" });
  await device.world.flush();
  expect([two?.doc().text, await rows(frozen, "q/")]).toEqual(["while it slept", ["q/0=0@1", "q/1=too@0"]]);
  expect(rungs(two)?.at(-1)).toBe("device");
  // Two of the one, and how the other began the document: told to nobody, it was counted when the first was online.
  expect([a.status().unsynced, frozen.status().unsynced]).toEqual([3, 3]);
});

test("L3: a revision of another epoch says nothing of when a key's write shows", async () => {
  const { device, a, b } = await Device.with(["k/"]);
  await device.site.execute({ kind: "put", key: utf8("k/0"), value: new Uint8Array() });
  await device.world.elapse(2_000);
  await device.site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("k/0") } });
  await device.world.elapse(2_000);
  for (const client of [a, b]) client.goOffline();
  const edit = a.kv.put("k/1", "typed");
  await device.world.flush();
  expect(await rows(b, "k/")).toEqual(["k/1=typed@0"]);
  const row = device.tabs.told.flatMap((news) => (news.kind === "stored" ? news.queued : [])).at(-1);
  if (row === undefined) throw new Error("nothing is queued");
  // Told by a session that met the site in an epoch whose revisions were far ahead.
  const answered = [{ link: row.link, seq: row.seq, at: revision(1_000_000) }];
  const told = { kind: "stored", queued: [], awaiting: [], failed: [], forgotten: [], dropped: [] } as const;
  device.tabs.port().tell({ ...told, epoch: "f".repeat(32), answered });
  await device.world.flush();
  expect(await rows(b, "k/")).toEqual([]);
  edit.site.catch(() => undefined);
});

test("L3: a revision of another epoch says nothing of a rung", async () => {
  const { device, a, b } = await Device.with();
  const [one, two] = await both(device, a, b);
  for (const client of [a, b]) client.goOffline();
  const edit = one?.change(append("typed"));
  await device.world.flush();
  const [hash] = edit?.hashes ?? [];
  const awaiting = device.tabs.told.flatMap((news) => (news.kind === "stored" ? news.awaiting : [])).slice(-1);
  const [document] = awaiting.map((one) => one.document);
  if (hash === undefined || document === undefined || document === null) throw new Error("nothing awaits");
  const told = { kind: "stored", queued: [], answered: [], failed: [], forgotten: [], dropped: [] } as const;
  const news = awaiting.map((row) => ({ ...row, document: { ...document, hashes: [hash] } }));
  device.tabs.port().tell({ ...told, epoch: "f".repeat(32), awaiting: news });
  expect(two?.rung(hash)).toBe("device");
  device.tabs.port().tell({ ...told, epoch: device.site.epoch.nonce, awaiting: news });
  expect(two?.rung(hash)).toBe("site");
});
