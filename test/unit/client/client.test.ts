import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { revision } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { ANYBODY } from "../sync/anybody.ts";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { linkId, World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";
import { append, EMPTY, type Log } from "./log.ts";

describe("keys of a client", () => {
  test("a put climbs to the site, and is read there", async () => {
    const { world, site, client } = await siteWithClient();
    const edit = client.kv.put("a", "1");
    await edit.device;
    expect(client.status().unsynced).toBe(1);
    await world.flush();
    expect(await edit.site).toBe(1);
    expect(client.status().unsynced).toBe(0);
    expect(await site.get("a")).toBe("1");
    const asked = client.kv.get("a", { consistency: "linearizable" });
    await world.flush();
    expect(utf8Text((await asked)?.value ?? new Uint8Array())).toBe("1");
  });

  test("S1: nothing is pushed before the device has it, and device comes before site", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    await world.flush();
    store.holding = true;
    const rungs: string[] = [];
    const edit = client.kv.put("a", "1");
    void edit.device.then(() => rungs.push("device"));
    void edit.site.then(() => rungs.push("site"));
    await world.flush();
    expect(rungs).toEqual([]);
    expect(site.position().revision).toBe(0);
    store.release();
    await world.flush();
    expect(rungs).toEqual(["device", "site"]);
  });

  test("R3: a hundred puts of one moment are one write on the device and one import at the site", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    await world.flush();
    const [writes, proposals] = [store.writes, site.proposals.length];
    const edits = Array.from({ length: 100 }, (_, i) => client.kv.put(`k${i}`, "v"));
    await world.flush();
    expect(await Promise.all(edits.map(({ site: done }) => done))).toHaveLength(100);
    expect(site.proposals.length - proposals).toBe(1);
    // The rows, and their outcomes.
    expect(store.writes - writes).toBe(2);
  });

  test("a compare that fails is refused by the site, kept as failed, and nothing else is held up", async () => {
    const { world, site, client } = await siteWithClient();
    const first = client.kv.compareAndSet("a", 0, "1");
    const second = client.kv.compareAndSet("a", 0, "2");
    const third = client.kv.put("b", "3");
    await world.flush();
    expect(await codeOf(first.site)).toBe("ok");
    expect(await codeOf(second.site)).toBe("COMPARE_FAILED");
    expect(await codeOf(third.site)).toBe("ok");
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 1 });
    await client.outbox.discard(await client.outbox.list(), () => {});
    expect(client.status().failed).toBe(0);
    expect(await site.get("a")).toBe("1");
  });

  test("what cannot be a key or a value is refused at once", async () => {
    const { client } = await siteWithClient();
    expect(() => client.kv.put("", "v")).toThrow("at least one byte");
    expect(() => client.kv.put("k".repeat(4_097), "v")).toThrow("4,096");
    expect(() => client.kv.put("k", new Uint8Array(1_048_577))).toThrow("1,048,576");
  });

  test("a caller may reuse its bytes", async () => {
    const { world, site, client } = await siteWithClient();
    const value = utf8("before");
    client.kv.put("a", value);
    value.fill(0x78);
    await world.flush();
    expect(await site.get("a")).toBe("before");
  });

  test("a mirror answers offline, with own puts on top, and watchers hear of others'", async () => {
    const world = new World();
    const site = await world.cluster("california");
    await site.execute({ kind: "put", key: utf8("q/1"), value: utf8("one") });
    const client = await world.client(site, { subscribe: { prefixes: ["q/"] } });
    const heard: string[] = [];
    client.kv.watch("q/", (events) =>
      heard.push(...events.map((event) => `${event.kind} ${utf8Text(event.key)} ${utf8Text(event.value)}`)),
    );
    await world.elapse(2_000);
    await site.execute({ kind: "put", key: utf8("q/2"), value: utf8("two") });
    await site.execute({ kind: "put", key: utf8("r/1"), value: utf8("elsewhere") });
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("q/1") } });
    await world.elapse(2_000);
    expect(heard).toEqual(["put q/1 one", "put q/2 two", "delete q/1 "]);
    client.goOffline();
    client.kv.put("q/3", "mine");
    client.kv.delete("q/2");
    const rows = await client.kv.list("q/");
    expect(rows.map((row) => [utf8Text(row.key), utf8Text(row.value), row.modRevision])).toEqual([["q/3", "mine", 0]]);
    expect(await client.kv.get("q/2")).toBeNull();
    expect(await codeOf(client.kv.get("r/1"))).toBe("UNAVAILABLE");
    client.goOnline();
    await world.elapse(2_000);
    expect((await client.kv.get("q/3"))?.modRevision).toBe(5);
    expect(await site.get("q/2")).toBeNull();
  });

  test("a wider subscription takes up what was left out, and does not undo what was known", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const put = (key: string, value: string) => site.execute({ kind: "put", key: utf8(key), value: utf8(value) });
    await put("q/1", "old");
    await put("r/1", "left out");
    await put("q/1", "new");
    const store = new MemoryClientStore();
    const client = await world.client(site, { store, subscribe: { prefixes: ["q/"] } });
    await world.elapse(2_000);
    const seen: string[] = [];
    client.kv.watch("q/", (events) => seen.push(...events.map(({ value }) => utf8Text(value) ?? "")));
    client.kv.watch("r/", (events) => seen.push(...events.map(({ value }) => utf8Text(value) ?? "")));
    await world.elapse(2_000);
    expect(seen).toEqual(["left out"]);
    expect(utf8Text((await client.kv.get("q/1"))?.value ?? new Uint8Array())).toBe("new");
    expect((await store.down())?.subscription.prefixes.map(utf8Text)).toEqual(["q/", "r/"]);
    expect(utf8Text((await client.kv.get("r/1"))?.value ?? new Uint8Array())).toBe("left out");
  });
});

