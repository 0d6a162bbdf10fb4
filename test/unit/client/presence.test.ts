/** Where a page is, and who else is: over real sync streams to one gateway, in virtual time. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { PresenceHandle } from "@openclaw/core/client/presence-handle.ts";
import type { StandardSchema } from "@openclaw/core/client/standard-schema.ts";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ANYBODY } from "../sync/anybody.ts";
import { type TestCluster, World } from "../sync/world.ts";

const LOG = { collection: "log", id: "today" };
const cursor = z.object({ name: z.string(), at: z.number().int() });
type Cursor = z.infer<typeof cursor>;

async function two(): Promise<{ world: World; site: TestCluster; ana: Client; ben: Client }> {
  const world = new World();
  const site = await world.cluster("california");
  const [ana, ben] = [await world.client(site), await world.client(site)];
  await world.flush();
  return { world, site, ana, ben };
}

const names = (handle: PresenceHandle<Cursor, Cursor>): readonly string[] =>
  handle.others().map(({ value }) => `${value.name} ${value.at}`);

describe("presence of a client", () => {
  test("R11: two pages at one document see each other's values, typed, and hear when the other leaves", async () => {
    const { world, ana, ben } = await two();
    const [a, b] = [ana.presence.of(LOG, { schema: cursor }), ben.presence.of(LOG, { schema: cursor })];
    let called = 0;
    const end = b.subscribe(() => called++);
    a.set({ name: "ana", at: 4 });
    b.set({ name: "ben", at: 7 });
    await world.elapse(100);
    expect([names(a), names(b)]).toEqual([["ben 7"], ["ana 4"]]);
    expect(b.others()[0]).toMatchObject({ link: ana.link, principal: "anonymous" });
    expect(b.others()).toBe(b.others());
    expect(called).toBe(1);
    a.set(null);
    await world.elapse(100);
    expect(names(b)).toEqual([]);
    a.set({ name: "ana", at: 5 });
    await world.elapse(100);
    end();
    a.close();
    await world.elapse(100);
    expect([names(b), called]).toEqual([[], 3]);
  });

  test("R11: nothing of it is proposed, stored, or waits", async () => {
    const { world, site, ana, ben } = await two();
    await world.elapse(1_000);
    const before = { proposals: site.proposals.length, revision: site.position().revision };
    const [a, b] = [ana.presence.of("lobby"), ben.presence.of("lobby")];
    for (let at = 0; at < 100; at++) {
      a.set({ at });
      await world.elapse(37);
    }
    expect(b.others()).toMatchObject([{ value: { at: 99 } }]);
    await world.elapse(60_000);
    expect(b.others()).toHaveLength(1);
    expect({ proposals: site.proposals.length, revision: site.position().revision }).toEqual(before);
    expect(ana.status().unsynced).toBe(0);
  });

  test("offline nobody is there; with the next connection this page is seen again without being set again", async () => {
    const { world, ana, ben } = await two();
    const [a, b] = [ana.presence.of(LOG, { schema: cursor }), ben.presence.of(LOG, { schema: cursor })];
    a.set({ name: "ana", at: 1 });
    b.set({ name: "ben", at: 2 });
    await world.elapse(100);
    ana.goOffline();
    await world.elapse(1_000);
    expect([names(a), names(b)]).toEqual([[], []]);
    a.set({ name: "ana", at: 3 });
    await world.elapse(20_000);
    ana.goOnline();
    await world.elapse(1_000);
    expect([names(a), names(b)]).toEqual([["ben 2"], ["ana 3"]]);
    // Both go on saying so.
    await world.elapse(30_000);
    expect([names(a), names(b)]).toEqual([["ben 2"], ["ana 3"]]);
    world.cutAll();
    await world.flush();
    expect([names(a), names(b)]).toEqual([[], []]);
    await world.elapse(2_000);
    expect([names(a), names(b)]).toEqual([["ben 2"], ["ana 3"]]);
  });

  test("a page that vanishes without a word is gone within its time to live", async () => {
    const { world, ana, ben } = await two();
    const [a, b] = [ana.presence.of("lobby"), ben.presence.of("lobby")];
    a.set("here");
    await world.elapse(30_000);
    expect(b.others()).toHaveLength(1);
    // Nothing of hers comes through any more, and her end looks alive.
    const [wire] = world.wires;
    if (wire === undefined) throw new Error("ana's wire");
    wire.child.send = () => true;
    await world.elapse(9_000);
    expect(b.others()).toHaveLength(1);
    await world.elapse(2_000);
    expect(b.others()).toHaveLength(0);
  });

  test("X1: at most twenty frames a second leave, the newest wins, and a connection that does not take them holds none up", async () => {
    const { world, ana, ben } = await two();
    const [wire] = world.wires;
    if (wire === undefined) throw new Error("ana's wire");
    const a = ana.presence.of("lobby");
    const b = ben.presence.of("lobby");
    await world.elapse(1_000);
    const before = wire.child.sent;
    for (let at = 0; at < 500; at++) {
      a.set(at);
      await world.elapse(2);
    }
    expect(wire.child.sent - before).toBeLessThanOrEqual(21);
    await world.elapse(100);
    expect(b.others()).toMatchObject([{ value: 499 }]);

    wire.child.block();
    for (let at = 500; at < 1_000; at++) {
      a.set(at);
      await world.elapse(2);
    }
    const blocked = wire.child.sent;
    await world.elapse(1_000);
    expect(wire.child.sent - blocked).toBe(0);
    wire.child.unblock();
    await world.elapse(200);
    expect(b.others()).toMatchObject([{ value: 999 }]);
  });

  test("X1: a page that reads nothing for a while is told the newest when it reads again", async () => {
    const { world, ana, ben } = await two();
    const [, wire] = world.wires;
    if (wire === undefined) throw new Error("ben's wire");
    const [a, b] = [ana.presence.of("lobby"), ben.presence.of("lobby")];
    a.set(0);
    await world.elapse(200);
    wire.parent.block();
    const before = wire.parent.sent;
    for (let at = 1; at <= 50; at++) {
      a.set(at);
      await world.elapse(50);
    }
    await world.elapse(200);
    expect(wire.parent.sent - before).toBe(1);
    wire.parent.unblock();
    await world.elapse(200);
    expect(b.others()).toMatchObject([{ value: 50 }]);
  });

  test("values that are none are refused here, and left out of others", async () => {
    const { world, ana, ben } = await two();
    const b = ben.presence.of(LOG, { schema: cursor });
    const a = ana.presence.of(LOG);
    const wrong = { name: "ben", at: "4" } as unknown as Cursor;
    expect(() => b.set(wrong)).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    expect(() => a.set("x".repeat(1_023))).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
    expect(() => a.set(() => 1)).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    a.set({ hello: "<script>" });
    await world.elapse(100);
    expect(names(b)).toEqual([]);
    a.set({ name: "<b>ana</b>", at: 4, more: 1 });
    await world.elapse(100);
    expect(b.others()).toMatchObject([{ value: { name: "<b>ana</b>", at: 4 } }]);
  });

  test("who may not read a document is told so, and sees nobody", async () => {
    const world = new World();
    const site = await world.cluster("california");
    site.principal = (token) => (token === "eve" ? { ...ANYBODY, name: "eve", mayReadDocument: () => false } : ANYBODY);
    const [ana, eve] = [await world.client(site), await world.client(site, { token: () => "eve" })];
    await world.flush();
    const [a, e] = [ana.presence.of(LOG), eve.presence.of(LOG)];
    let called = 0;
    e.subscribe(() => called++);
    a.set("ana");
    e.set("eve");
    await world.elapse(1_000);
    expect([a.others(), e.others()]).toEqual([[], []]);
    expect([a.refusal(), e.refusal()?.code]).toEqual([null, "FORBIDDEN"]);
    expect(called).toBeGreaterThan(0);
  });

  test("X1: at most 16 topics at once; closing one makes room", async () => {
    const { world, ana, ben } = await two();
    const handles = Array.from({ length: 16 }, (_, i) => ana.presence.of(`t${i}`));
    for (const handle of handles) handle.set("here");
    expect(() => ana.presence.of("one more")).toThrow(expect.objectContaining({ code: "OVERLOADED" }));
    expect(() => ana.presence.of("")).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
    await world.elapse(200);
    handles[0]?.close();
    const more = ana.presence.of("one more");
    more.set("moved");
    await world.elapse(10_000);
    expect(more.refusal()).toBe(null);
    const b = ben.presence.of("one more");
    const left = ben.presence.of("t0");
    await world.elapse(100);
    expect([b.others(), left.others()]).toMatchObject([[{ value: "moved" }], []]);
  });

  test("X1: topics that are left while the connection takes nothing do not pile up, and are left when it does", async () => {
    const { world, ana, ben } = await two();
    const b = Array.from({ length: 8 }, (_, i) => ben.presence.of(`t${i}`));
    for (let i = 0; i < 8; i++) ana.presence.of(`t${i}`).set("here");
    await world.elapse(200);
    const handles = Array.from({ length: 8 }, (_, i) => ana.presence.of(`t${i}`));
    const [wire] = world.wires;
    if (wire === undefined) throw new Error("ana's wire");
    wire.child.block();
    // The frame after which the wire says that it is full.
    handles[0]?.set("still here");
    await world.elapse(100);
    for (let i = 0; i < 100; i++) {
      const handle = ana.presence.of(`more${i}`);
      handle.set("here");
      handle.close();
    }
    handles[7]?.set(null);
    const more = ben.presence.of("more99");
    await world.elapse(500);
    const before = wire.child.sent;
    wire.child.unblock();
    await world.elapse(500);
    expect(wire.child.sent - before).toBeLessThanOrEqual(3);
    expect(b.map((handle) => handle.others().length)).toEqual([1, 1, 1, 1, 1, 1, 1, 0]);
    expect(more.others()).toEqual([]);
    ana.presence.of("more99").set("once more");
    await world.elapse(200);
    expect(more.others()).toMatchObject([{ value: "once more" }]);
  });

  test("two handles of one topic are one presence; an asynchronous schema is refused", async () => {
    const { world, ana, ben } = await two();
    const later: StandardSchema = {
      "~standard": { version: 1, vendor: "test", validate: async (value) => ({ value }) },
    };
    const [one, other] = [ana.presence.of("lobby"), ana.presence.of("lobby")];
    const b = ben.presence.of("lobby");
    expect(() => ana.presence.of("lobby", { schema: later }).set(1)).toThrow(
      expect.objectContaining({ code: "BAD_REQUEST" }),
    );
    one.set("one");
    one.close();
    await world.elapse(100);
    expect(b.others()).toHaveLength(1);
    expect(() => one.set("again")).toThrow(expect.objectContaining({ code: "STOPPED" }));
    other.close();
    await world.elapse(100);
    // The third handle, of the schema that is refused, still holds the topic.
    expect(b.others()).toHaveLength(1);
    await ana.stop();
    await world.elapse(100);
    expect(b.others()).toHaveLength(0);
  });
});
