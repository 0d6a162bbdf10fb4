/** `status().lastError`: of several things that went wrong, the one that is so now, and that costs an app most. */
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { expect, test } from "vitest";
import { changesOf } from "../documents/changes.ts";
import { linkId } from "../state-machine/one-cluster.ts";
import { ANYBODY } from "../sync/anybody.ts";
import { World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";

const SUBSCRIBE = { prefixes: [""] };
const LEFT = linkId("0123456789abcdef0123456789abcdef");

/** A device whose outbox of a session that is over cannot be sent, as long as `isBusy`. */
async function withBusyGateway() {
  const world = new World();
  const site = await world.cluster("california");
  const store = new MemoryClientStore();
  const [change] = changesOf("aa", (draft) => Object.assign(draft, { a: 1 })) as [DocumentChange];
  const command = { kind: "change", collection: "log", document: "left", changes: [change] } as const;
  await store.write({ enqueue: [{ link: LEFT, seq: seq(1), command }], changes: [command] });
  const start = world.clock.wall();
  const busy = { connections: 0, is: true };
  site.principal = (token) => ({ ...ANYBODY, expires: token === "short" ? start + 5_000 : null });
  const tokens = ["short"];
  const client = await world.client(site, {
    store,
    subscribe: SUBSCRIBE,
    token: () => tokens.shift() ?? "long",
    connect: async () => {
      if (busy.is && busy.connections++ > 0) throw new OpenClawError("OVERLOADED", "planted");
      return site.connect();
    },
  });
  return { world, site, client, busy, tokens };
}

test("why there is no connection is told, also where what a dead session left could not be sent before", async () => {
  const { world, client, tokens } = await withBusyGateway();
  await world.elapse(1_000);
  expect(client.status()).toMatchObject({ link: "online", unsynced: 1, lastError: { code: "OVERLOADED" } });
  tokens.push("short");
  await world.elapse(4_010);
  expect(client.status()).toMatchObject({ link: "connecting", lastError: { code: "UNAUTHENTICATED" } });
});

test("what a dead session left is sent, and that it could not be is told no more", async () => {
  const { world, client, busy } = await withBusyGateway();
  await world.elapse(1_000);
  expect(client.status().lastError?.code).toBe("OVERLOADED");
  busy.is = false;
  await world.elapse(60_000);
  expect(client.status()).toMatchObject({ unsynced: 0, lastError: null });
});

test("an outcome that the device did not store is told until it is, and hides no reason that the link has then", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const store = new HeldStore();
  const client = await world.client(site, { store });
  await world.elapse(1_000);
  const edit = client.kv.put("a", "1");
  await edit.device;
  store.failing = 1;
  await world.flush();
  expect(client.status()).toMatchObject({ unsynced: 1, lastError: { code: "CLIENT_STORAGE_FAILED" } });
  await world.elapse(10_000);
  expect(client.status()).toMatchObject({ link: "online", unsynced: 0, lastError: null });
  world.unreachable.add(site.id);
  world.cutAll();
  await world.elapse(5_000);
  expect(client.status()).toMatchObject({ link: "connecting", lastError: { code: "UNAVAILABLE" } });
});

test("S1: an edit that is not stored is told until one is, whatever else is stored, and while there is no connection", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const store = new HeldStore();
  const client = await world.client(site, { store, subscribe: SUBSCRIBE });
  const author = await world.client(site);
  await world.elapse(1_000);
  store.failing = 1;
  const edit = client.kv.put("a", "1");
  await world.elapse(1_000);
  await expect(edit.device).rejects.toMatchObject({ code: "CLIENT_STORAGE_FAILED" });
  author.kv.put("b", "1");
  await world.elapse(1_000);
  expect(client.status()).toMatchObject({ cursor: 1, lastError: { code: "CLIENT_STORAGE_FAILED" } });
  world.unreachable.add(site.id);
  world.cutAll();
  await world.elapse(5_000);
  expect(client.status()).toMatchObject({ link: "connecting", lastError: { code: "CLIENT_STORAGE_FAILED" } });
  await client.kv.put("a", "2").device;
  expect(client.status().lastError?.code).toBe("UNAVAILABLE");
});

test("S1: once an edit is stored, what fails of another write is over with the next write", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const store = new HeldStore();
  const client = await world.client(site, { store });
  await world.elapse(1_000);
  store.failing = 1;
  await expect(client.kv.put("a", "1").device).rejects.toMatchObject({ code: "CLIENT_STORAGE_FAILED" });
  await client.kv.put("a", "2").device;
  store.failing = 1;
  await world.flush();
  expect(client.status()).toMatchObject({ unsynced: 1, lastError: { code: "CLIENT_STORAGE_FAILED" } });
  await world.elapse(10_000);
  expect(client.status()).toMatchObject({ unsynced: 0, lastError: null });
});
