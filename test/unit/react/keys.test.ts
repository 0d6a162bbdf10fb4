// @vitest-environment happy-dom

import { type KvView, OpenClawProvider, type RangeView, useKv, useRange } from "@openclaw/browser/react";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { KeyRow } from "@openclaw/core/client/key-row.ts";
import type { TypedRow } from "@openclaw/core/client/typed.ts";
import { createElement, type ReactNode } from "react";
import { expect, expectTypeOf, test, vi } from "vitest";
import { z } from "zod";
import { siteWithClient } from "../sync/site-with-client.ts";
import type { TestCluster } from "../sync/world.ts";
import { acted, elapsed, Stage } from "./stage.ts";

const till = z.object({ amount: z.number().int(), open: z.boolean().default(true) });

const put = (site: TestCluster, key: string, value: string) =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const rowText = ({ key, value }: KeyRow): string => `${utf8Text(key)}=${utf8Text(value)}`;
const tillText = ({ key, value }: TypedRow<z.output<typeof till>>): string =>
  `${utf8Text(key)}=${value.ok ? `${value.value.amount} ${value.value.open}` : value.error.code}`;

function rangeText<Row>(view: RangeView<Row>, textOf: (row: Row) => string): string {
  if (view.kind === "failed") return view.error.code;
  if (view.kind === "opening") return "opening";
  return `${view.rows.map(textOf).join(", ")}${view.stale === null ? "" : ` (stale since ${view.stale.since})`}`;
}

const Range = ({ prefix = "till/" }: { readonly prefix?: string }): string => rangeText(useRange(prefix), rowText);

function Key({ name }: { readonly name: string | Uint8Array }): string {
  const view = useKv(name);
  if (view.kind !== "ready") return view.kind;
  return view.row === null ? "none" : rowText(view.row);
}

/** What each render of `Tills` gave, the latest last. */
const ranges: RangeView<TypedRow<z.output<typeof till>>>[] = [];

function Tills(): string {
  const range = useRange("till/", { schema: till });
  const one = useKv("till/1", { schema: till });
  ranges.push(range);
  return `${rangeText(range, tillText)} | ${one.kind === "ready" && one.row !== null ? tillText(one.row) : one.kind}`;
}

async function staged() {
  const given = await siteWithClient();
  const stage = new Stage();
  const show = (...children: ReactNode[]) =>
    stage.show(createElement(OpenClawProvider, { client: given.client }, ...children));
  return { ...given, stage, show };
}

test("a range follows the site, and shows own writes in the turn in which they are made", async () => {
  const { world, site, client, stage, show } = await staged();
  await put(site, "till/1", "a");
  await put(site, "tall", "elsewhere");
  await show(createElement(Range));
  expect(stage.text).toBe("opening");
  await elapsed(world, 2_000);
  expect(stage.text).toBe("till/1=a");
  await acted(() => void client.kv.put("till/2", "b"));
  expect(stage.text).toBe("till/1=a, till/2=b");
  await put(site, "till/0", "c");
  await elapsed(world, 2_000);
  expect(stage.text).toBe("till/0=c, till/1=a, till/2=b");
  const since = world.clock.wall();
  await acted(() => client.goOffline());
  await elapsed(world, 2_000);
  expect(stage.text).toBe(`till/0=c, till/1=a, till/2=b (stale since ${since})`);
});

test("a key is its row, or null, and follows its name", async () => {
  const { world, site, stage, show } = await staged();
  await put(site, "till/11", "longer");
  await put(site, "till/2", "two");
  await show(createElement(Key, { name: "till/1" }));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("none");
  await put(site, "till/1", "one");
  await elapsed(world, 2_000);
  expect(stage.text).toBe("till/1=one");
  await show(createElement(Key, { name: utf8("till/2") }));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("till/2=two");
  await show(createElement(Key, { name: "" }));
  expect(stage.text).toBe("failed");
});

test("values are what the schema makes of them; a row that did not change is the same object", async () => {
  const { world, site, client, stage, show } = await staged();
  const tills = client.kv.typed("till/", till);
  await put(site, "till/1", '{"amount":7}');
  await put(site, "till/2", "no JSON");
  await show(createElement(Tills));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("1=7 true, 2=VALUE_INVALID | till/1=7 true");
  const before = ranges.at(-1);
  await acted(() => void tills.put("2", { amount: 3, open: false }));
  expect(stage.text).toBe("1=7 true, 2=3 false | till/1=7 true");
  const after = ranges.at(-1);
  if (before?.kind !== "ready" || after?.kind !== "ready") throw new Error("both are ready");
  expect(after.rows[0]).toBe(before.rows[0]);
});

test("StrictMode, and many components, look at one mirror; the last one that goes closes it", async () => {
  const { world, site, client, stage, show } = await staged();
  await put(site, "till/1", "a");
  const mirror = vi.spyOn(client.kv, "mirror");
  await show(createElement(Range, { key: 1 }), createElement(Range, { key: 2 }));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("till/1=atill/1=a");
  expect(mirror).toHaveBeenCalledTimes(1);
  const close = vi.spyOn(mirror.mock.results[0]?.value, "close");
  await show(createElement(Range, { key: 2 }));
  expect(close).not.toHaveBeenCalled();
  await show(null);
  expect(close).toHaveBeenCalledTimes(1);
});

test("X1: one prefix too many has failed, and says so", async () => {
  const { client, stage, show } = await staged();
  for (let i = 0; i < 256; i++) client.kv.watch(`p${i}/`, () => {});
  await show(createElement(Range, { prefix: "q/" }));
  expect(stage.text).toBe("OVERLOADED");
  expect(stage.errors).toEqual([]);
});

test("the types of rows are the schema's", () => {
  const untyped = () => useRange("till/", { origin: "alaska" });
  expectTypeOf<ReturnType<typeof untyped>>().toEqualTypeOf<RangeView<KeyRow>>();
  const range = () => useRange("till/", { schema: till });
  expectTypeOf<ReturnType<typeof range>>().toEqualTypeOf<RangeView<TypedRow<{ amount: number; open: boolean }>>>();
  const one = () => useKv("till/1", { schema: till });
  expectTypeOf<ReturnType<typeof one>>().toEqualTypeOf<KvView<TypedRow<{ amount: number; open: boolean }>>>();
});
