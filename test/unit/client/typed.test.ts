/** Typed values: a schema on a prefix, checked before a value is queued and when it is read; never at the site. */
import { runInNewContext } from "node:vm";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { StandardSchema } from "@openclaw/core/client/standard-schema.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { siteWithClient } from "../sync/site-with-client.ts";
import type { World } from "../sync/world.ts";

const till = z.object({ amount: z.number().int().nonnegative(), open: z.boolean().default(true) });

async function typedTills() {
  const { world, site, client } = await siteWithClient();
  return { world, site, client, tills: client.kv.typed("tills/", till) };
}

async function soon<T>(world: World, promise: Promise<T>): Promise<T> {
  await world.flush();
  return promise;
}

describe("R9: typed values", () => {
  test("are read as the schema gives them, under keys without the prefix", async () => {
    const { world, site, tills } = await typedTills();
    const edit = tills.put("1", { amount: 7 });
    await world.flush();
    expect(await edit.site).toBe(1);
    expect(await site.get("tills/1")).toBe('{"amount":7}');
    const row = await soon(world, tills.get("1"));
    expect(row).toEqual({ key: utf8("1"), value: { ok: true, value: { amount: 7, open: true } }, modRevision: 1 });
    expect(await soon(world, tills.get("2"))).toBe(null);
    tills.compareAndSet("1", 1, { amount: 8, open: false });
    tills.put("2", { amount: 1, open: true });
    await world.flush();
    const rows = await soon(world, tills.list());
    expect(rows.map(({ key, value }) => [utf8Text(key), value.ok && value.value.amount])).toEqual([
      ["1", 8],
      ["2", 1],
    ]);
    tills.delete("1");
    await world.flush();
    expect(await soon(world, tills.get("1"))).toBe(null);
  });

  test("that do not pass are refused before anything is queued", async () => {
    const { world, site, client, tills } = await typedTills();
    const put = (value: unknown) => () => tills.put("1", value as { amount: number });
    expect(put({ amount: -1 })).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    expect(put({ amount: -1 })).toThrow(/amount/);
    expect(put(undefined)).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    expect(put(12n)).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(put(circle)).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    expect(() => tills.compareAndSet("1", 0, { amount: 0.5 })).toThrow(
      expect.objectContaining({ code: "VALUE_INVALID" }),
    );
    await world.flush();
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
    expect(site.proposals).toEqual([]);
  });

  test("are checked as they will be read: a Date is a text by then", async () => {
    const { world, client } = await typedTills();
    const dates = client.kv.typed("d/", z.date());
    expect(() => dates.put("1", new Date(0))).toThrow(expect.objectContaining({ code: "VALUE_INVALID" }));
    const texts = client.kv.typed(
      "d/",
      z.iso.datetime().transform((text) => new Date(text)),
    );
    texts.put("1", new Date(0).toISOString());
    await world.flush();
    expect((await soon(world, texts.get("1")))?.value).toEqual({ ok: true, value: new Date(0) });
  });

  test.each([
    ["another form", utf8('{"amount":"7"}')],
    ["no JSON", utf8("{")],
    ["no UTF-8", Uint8Array.of(0xff)],
    ["nothing", new Uint8Array(0)],
    ["deep", utf8("[".repeat(200_000))],
  ])("that others wrote, %s, are an error in place of a value: in a read, a list and a watch", async (_, bytes) => {
    const { world, site, tills } = await typedTills();
    const seen: unknown[] = [];
    tills.watch((events) => seen.push(...events.map(({ value }) => value)));
    await world.flush();
    await site.execute({ kind: "put", key: utf8("tills/1"), value: bytes });
    await site.execute({ kind: "put", key: utf8("tills/2"), value: utf8('{"amount":2}') });
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("tills/2") } });
    await world.flush();
    const invalid = { ok: false, error: expect.objectContaining({ code: "VALUE_INVALID", retryable: false }) };
    expect((await soon(world, tills.get("1", { consistency: "linearizable" })))?.value).toEqual(invalid);
    expect((await soon(world, tills.list()))[0]?.value).toEqual(invalid);
    expect(seen).toEqual([invalid, { ok: true, value: { amount: 2, open: true } }, null]);
  });

  test("an asynchronous schema, or one that throws, is told as what it is", async () => {
    const { world, site, client } = await typedTills();
    await site.execute({ kind: "put", key: utf8("x/1"), value: utf8("1") });
    const rejects: StandardSchema<number> = {
      "~standard": { version: 1, vendor: "test", validate: () => Promise.reject(new Error("later")) },
    };
    const elsewhere: StandardSchema<number> = {
      "~standard": { version: 1, vendor: "test", validate: () => runInNewContext("Promise.resolve({ value: 1 })") },
    };
    for (const schema of [z.number().refine(async () => true), rejects, elsewhere]) {
      const later = client.kv.typed("x/", schema);
      expect(() => later.put("1", 1)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
      expect((await soon(world, later.get("1")))?.value).toMatchObject({ ok: false, error: { code: "BAD_REQUEST" } });
    }
    const validate = (): never => {
      throw new Error("a bug");
    };
    const broken: StandardSchema<number> = { "~standard": { version: 1, vendor: "test", validate } };
    expect(() => client.kv.typed("x/", broken).put("1", 1)).toThrow(/the schema failed: Error: a bug/);
  });

  test("any JSON value comes back as it was put", async () => {
    const { world, client } = await typedTills();
    // Not zod's: it leaves out a key `__proto__`.
    const asItIs: StandardSchema = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } };
    const any = client.kv.typed("any/", asItIs);
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        any.put("1", value);
        await world.flush();
        const row = await soon(world, any.get("1"));
        expect(row?.value).toEqual({ ok: true, value: JSON.parse(JSON.stringify(value)) });
      }),
      { numRuns: 100 },
    );
  });
});
