/** What goes wrong between a client's storage, its stream and its outbox: one fault a test. */
import * as Automerge from "@automerge/automerge";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { Outbox } from "@openclaw/core/client/outbox.ts";
import type { ClientWrite, OutboxRow } from "@openclaw/core/client/store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isActorId, isChangeHash, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { linkId, type TestCluster, World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";
import { append, EMPTY, type Log } from "./log.ts";

const put = (site: TestCluster, key: string, value = "v") =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const change = (site: TestCluster, one: DocumentChange) =>
  site.execute({ kind: "change", collection: "log", document: "today", changes: [one] });

/** A change that decodes, and sets a key of an object that never was. */
function poison(deps: readonly string[]): DocumentChange {
  const actor = "cc".repeat(16);
  const ops = [{ action: "set", obj: `9@${"dd".repeat(16)}`, key: "y", value: 2, datatype: "int", pred: [] }];
  const bytes = Automerge.encodeChange({ actor, seq: 1, startOp: 50, time: 0, message: null, deps, ops } as never);
  const { hash } = Automerge.decodeChange(bytes);
  if (!isChangeHash(hash) || !isActorId(actor) || !deps.every(isChangeHash)) throw new Error("not a change");
  return { hash, actor, seq: 1, deps: deps.filter(isChangeHash), bytes };
}

describe("a change that Automerge chokes on", () => {
  test("D1: is left out, and edits before and after it, from here and elsewhere, go on", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const [a, b] = [await world.client(site), await world.client(site)];
    const [left, right] = [
      await a.docs.open<Log>("log", "today", { initial: EMPTY }),
      await b.docs.open<Log>("log", "today", { initial: EMPTY }),
    ];
    left.change(append("one"));
    await world.elapse(5_000);
    const bad = poison(left.heads());
    expect(await change(site, bad)).toMatchObject({ ok: true });
    await world.elapse(5_000);
    expect(left.heads()).not.toContain(bad.hash);
    const edit = left.change(append(" two"));
    await world.elapse(5_000);
    expect(await codeOf(edit.site)).toBe("ok");
    expect(right.doc().text).toBe("one two");
    right.change(append(" three"));
    await world.elapse(5_000);
    expect(left.doc().text).toBe("one two three");
    // A third device meets it in the middle of what it loads.
    const c = await world.client(site, { subscribe: { collections: ["log"] } });
    await world.elapse(5_000);
    expect((await c.docs.open<Log>("log", "today")).doc().text).toBe("one two three");
  });

  test("what comes while a document is read again is not left out", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    const other = await world.client(site);
    const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
    const elsewhere = await other.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.elapse(2_000);
    // The reading is held until the change that comes meanwhile is stored and shown.
    let read = (): void => {};
    const document = store.document.bind(store);
    store.document = async (...name) => {
      const changes = await document(...name);
      await new Promise<void>((resolve) => {
        read = resolve;
      });
      return changes;
    };
    await change(site, poison(handle.heads()));
    await world.elapse(2_000);
    elsewhere.change(append("meanwhile"));
    await world.elapse(2_000);
    read();
    await world.elapse(2_000);
    expect(handle.doc().text).toBe("meanwhile");
  });
});

describe("a document of a collection that was not subscribed to", () => {
  test("is whole when it opens, while the site can be reached", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const writer = await world.client(site);
    (await writer.docs.open<Log>("log", "today", { initial: EMPTY })).change(append("hello"));
    await world.flush();
    /** Reads as slowly as a disk. */
    class SlowStore extends MemoryClientStore {
      override async document(collection: string, document: string): Promise<readonly DocumentChange[]> {
        await new Promise<void>((resolve) => world.clock.after(5, resolve));
        return super.document(collection, document);
      }
    }
    const reader = await world.client(site, { store: new SlowStore() });
    await world.flush();
    const opening = reader.docs.open<Log>("log", "today").then((handle) => handle.doc().text);
    await world.elapse(2_000);
    expect(await opening).toBe("hello");
    // And it goes on from there.
    await writer.docs.open<Log>("log", "today").then((handle) => handle.change(append(" again")));
    await world.elapse(2_000);
    expect((await reader.docs.open<Log>("log", "today")).doc().text).toBe("hello again");
  });
});

describe("limits", () => {
  test("CHANGE_TOO_LARGE: a first content that could not travel is refused at once, and holds up nothing", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const client = await world.client(site);
    const bytes = world.random.bytes(5_000_000);
    expect(await codeOf(client.docs.open("log", "large", { initial: { bytes } }))).toBe("CHANGE_TOO_LARGE");
    const edit = client.kv.put("a", "1");
    await world.elapse(5_000);
    expect(await codeOf(edit.site)).toBe("ok");
  });
});

