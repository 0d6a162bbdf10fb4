/** What one client may follow at once: a parent refuses a connection that wants more, so the client has to know. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { World } from "../sync/world.ts";

const many = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name}${i}/`);

test("X1: one prefix too many is refused to who wants it, a document of another collection is not, and the connection stays", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const collections = Array.from({ length: 256 }, (_, i) => `c${i}`);
  const client = await world.client(site, { subscribe: { collections } });
  await world.flush();
  for (const prefix of many("p", 256)) client.kv.watch(prefix, () => undefined);
  await world.elapse(1_000);
  expect(() => client.kv.watch("one/more", () => undefined)).toThrow(expect.objectContaining({ code: "OVERLOADED" }));
  const opening = codeOf(client.docs.open("another", "d"));
  await world.elapse(1_000);
  expect(await opening).toBe("ok");
  // What comes with one of them is not another one.
  const seen: string[] = [];
  client.kv.watch("p7/below", () => seen.push("below"));
  client.kv.put("p7/below/it", "v");
  client.kv.put("p255/it", "v");
  await world.elapse(30_000);
  expect(client.status()).toMatchObject({ link: "online", lastError: null, unsynced: 0 });
  expect(seen).toEqual(["below"]);
});

test("what earlier sessions followed gives way to what this one does", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const store = new MemoryClientStore();
  const first = await world.client(site, { store, subscribe: { prefixes: many("old", 200) } });
  await site.execute({ kind: "put", key: utf8("old1/a"), value: utf8("1") });
  await world.elapse(1_000);
  await first.stop();
  const second = await world.client(site, { store, subscribe: { prefixes: many("new", 200) } });
  await site.execute({ kind: "put", key: utf8("new1/a"), value: utf8("2") });
  await world.elapse(30_000);
  expect(second.status()).toMatchObject({ link: "online", lastError: null, cursor: 2 });
  expect((await second.kv.list("new1/")).length).toBe(1);
  await expect(world.client(site, { subscribe: { prefixes: many("x", 257) } })).rejects.toThrow(OpenClawError);
  await expect(world.client(site, { subscribe: { collections: many("x", 257) } })).rejects.toThrow(OpenClawError);
});