describe("rights", () => {
  test("pitfall 50: a forbidden write keeps its place, is told, and what follows goes on", async () => {
    const world = new World();
    const site = await world.cluster("california");
    site.principal = () => ({
      ...ANYBODY,
      name: "eve",
      mayWriteKey: (key) => key[0] === 0x61,
      mayWriteDocument: () => false,
    });
    const client = await world.client(site);
    const allowed = client.kv.put("a1", "1");
    const forbidden = client.kv.put("b1", "1");
    const handle = await client.docs.open<Log>("log", "today");
    const change = handle.change((doc) => {
      doc.text = "no";
    });
    const later = client.kv.put("a2", "2");
    await world.flush();
    expect(await codeOf(allowed.site)).toBe("ok");
    expect(await codeOf(forbidden.site)).toBe("FORBIDDEN");
    expect(await codeOf(change.site)).toBe("FORBIDDEN");
    expect(await codeOf(later.site)).toBe("ok");
    expect(handle.edits()).toMatchObject([{ rung: "device", failure: { code: "FORBIDDEN" } }]);
    expect(await codeOf(handle.settled(change.hashes[0] ?? ("" as never), "site"))).toBe("FORBIDDEN");
    expect((await client.outbox.list()).map(({ refusal }) => refusal?.code)).toEqual(["FORBIDDEN", "FORBIDDEN"]);
    expect(site.position().revision).toBe(2);
    const asked = codeOf(client.kv.get("b1", { consistency: "linearizable" }));
    await world.flush();
    expect(await asked).toBe("ok");
  });

  test("pitfall 50: what a principal may not read does not come down, and may not be asked", async () => {
    const world = new World();
    const site = await world.cluster("california");
    site.principal = () => ({
      ...ANYBODY,
      mayReadKey: (key) => key[0] === 0x61,
      mayReadPrefix: (prefix) => prefix[0] === 0x61,
    });
    const store = new MemoryClientStore();
    const client = await world.client(site, { store, subscribe: { prefixes: [""] } });
    await site.execute({ kind: "put", key: utf8("a"), value: utf8("1") });
    await site.execute({ kind: "put", key: utf8("b"), value: utf8("2") });
    await world.elapse(2_000);
    expect((await store.mirror(null, new Uint8Array(), null)).map((row) => utf8Text(row.key))).toEqual(["a"]);
    expect(client.status().cursor).toBe(2);
    const asked = Promise.all([
      codeOf(client.kv.get("b", { consistency: "linearizable" })),
      codeOf(client.kv.list("", { consistency: "linearizable" })),
      codeOf(client.kv.list("a", { consistency: "linearizable" })),
    ]);
    await world.flush();
    expect(await asked).toEqual(["FORBIDDEN", "FORBIDDEN", "ok"]);
  });

  test("pitfall 50: a token that runs out ends the link, and a new one opens it", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const tokens = ["short", "long"];
    const start = world.clock.wall();
    site.principal = (token) => ({ ...ANYBODY, expires: token === "short" ? start + 5_000 : null });
    const client = await world.client(site, { token: () => tokens.shift() ?? "long", subscribe: { prefixes: [""] } });
    await world.elapse(4_000);
    expect(client.status().link).toBe("online");
    await world.elapse(1_010);
    expect(client.status()).toMatchObject({ link: "connecting", lastError: { code: "UNAUTHENTICATED" } });
    await world.elapse(1_000);
    expect(client.status()).toMatchObject({ link: "online", lastError: null });
  });
});

