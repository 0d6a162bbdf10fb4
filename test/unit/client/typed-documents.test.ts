import { describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { codeOf } from "../sync/code-of.ts";
import { World } from "../sync/world.ts";

const Shift = z.object({ title: z.string(), counts: z.array(z.number().int()), lead: z.string().default("nobody") });
const INITIAL = { title: "early", counts: [1] };

async function openShift() {
  const world = new World();
  const site = await world.cluster("california");
  const client = await world.client(site, { freeze: true });
  const opening = client.docs.typed("shifts", Shift).open("today", { initial: INITIAL });
  await world.flush();
  return { world, site, client, handle: await opening };
}

const thrown = (run: () => unknown): Promise<string> => codeOf(Promise.resolve().then(run));

describe("documents with a declared form", () => {
  test("are told as the schema gives them, with its types, the same object until they change", async () => {
    const { handle } = await openShift();
    const value = handle.value();
    expect(value).toEqual({ ok: true, value: { title: "early", counts: [1], lead: "nobody" } });
    expect(handle.value()).toBe(value);
    if (value.ok) expectTypeOf(value.value).toEqualTypeOf<z.output<typeof Shift>>();
    handle.change((doc) => {
      expectTypeOf(doc).toEqualTypeOf<z.input<typeof Shift>>();
      doc.counts.push(2);
    });
    expect(handle.value()).toMatchObject({ ok: true, value: { counts: [1, 2] } });
  });

  test("VALUE_INVALID: an edit that would make one unfit is refused whole, and nothing of it is queued", async () => {
    const { client, handle } = await openShift();
    const before = handle.doc();
    expect(
      await thrown(() =>
        handle.change((doc) => {
          doc.title = "late";
          doc.counts.push(0.5);
        }),
      ),
    ).toBe("VALUE_INVALID");
    expect(handle.doc()).toEqual(before);
    expect(await client.outbox.list()).toEqual([]);
    handle.change((doc) => {
      doc.title = "late";
    });
    expect(handle.doc().title).toBe("late");
    const initial = { title: "x", counts: [0.5] };
    expect(await codeOf(client.docs.typed("shifts", Shift).open("other", { initial }))).toBe("VALUE_INVALID");
  });

  test("what others made of one that does not fit is shown, told, and may be mended step by step", async () => {
    const { world, site, handle } = await openShift();
    const other = await world.client(site);
    const opening = other.docs.open<Record<string, unknown>>("shifts", "today");
    await world.flush();
    (await opening).change((doc) => Object.assign(doc, { title: 7, counts: "none" }));
    await world.flush();
    expect(handle.doc()).toMatchObject({ title: 7, counts: "none" });
    expect(handle.value()).toMatchObject({ ok: false, error: { code: "VALUE_INVALID" } });
    handle.change((doc) => {
      doc.title = "mended";
    });
    expect(handle.value().ok).toBe(false);
    handle.change((doc) => {
      doc.counts = [];
    });
    expect(handle.value()).toMatchObject({ ok: true, value: { title: "mended" } });
    expect(await thrown(() => handle.change((doc) => Object.assign(doc, { title: 1 })))).toBe("VALUE_INVALID");
  });
});

describe("a document's history", () => {
  test("tells of each change who made it, when, why and how far it is; and the document as it was then", async () => {
    const { world, client, handle } = await openShift();
    client.goOffline();
    const edit = handle.change(
      (doc) => {
        doc.title = "late";
      },
      { message: "the night shift begins later" },
    );
    await world.flush();
    const [first, last] = handle.history();
    expect(handle.history()).toHaveLength(2);
    expect(first).toMatchObject({ seq: 1, message: null, rung: "site" });
    expect(last).toMatchObject({
      hash: edit.hashes[0],
      actor: client.link,
      deps: [first?.hash],
      message: "the night shift begins later",
      rung: "device",
    });
    expect(last?.time).toBe(Math.floor(world.clock.wall() / 1_000) * 1_000);
    expect(handle.at(first === undefined ? [] : [first.hash])).toMatchObject({ title: "early" });
    expect(handle.doc().title).toBe("late");
    expect(await thrown(() => handle.at(["0".repeat(64) as never]))).toBe("MISSING");
  });

  test("a snapshot is frozen where that was asked for, after own edits and others'", async () => {
    const { world, site, handle } = await openShift();
    const write = () => Object.assign(handle.doc().counts, { 0: 9 });
    expect(write).toThrow(TypeError);
    handle.change((doc) => {
      doc.counts.push(2);
    });
    expect(write).toThrow(TypeError);
    const other = await world.client(site);
    const opening = other.docs.open<{ counts: number[] }>("shifts", "today");
    await world.flush();
    (await opening).change((doc) => doc.counts.push(3));
    await world.flush();
    expect(handle.doc().counts).toEqual([1, 2, 3]);
    expect(write).toThrow(TypeError);
  });
});
