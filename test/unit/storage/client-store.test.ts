import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { seq } from "@openclaw/core/ids.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { SqliteClientStore } from "@openclaw/edge-runtime/storage/client-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { clientStoreContract } from "../../contracts/client-store.ts";
import { World } from "../sync/world.ts";

function folder(): { readonly file: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "openclaw-client-"));
  return { file: join(path, "client.sqlite"), remove: () => rmSync(path, { recursive: true, force: true }) };
}

clientStoreContract("SqliteClientStore", () => {
  const { file, remove } = folder();
  return { open: async () => new SqliteClientStore(file), destroy: async () => remove() };
});

test("S1: a client whose process died goes on with what it had stored", async () => {
  const { file, remove } = folder();
  onTestFinished(remove);
  const world = new World();
  const site = await world.cluster("california");
  world.unreachable.add(site.id);
  const first = await world.client(site, { store: new SqliteClientStore(file) });
  const handle = await first.docs.open<{ text: string }>("log", "today", { initial: { text: "" } });
  const edit = handle.change((doc) => {
    doc.text = "kept";
  });
  await edit.device;
  await first.stop();
  world.unreachable.clear();
  const store = new SqliteClientStore(file);
  const next = await world.client(site, { store });
  onTestFinished(() => next.stop());
  const reopened = next.docs.open<{ text: string }>("log", "today");
  await world.elapse(60_000);
  expect((await reopened).doc().text).toBe("kept");
  expect(next.status()).toMatchObject({ unsynced: 0, failed: 0 });
  expect(await store.outboxLinks()).toEqual([]);
});

test("DATA_IN_USE: a file is one store's; and a write that fails takes nothing with it", async () => {
  const { file, remove } = folder();
  onTestFinished(remove);
  const store = new SqliteClientStore(file);
  expect(() => new SqliteClientStore(file)).toThrow(expect.objectContaining({ code: "DATA_IN_USE" }));
  const link = "a".repeat(32) as never;
  const row = { link, seq: seq(1), command: { kind: "leaseRevoke", lease: "1" } } as never;
  const unwritable = { collection: "c", document: "d", changes: [{ hash: null, bytes: () => {} }] } as never;
  await expect(store.write({ enqueue: [row], changes: [unwritable] })).rejects.toMatchObject({
    code: "CLIENT_STORAGE_FAILED",
  });
  expect(await store.outboxLinks()).toEqual(await new MemoryClientStore().outboxLinks());
  await store.close();
});

test("DATA_IN_USE: a store is one client's at a time, for each would write its own mirror under the other's place", async () => {
  const { file, remove } = folder();
  onTestFinished(remove);
  const peer = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf";
  for (const store of [new MemoryClientStore(), new SqliteClientStore(file)]) {
    const options = { gateways: [`/ip4/127.0.0.1/tcp/1/p2p/${peer}`], roaming: "documents", store } as const;
    const first = await openClaw(options);
    onTestFinished(() => first.stop());
    const second = openClaw(options);
    onTestFinished(() => second.then((client) => client.stop()).catch(() => undefined));
    await expect(second).rejects.toMatchObject({ code: "DATA_IN_USE" });
    expect(await store.outboxLinks()).toEqual([]);
    await first.stop();
  }
  const store = new MemoryClientStore();
  const options = { gateways: [`/ip4/127.0.0.1/tcp/1/p2p/${peer}`], store };
  await (await openClaw(options)).stop();
  // Who did not open has it no longer, either.
  store.down = () => Promise.reject(new Error("planted"));
  await expect(openClaw(options)).rejects.toThrow("planted");
  store.down = async () => null;
  await (await openClaw(options)).stop();
});