describe("storage that fails", () => {
  test("S1: an edit that the device did not take is told so, and the others are not lost with it", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    await world.flush();
    // The joint write fails, then each alone: the first fails again.
    store.failing = 2;
    const lost = client.kv.put("a", "1");
    const kept = client.kv.put("b", "2");
    await world.flush();
    expect(await codeOf(lost.device)).toBe("CLIENT_STORAGE_FAILED");
    expect(await codeOf(lost.site)).toBe("CLIENT_STORAGE_FAILED");
    expect(await codeOf(kept.site)).toBe("ok");
    expect(await site.get("a")).toBeNull();
    expect(site.position().revision).toBe(1);
  });

  test("S1: a document goes back to what is stored when an edit could not be", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
    handle.change(append("kept "));
    await world.flush();
    store.failing = 2;
    const lost = handle.change(append("lost "));
    const behind = handle.change(append("behind"));
    expect(handle.doc().text).toBe("kept lost behind");
    await world.flush();
    expect([await codeOf(lost.device), await codeOf(behind.device)]).toEqual([
      "CLIENT_STORAGE_FAILED",
      "CLIENT_STORAGE_FAILED",
    ]);
    expect(handle.doc().text).toBe("kept ");
    const again = handle.change(append("again"));
    await world.flush();
    expect(await codeOf(again.site)).toBe("ok");
    expect(handle.doc().text).toBe("kept again");
  });

  test("outcomes that could not be stored come again with the next connection", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    await world.flush();
    const edit = client.kv.put("a", "1");
    await edit.device;
    store.failing = 1;
    await world.flush();
    expect(client.status()).toMatchObject({ unsynced: 1, lastError: { code: "CLIENT_STORAGE_FAILED" } });
    await world.elapse(2_000);
    expect(await edit.site).toBe(1);
    expect(client.status().unsynced).toBe(0);
    expect(site.position().revision).toBe(1);
  });
});

describe("a client's link", () => {
  test("offline, edits stay on the device; online, they go", async () => {
    const { world, site, client } = await siteWithClient();
    client.goOffline();
    const edit = client.kv.put("a", "1");
    await world.elapse(60_000);
    expect(client.status()).toMatchObject({ link: "offline", unsynced: 1 });
    expect(site.position().revision).toBe(0);
    client.goOnline();
    await world.flush();
    expect(await edit.site).toBe(1);
    expect(client.status().link).toBe("online");
  });

  test("tries again while the site is out of reach, less and less often, and at once when told", async () => {
    const world = new World();
    const site = await world.cluster("california");
    world.unreachable.add(site.id);
    let tries = 0;
    const client = await world.client(site, {
      connect: async () => {
        tries++;
        return site.connect();
      },
    });
    await world.elapse(60_000);
    expect(tries).toBeGreaterThan(8);
    expect(tries).toBeLessThan(25);
    expect(client.status()).toMatchObject({ link: "connecting", lastError: { code: "UNAVAILABLE" } });
    world.unreachable.clear();
    client.goOnline();
    await world.flush();
    expect(client.status().link).toBe("online");
  });

  test("a parent that falls silent is noticed", async () => {
    const { world, client } = await siteWithClient();
    const [wire] = world.wires;
    if (wire !== undefined) wire.child.send = () => true;
    await world.elapse(36_000);
    expect(wire?.open).toBe(false);
    expect(client.status().link).toBe("online");
  });

  test("WRONG_CLUSTER: a device with one site's data does not take another's", async () => {
    const world = new World();
    const california = await world.cluster("california");
    const alaska = await world.cluster("alaska");
    await california.execute({ kind: "put", key: utf8("a"), value: utf8("1") });
    const store = new MemoryClientStore();
    const first = await world.client(california, { store, subscribe: { prefixes: [""] } });
    await world.elapse(2_000);
    first.goOffline();
    const second = await world.client(alaska, { store, subscribe: { prefixes: [""] } });
    await world.flush();
    expect(second.status().lastError?.code).toMatch(/WRONG_(CLUSTER|EPOCH)/);
  });

  test("L3: in a new epoch of its site a client begins anew, and sends its documents again", async () => {
    const world = new World();
    const before = await world.cluster("california");
    const after = await world.cluster("california");
    let site = before;
    const store = new MemoryClientStore();
    const client = await world.client(before, {
      store,
      connect: async () => site.connect(),
      subscribe: { prefixes: [""], collections: ["log"] },
    });
    await before.execute({ kind: "put", key: utf8("gone"), value: utf8("1") });
    const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
    handle.change(append("hello"));
    await world.elapse(2_000);
    site = after;
    world.cutAll();
    await world.elapse(20_000);
    expect(await store.mirror(null, new Uint8Array(), null)).toEqual([]);
    const { changes } = await after.read({
      kind: "document",
      collection: "log",
      document: "today",
      after: 0,
      limit: 9,
    });
    expect(changes).toHaveLength(2);
    expect(client.status()).toMatchObject({
      link: "online",
      unsynced: 0,
      failed: 0,
      lastError: null,
      cursor: revision(1),
    });
    expect((await store.down())?.epoch).toBe(after.epoch.nonce);
  });

  test("NOT_ADMITTED: a client may not take a site's name for its link", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site, { link: linkId("alaska") });
    await world.flush();
    expect(client.status().lastError?.code).toBe("NOT_ADMITTED");
  });

  test("stopped, it takes no more, and what waits is in the store", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    client.goOffline();
    client.kv.put("a", "1");
    await client.stop();
    expect(() => client.kv.put("b", "2")).toThrow("stop");
    expect(await store.outboxLinks()).toEqual([client.link]);
  });
});
