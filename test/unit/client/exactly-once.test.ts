import { utf8 } from "@openclaw/core/bytes.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

describe("exactly once", () => {
  /** How many frames are delivered before the wire is cut, and whether an import is lost on the way. */
  for (let frames = 0; frames < 14; frames++) {
    for (const lost of [0, 1]) {
      test(`Q2: twenty puts, cut after ${frames} frames, ${lost} imports lost: each once, in order`, async () => {
        const world = new World(frames + 1);
        const site = await world.cluster("california");
        const client = await world.client(site, { subscribe: { prefixes: [""] } });
        site.loseImports = lost;
        const edits = [];
        for (let i = 0; i < 20; i++) {
          edits.push(client.kv.put(`k${i}`, `v${i}`));
          if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        for (let delivered = 0; delivered < frames; delivered++) {
          await new Promise((resolve) => setImmediate(resolve));
          for (const wire of world.wires) wire.deliver();
        }
        world.cutAll();
        await world.elapse(20_000);
        const revisions = await Promise.all(edits.map((edit) => edit.site));
        expect(revisions).toEqual(revisions.map((_, i) => i + 1));
        expect(site.position().revision).toBe(20);
        expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, link: "online", cursor: 20 });
      });
    }
  }

  test("S2: imports that are lost are pushed again from the cursor, in order", async () => {
    const { world, site, client } = await siteWithClient();
    const edits = [];
    site.loseImports = 1;
    for (let i = 0; i < 5; i++) {
      edits.push(client.kv.put(`k${i}`, "v"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await world.elapse(5_000);
    expect(await Promise.all(edits.map((edit) => edit.site))).toEqual([1, 2, 3, 4, 5]);
    expect(client.status().lastError).toBeNull();
  });

  test("a gateway that lags behind its site does not make a client repeat, or skip, anything", async () => {
    const { world, site, client } = await siteWithClient();
    for (let i = 0; i < 5; i++) {
      client.kv.put(`k${i}`, "v");
      await world.flush();
    }
    site.laggingLink = await site.read({ kind: "link", link: client.link });
    // Five more: three answered, two on their way when the wire is cut.
    for (let i = 5; i < 8; i++) {
      client.kv.put(`k${i}`, "v");
      await world.flush();
    }
    const last = [client.kv.put("k8", "v"), client.kv.put("k9", "v")];
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (site.position().revision === 10) break;
      for (const wire of world.wires) wire.deliver();
    }
    world.cutAll();
    await world.elapse(2_000);
    expect(await Promise.all(last.map((edit) => edit.site))).toEqual([9, 10]);
    expect(client.kv.put("k10", "v")).toBeDefined();
    await world.flush();
    expect(site.position().revision).toBe(11);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null });
  });

  test("Q1: a site that says it took more than was ever sent takes nobody's edits for done", async () => {
    const { world, site, client } = await siteWithClient();
    client.kv.put("a", "1");
    await world.flush();
    const { link } = await site.read({ kind: "link", link: client.link });
    if (link === null) throw new Error("no link");
    world.cutAll();
    const edit = client.kv.put("b", "2");
    site.laggingLink = { link: { ...link, cursor: 1_000, outcomes: [] } };
    await world.elapse(3_000);
    site.laggingLink = null;
    await world.elapse(20_000);
    expect(await codeOf(edit.site)).toBe("ok");
    expect(await site.get("b")).toBe("2");
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null });
  });

  test("X1: a client that may not send waits, and what waits goes in one push", async () => {
    const { world, site, client } = await siteWithClient();
    const [wire] = world.wires;
    wire?.child.block();
    client.kv.put("a", "1");
    await world.flush();
    const [sent, proposals] = [wire?.child.sent, site.proposals.length];
    const edits = Array.from({ length: 20 }, (_, i) => client.kv.put(`k${i}`, "v"));
    await world.flush();
    expect(wire?.child.sent).toBe(sent);
    wire?.child.unblock();
    await world.flush();
    expect(await Promise.all(edits.map((edit) => edit.site))).toHaveLength(20);
    expect(site.proposals.length - proposals).toBe(1);
  });

  test("D4: what a page left behind is sent by the next one, once, though its push had arrived", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const first = await world.client(site, { store });
    await world.flush();
    for (let i = 0; i < 10; i++) first.kv.put(`k${i}`, "v");
    // The site has taken them; the answer is on its way when the page goes away.
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (site.position().revision > 0) break;
      for (const wire of world.wires) wire.deliver();
    }
    expect(site.position().revision).toBe(10);
    first.goOffline();
    world.cutAll();
    expect(await store.outboxLinks()).toHaveLength(1);

    const second = await world.client(site, { store });
    expect(second.status().unsynced).toBe(10);
    await world.elapse(1_000);
    expect(await store.outboxLinks()).toEqual([]);
    expect(site.position().revision).toBe(10);
    expect(second.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("D4: a link that another page holds is left alone", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new MemoryClientStore();
    const held = new Set<string>();
    const claim = async (link: string) => {
      if (held.has(link)) return null;
      held.add(link);
      return () => void held.delete(link);
    };
    const first = await world.client(site, { store, claim });
    await world.flush();
    first.goOffline();
    const edit = first.kv.put("a", "1");
    await world.flush();
    const second = await world.client(site, { store, claim });
    await world.elapse(60_000);
    expect(site.position().revision).toBe(0);
    first.goOnline();
    await world.elapse(60_000);
    expect(await edit.site).toBe(1);
    expect(second.status().unsynced).toBe(0);
  });

  test("Q1: a link that the site forgot goes on under a new name; a key's write that was sent is not run twice", async () => {
    const world = new World();
    const before = await world.cluster("california", "a".repeat(32));
    const after = await world.cluster("california", "a".repeat(32));
    let site = before;
    const store = new MemoryClientStore();
    const client = await world.client(before, { store, connect: async () => site.connect() });
    const link = client.link;
    client.kv.put("a", "1");
    const opening = client.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.flush();
    const handle = await opening;
    await world.flush();
    // Sent, but the answer does not come; then the site loses its memory.
    const sent = client.kv.put("b", "2");
    handle.change(append("x"));
    await new Promise((resolve) => setImmediate(resolve));
    for (const wire of world.wires) wire.deliver();
    world.unreachable.add(before.id);
    world.cutAll();
    const unsent = client.kv.put("c", "3");
    await world.flush();
    world.unreachable.clear();
    for (let i = 0; i < 5; i++) await after.execute({ kind: "put", key: utf8(`filler ${i}`), value: utf8("") });
    site = after;
    await world.elapse(20_000);
    expect(await codeOf(sent.site)).toBe("SESSION_EXPIRED");
    expect(await codeOf(unsent.site)).toBe("ok");
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 1 });
    expect(await after.get("b")).toBeNull();
    expect(await after.get("c")).toBe("3");
    expect(
      (await after.read({ kind: "document", collection: "log", document: "today", after: 0, limit: 9 })).changes,
    ).toHaveLength(2);
    expect(await store.outboxLinks()).toEqual([]);
    expect(client.link).toBe(link);
  });

  test("Q1, L3: what was sent in an epoch that is over is not run again, though it was the first of its link", async () => {
    const world = new World();
    const before = await world.cluster("california");
    const after = await world.cluster("california");
    let site = before;
    const client = await world.client(before, { connect: async () => site.connect() });
    await world.flush();
    const sent = client.kv.put("b", "2");
    await new Promise((resolve) => setImmediate(resolve));
    for (const wire of world.wires) wire.deliver();
    world.unreachable.add(before.id);
    world.cutAll();
    const unsent = client.kv.put("c", "3");
    await world.flush();
    world.unreachable.clear();
    // The restored site has the effect of the first, and no link.
    await after.execute({ kind: "put", key: utf8("b"), value: utf8("2") });
    site = after;
    await world.elapse(20_000);
    expect(await codeOf(sent.site)).toBe("SESSION_EXPIRED");
    expect(await codeOf(unsent.site)).toBe("ok");
    expect((await after.read({ kind: "get", origin: null, key: utf8("b") })).row?.version).toBe(1);
    expect(await after.get("c")).toBe("3");
  });

  test("a client never has more commands without an answer than the site remembers", async () => {
    const { world, site, client } = await siteWithClient();
    client.goOffline();
    await world.flush();
    const edits = Array.from({ length: 3_000 }, (_, i) => client.kv.put(`k${i % 7}`, String(i)));
    await world.flush();
    client.goOnline();
    await world.elapse(2_000);
    const revisions = await Promise.all(edits.map((edit) => edit.site));
    expect(revisions).toEqual(revisions.map((_, i) => i + 1));
    expect(client.status().lastError).toBeNull();
    expect(site.position().revision).toBe(3_000);
  });
});