describe("the stream down", () => {
  test("L4: what an old stream brought late does not move a wider one past what it has to bring", async () => {
    const world = new World();
    const site = await world.cluster("california");
    await put(site, "r/1", "left out before");
    const store = new HeldStore();
    const client = await world.client(site, { store, subscribe: { prefixes: ["q/"] } });
    await put(site, "q/1");
    await world.elapse(2_000);
    // Two runs come while storage is slow: one is being stored, the other waits.
    store.holding = true;
    await put(site, "q/2");
    await world.flush();
    await put(site, "q/3");
    await world.flush();
    world.unreachable.add(site.id);
    client.kv.watch("r/", () => undefined);
    await world.flush();
    store.release();
    await world.flush();
    await client.stop();
    world.unreachable.delete(site.id);
    const next = await world.client(site, { store, subscribe: { prefixes: ["q/", "r/"] } });
    await world.elapse(5_000);
    expect(utf8Text((await next.kv.get("r/1"))?.value ?? new Uint8Array())).toBe("left out before");
    expect((await next.kv.list("q/")).map(({ key }) => utf8Text(key))).toEqual(["q/1", "q/2", "q/3"]);
  });

  test("S1: a cursor is never stored without what it covers", async () => {
    /** Takes small writes only, and not at once, as a device whose space runs out does. */
    class FullStore extends MemoryClientStore {
      refuse: (() => void) | null = null;
      full = false;
      override async write(write: ClientWrite): Promise<void> {
        if (this.full && (write.mirrorPuts?.length ?? 0) > 0) {
          await new Promise<void>((resolve) => {
            this.refuse = resolve;
          });
          throw new OpenClawError("CLIENT_STORAGE_FAILED", "no space left");
        }
        await super.write(write);
      }
    }
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    world.uplink(site, hub);
    const store = new FullStore();
    const client = await world.client(site, { store, subscribe: { prefixes: [""] } });
    await world.elapse(5_000);
    // The hub has it within this flush; the client writes that down a second later.
    await put(site, "a");
    await world.flush();
    store.full = true;
    await put(site, "b");
    await world.elapse(2_000);
    world.unreachable.add(site.id);
    store.refuse?.();
    await world.flush();
    expect(client.status().upstream).toBeGreaterThan(0);
    expect((await store.down())?.cursor).toBe(1);
    expect((await store.mirror(null, utf8(""), null)).length).toBe(1);
  });
});

describe("outboxes", () => {
  test("D4: rows of a dead session are fetched once, however many ask for them", async () => {
    const store = new MemoryClientStore();
    const link = linkId("ab".repeat(16));
    const row: OutboxRow = { link, seq: seq(1), command: { kind: "put", key: utf8("k"), value: utf8("v") } };
    await store.write({ enqueue: [row] });
    const outbox: Outbox = new Outbox(link, seq(1), async () =>
      outbox.restore(await store.outbox(link, outbox.nextSeq, 10)),
    );
    const pushes = await Promise.all([outbox.next(0), outbox.next(0)]);
    expect(pushes.map((push) => push?.to)).toEqual([1, 1]);
    expect(outbox.size).toBe(1);
  });

  test("Q1: an edit that was being stored when the site forgot the link goes on under the new one", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const store = new HeldStore();
    const client = await world.client(site, { store });
    client.kv.put("a", "1");
    await world.flush();
    world.cutAll();
    world.unreachable.add(site.id);
    await world.flush();
    const sent = client.kv.put("b", "1");
    await world.flush();
    // Another site of that name and epoch, which never heard of the link, takes its place.
    const successor = await world.cluster("california", site.epoch.nonce);
    site.connect = () => successor.connect();
    world.unreachable.delete(site.id);
    store.holding = true;
    const storing = client.kv.put("c", "1");
    await world.elapse(300);
    store.release();
    await world.elapse(60_000);
    expect(
      await codeOf(Promise.race([sent.site, world.elapse(1_000).then(() => Promise.reject(new Error("never told")))])),
    ).toBe("ok");
    expect(
      await codeOf(
        Promise.race([storing.site, world.elapse(1_000).then(() => Promise.reject(new Error("never told")))]),
      ),
    ).toBe("ok");
    expect(client.status().unsynced).toBe(0);
  });
});

test("a client that is stopped lets go of everything else where its store does not close", async () => {
  const world = new World();
  const store = new MemoryClientStore();
  store.close = () => Promise.reject(new Error("busy"));
  let isLetGo = false;
  const stopped = async (): Promise<void> => {
    isLetGo = true;
  };
  const client = await world.client(await world.cluster("california"), { store, stopped });
  await expect(client.stop()).rejects.toThrow("busy");
  expect(isLetGo).toBe(true);
});
