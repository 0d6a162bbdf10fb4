import * as Automerge from "@automerge/automerge";
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { SLICE_CHANGES_MAX, Slices, UNSHOWN_MAX, Unshown } from "@openclaw/core/client/slices.ts";
import { isActorId, isChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

/** A thread in which nobody else has a turn before the test says so. */
class Turns {
  #waiting: (() => void)[] = [];

  readonly next = (): Promise<void> => new Promise((resolve) => this.#waiting.push(resolve));

  /** True if somebody waited for it. */
  async pass(): Promise<boolean> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    // Whatever follows happens in microtasks.
    await new Promise((resolve) => setImmediate(resolve));
    return waiting.length > 0;
  }

  async passAll(): Promise<void> {
    while (await this.pass());
  }
}

const open = (client: Client, id = "today"): Promise<DocumentHandle<Log>> =>
  client.docs.open<Log>("log", id, { initial: EMPTY });

/** A writer and a reader of the same documents. */
async function twoClients(options: { readonly store?: MemoryClientStore } = {}) {
  const world = new World();
  const site = await world.cluster("california");
  const turns = new Turns();
  const [writer, reader] = [await world.client(site), await world.client(site, { nextTurn: turns.next, ...options })];
  const opening = Promise.all(["today", "other"].flatMap((id) => [open(writer, id), open(reader, id)]));
  await world.flush();
  await turns.passAll();
  const [left, right, otherLeft, otherRight] = await opening;
  if (left === undefined || right === undefined || otherLeft === undefined || otherRight === undefined)
    throw new Error();
  await world.flush();
  await turns.passAll();
  return { world, site, writer, reader, left, right, otherLeft, otherRight, turns };
}

/** So many changes of one document are on their way to the reader. */
async function withChanges(count: number, options: { readonly store?: MemoryClientStore } = {}) {
  const clients = await twoClients(options);
  const { writer, left } = clients;
  writer.goOffline();
  for (let i = 0; i < count; i++) left.change(append(String(i % 10)));
  writer.goOnline();
  return clients;
}

/** Changes of no client, each on top of the one before. */
function foreign(count: number): readonly DocumentChange[] {
  let doc = Automerge.init<Log>();
  for (let i = 0; i < count; i++) doc = Automerge.change(doc, (draft) => Object.assign(draft, { text: `${i}` }));
  return Automerge.getAllChanges(doc).map((bytes) => {
    const { hash, actor, seq, deps } = Automerge.decodeChange(bytes);
    if (!isChangeHash(hash) || !isActorId(actor)) throw new Error("no change");
    return { hash, actor, seq, deps: deps.filter(isChangeHash), bytes };
  });
}

describe("received changes are shown in slices", () => {
  test("1,000 at once: no slice shows more than its bound, each is told, and nothing is lost", async () => {
    const { world, left, right, turns } = await withChanges(1_000);
    const shown: number[] = [];
    right.subscribe(() => shown.push(right.doc().text.length));
    await world.flush();
    expect(right.unshown()).toBeGreaterThanOrEqual(1_000 - 2 * SLICE_CHANGES_MAX);
    await turns.passAll();
    await world.flush();
    expect(right.doc().text).toBe(left.doc().text);
    expect(right.unshown()).toBe(0);
    const steps = shown.map((length, i) => length - (shown[i - 1] ?? 0)).filter((step) => step > 0);
    expect(Math.max(...steps)).toBeLessThanOrEqual(SLICE_CHANGES_MAX);
    expect(steps.length).toBeGreaterThanOrEqual(4);
    expect(steps.length).toBeLessThan(12);
  });

  test("an edit between two slices does not wait: it follows what is shown, and all meet", async () => {
    const { world, left, right, turns } = await withChanges(600);
    await world.flush();
    expect(right.unshown()).toBeGreaterThan(0);
    const heads = right.heads();
    const before = right.doc().text;
    const edit = right.change(append("mine"));
    expect(right.doc().text).toBe(`${before}mine`);
    await world.flush();
    expect(await edit.site).toBeGreaterThan(0);
    expect(right.unshown()).toBeGreaterThan(0);
    const changes = await (async () => {
      await turns.passAll();
      await world.flush();
      await turns.passAll();
      return Automerge.getChangesMetaSince(right.doc(), []);
    })();
    expect(changes.find(({ hash }) => hash === edit.hashes[0])?.deps).toEqual(heads);
    expect(right.doc().text).toBe(left.doc().text);
    expect(right.doc().text).toHaveLength(604);
  });

  test("what comes while nothing waits is shown at once", async () => {
    const { world, left, right } = await withChanges(0);
    left.change(append("a"));
    await world.flush();
    expect(right.doc().text).toBe("a");
  });

  test("a document with many changes does not keep another one waiting", async () => {
    const { world, right, otherLeft, otherRight, turns } = await withChanges(1_000);
    otherLeft.change(append("short"));
    await world.flush();
    for (let slices = 0; otherRight.doc().text !== "short" && slices < 2; slices++) await turns.pass();
    expect(otherRight.doc().text).toBe("short");
    expect(right.unshown()).toBeGreaterThan(0);
  });

  test("a page that dies between two slices loses none: the next one has them all", async () => {
    const store = new MemoryClientStore();
    const { world, site, left, reader, right } = await withChanges(600, { store });
    await world.flush();
    expect(right.unshown()).toBeGreaterThan(0);
    right.change(append("mine"));
    await world.flush();
    reader.goOffline();
    world.unreachable.add(site.id);
    const next = await open(await world.client(site, { store }));
    expect(next.doc().text).toBe(left.doc().text);
    expect(next.doc().text).toHaveLength(604);
  });

  test("X1: above its limit the stream waits, and goes on", async () => {
    const { world, site, writer, reader, right, otherLeft, turns } = await twoClients();
    reader.docs.received("log", "today", foreign(UNSHOWN_MAX + 2 * SLICE_CHANGES_MAX));
    const { cursor } = reader.status();
    for (const text of ["a", "b", "c"]) {
      otherLeft.change(append(text));
      await world.flush();
    }
    expect(writer.status().unsynced).toBe(0);
    // One run was under way.
    expect(reader.status().cursor).toBe(cursor + 1);
    expect(right.unshown()).toBeGreaterThanOrEqual(UNSHOWN_MAX);
    await turns.passAll();
    await world.flush();
    await turns.passAll();
    expect(reader.status().cursor).toBe(site.position().revision);
    expect(right.unshown()).toBe(0);
  });

  test("a document is made of what is stored in slices, too, and is whole when it is ready", async () => {
    const store = new MemoryClientStore();
    await store.write({ changes: [{ collection: "log", document: "today", changes: foreign(1_000) }] });
    const turns = new Turns();
    const world = new World();
    const client = await world.client(await world.cluster("california"), { store, nextTurn: turns.next });
    let handle: DocumentHandle<Log> | null = null;
    const opening = client.docs.open<Log>("log", "today").then((ready) => {
      handle = ready;
    });
    await turns.pass();
    await turns.pass();
    expect(handle).toBeNull();
    await turns.passAll();
    await opening;
    expect(handle).toMatchObject({ collection: "log" });
    expect((handle as DocumentHandle<Log> | null)?.doc().text).toBe("999");
  });

  test.each([
    // ms a change: in the first slice, and in later ones, as where the code that applies them is compiled by then.
    { first: 0.1, later: 0.1, sizes: [32, 64, 128, 128, 128] },
    { first: 1, later: 0.1, sizes: [32, 16, 32, 64, 128, 128] },
    { first: 1, later: 1, sizes: [32, 16, 16, 16] },
    { first: 20, later: 20, sizes: [32, 16, 8, 8] },
  ])("as large as the device is fast: $first ms a change, then $later", async ({ first, later, sizes }) => {
    const clock = new VirtualClock();
    const slices = new Slices(clock, () => Promise.resolve());
    const changes = foreign(1).flatMap((change) => Array.from({ length: 1_000 }, () => change));
    const shown: number[] = [];
    const show = (size: number): number => {
      clock.step(clock.now() + size * (shown.length === 0 ? first : later));
      shown.push(size);
      return size;
    };
    const unshown = new Unshown(slices);
    unshown.add(changes);
    slices.want({ unshown, show: (limit) => show(unshown.take(limit).length) });
    await expect.poll(() => unshown.size).toBe(0);
    expect(shown.slice(0, sizes.length)).toEqual(sizes);
    // A document that is built, or read again, goes on with what is known by then.
    const built: number[] = [];
    for await (const slice of slices.of(changes)) built.push(show(slice.length));
    expect(built.slice(0, 2)).toEqual([sizes.at(-1), sizes.at(-1)]);
  });

  test("a document that is built begins with a small one, too", async () => {
    const clock = new VirtualClock();
    const built: number[] = [];
    for await (const slice of new Slices(clock, () => Promise.resolve()).of(foreign(100))) {
      clock.step(clock.now() + slice.length);
      built.push(slice.length);
    }
    expect(built).toEqual([32, 16, 16, 16, 16, 4]);
  });
});
