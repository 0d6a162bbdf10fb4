/** Keys of a device that meets another site: their writes wait for their own, run there once, and never elsewhere. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { decodeOutboxFile } from "@openclaw/core/client/outbox-file.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import type { TestCluster, World } from "../sync/world.ts";
import { append } from "./log.ts";
import { hashesAt, putsAt, Van } from "./van.ts";

const put = (site: TestCluster, key: string, value = "v") =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const keysOf = async (client: Client) => (await client.kv.list("")).map(({ key }) => utf8Text(key) ?? "");

const queued = async (client: Client) =>
  (await client.outbox.list()).map(({ command, site }) => [
    command.kind === "put" ? utf8Text(command.key) : command.kind,
    site,
  ]);

/** Delivers frames one by one until the site has applied something more, so that its answer is still on its way. */
async function untilApplied(world: World, site: TestCluster): Promise<void> {
  const before = site.position().revision;
  for (let round = 0; round < 1_000; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (site.position().revision > before) return;
    for (const wire of world.wires) wire.deliver();
  }
  throw new Error("nothing was applied");
}

describe("writes of keys wait for their own site", () => {
  test("Q1: they are listed as waiting for it, run there once, and never at another", async () => {
    const { world, shop, depot, van } = await Van.between();
    await put(shop, "price", "1");
    await put(depot, "stock", "7");
    await world.elapse(1_000);
    await van.drive(null);
    const edit = van.client.kv.put("mine", "1");
    await world.elapse(100);
    expect(await keysOf(van.client)).toEqual(["mine", "price"]);
    await van.drive(depot);
    expect(await codeOf(edit.site)).toBe("WRONG_CLUSTER");
    expect([edit.rung(), edit.failure()?.code]).toEqual(["device", "WRONG_CLUSTER"]);
    expect(await keysOf(van.client)).toEqual(["stock"]);
    expect(await queued(van.client)).toEqual([["mine", "shop"]]);
    expect(van.client.status()).toMatchObject({ unsynced: 1, failed: 0 });
    expect(await depot.get("mine")).toBeNull();
    van.client.kv.put("depot's", "1");
    await world.elapse(40_000);
    expect(putsAt(depot)).toEqual({ stock: 1, "depot's": 1 });
    await van.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ price: 1, mine: 1 });
    expect(putsAt(depot)).toEqual({ stock: 1, "depot's": 1 });
    expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0, cluster: "shop" });
    expect(await keysOf(van.client)).toEqual(["mine", "price"]);
    expect(await van.disk.outboxLinks()).toEqual([]);
  });

  test("Q1: one whose answer was lost is not run again", async () => {
    const { world, shop, depot, van } = await Van.between();
    van.client.kv.put("mine", "1");
    van.client.kv.put("mine too", "1");
    await untilApplied(world, shop);
    await van.drive(depot);
    expect(await depot.get("mine")).toBeNull();
    await van.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ mine: 1, "mine too": 1 });
    expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("L3, Q1: in another life of its site one that may have run is not run again, and is listed", async () => {
    const { world, shop, depot, van } = await Van.between();
    van.client.kv.put("mine", "1");
    await untilApplied(world, shop);
    await van.drive(depot);
    const after = await shop.restored(1);
    await van.drive(after, 60_000);
    expect(putsAt(after)).toEqual({});
    expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 1, cluster: "shop" });
    expect((await van.client.outbox.list())[0]).toMatchObject({ site: "shop", refusal: { code: "SESSION_EXPIRED" } });
  });

  test("L3: another life of the site that is followed does not give up what waits for another one", async () => {
    const { shop, depot, van } = await Van.between();
    await van.drive(null);
    van.client.kv.put("mine", "1");
    await van.drive(depot);
    const after = await depot.restored(0);
    await van.drive(after, 40_000);
    expect(van.client.status()).toMatchObject({ failed: 0, unsynced: 1, cluster: "depot", link: "online" });
    await van.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ mine: 1 });
  });

  test("D4: of a session that died, documents go along, and keys wait", async () => {
    const { world, shop, depot, van } = await Van.between();
    const handle = await van.open();
    await van.drive(null);
    van.client.kv.put("first", "1");
    handle.change(append("x"));
    van.client.kv.put("mine", "1");
    handle.change(append("y"));
    await world.elapse(100);
    van.die();
    van.at = depot;
    const next = await van.wake();
    await world.elapse(40_000);
    expect(await hashesAt(depot)).toHaveLength(3);
    expect(await queued(next)).toEqual([
      ["first", "shop"],
      ["mine", "shop"],
    ]);
    expect(next.status()).toMatchObject({ unsynced: 2, failed: 0 });
    expect(putsAt(depot)).toEqual({});
    van.die();
    van.at = shop;
    await van.wake();
    await world.elapse(40_000);
    expect(putsAt(shop)).toEqual({ first: 1, mine: 1 });
    expect(await hashesAt(shop)).toEqual(await hashesAt(depot));
    expect(await van.disk.outboxLinks()).toEqual([]);
  });

  test("D4: rows that an older version stored without their site are of the one that was known", async () => {
    const { world, shop, depot, van } = await Van.between();
    await van.drive(null);
    van.client.kv.put("mine", "1");
    await world.elapse(100);
    van.die();
    for (const link of await van.disk.outboxLinks())
      for (const { site: _, ...row } of await van.disk.outbox(link, 1 as never, 9))
        await van.disk.write({ replaced: [row] });
    van.at = depot;
    await van.wake();
    await world.elapse(40_000);
    expect(putsAt(depot)).toEqual({});
    await van.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ mine: 1 });
  });

  test("a transaction that its caller repeats does not wait: it is told, and it is not run later", async () => {
    const { world, shop, depot, van } = await Van.between();
    await van.drive(null);
    const attempt = van.client.kv.attempt({
      kind: "txn",
      compares: [],
      success: [{ kind: "put", key: utf8("a"), value: utf8("1"), lease: null, previous: false }],
      failure: [],
    });
    van.client.kv.put("mine", "1");
    await world.elapse(100);
    await van.drive(depot);
    expect(await codeOf(attempt.site)).toBe("WRONG_CLUSTER");
    expect(await queued(van.client)).toEqual([["mine", "shop"]]);
    await van.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ mine: 1 });
    expect(await depot.get("a")).toBeNull();
  });

  test("K6: a lease of the site before is lost", async () => {
    const { world, depot, van } = await Van.between();
    const granting = van.client.leases.grant(60_000);
    await world.elapse(1_000);
    const lease = await granting;
    await van.drive(depot, 5_000);
    expect(lease.alive).toBe(false);
  });

  test("WRONG_CLUSTER: a refused one is not sent to another site, and is to its own", async () => {
    const { world, shop, depot, van } = await Van.between();
    const edit = van.client.kv.compareAndSet("mine", 5, "1");
    await world.elapse(1_000);
    expect(await codeOf(edit.site)).toBe("COMPARE_FAILED");
    await van.drive(depot);
    const entries = await van.client.outbox.list();
    expect(entries).toMatchObject([{ site: "shop", refusal: { code: "COMPARE_FAILED" } }]);
    expect(await codeOf(van.client.outbox.retry(entries))).toBe("WRONG_CLUSTER");
    expect(van.client.status().failed).toBe(1);
    await van.drive(shop);
    expect(await codeOf(van.client.outbox.retry(entries))).toBe("ok");
  });

  test("they can be discarded where they wait, and what comes behind them arrives", async () => {
    const { world, shop, depot, van } = await Van.between();
    await van.drive(null);
    van.client.kv.put("first", "1");
    van.client.kv.put("mine", "1");
    await world.elapse(100);
    await van.drive(depot);
    const [first] = await van.client.outbox.list();
    if (first === undefined) throw new Error("two wait");
    await van.client.outbox.discard([first], () => undefined);
    await world.elapse(40_000);
    expect(putsAt(depot)).toEqual({});
    await van.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ mine: 1 });
  });

  test("an export tells which site each waits for, and an import keeps it", async () => {
    const { world, shop, depot, van } = await Van.between();
    await van.drive(null);
    van.client.kv.put("mine", "1");
    await van.drive(depot);
    van.client.goOffline();
    van.client.kv.put("depot's", "1");
    await world.elapse(100);
    const exported = await van.client.outbox.export();
    expect(decodeOutboxFile(exported).waiting.map(({ site }) => site?.cluster)).toEqual(["shop", "depot"]);
    const other = new Van(world, depot);
    await other.wake();
    await world.elapse(2_000);
    expect(await other.client.outbox.import(exported)).toEqual({ taken: 2, known: 0 });
    await world.elapse(40_000);
    expect(putsAt(depot)).toEqual({ "depot's": 1 });
    await other.drive(shop, 40_000);
    expect(putsAt(shop)).toEqual({ mine: 1 });
  });

  test("who watches keys hears that those of the site before are gone", async () => {
    const { world, shop, depot, van } = await Van.between();
    const here = new Set<string>();
    van.client.kv.watch("", (events) => {
      for (const { kind, key } of events)
        if (kind === "delete") here.delete(utf8Text(key) ?? "");
        else here.add(utf8Text(key) ?? "");
    });
    await put(shop, "price");
    await put(depot, "stock");
    await world.elapse(1_000);
    expect([...here]).toEqual(["price"]);
    await van.drive(depot);
    expect([...here]).toEqual(["stock"]);
  });
});

describe("a device that dies, or whose storage fails, on its way to another site", () => {
  /** One edit that its site confirmed, one edit and two puts that wait, of which one may have run. */
  async function loaded() {
    const { world, shop, depot, van } = await Van.between();
    const handle = await van.open();
    handle.change(append("confirmed "));
    await world.elapse(2_000);
    van.client.kv.put("unsure", "1");
    await untilApplied(world, shop);
    await van.drive(null);
    handle.change(append("on the road "));
    van.client.kv.put("mine", "1");
    await world.elapse(100);
    return { world, shop, depot, van };
  }

  async function arrived({ world, shop, depot, van }: Awaited<ReturnType<typeof loaded>>): Promise<void> {
    await world.elapse(40_000);
    expect(van.client.status()).toMatchObject({ cluster: "depot", unsynced: 2, failed: 0, link: "online" });
    expect(await hashesAt(depot)).toHaveLength(3);
    expect(putsAt(depot)).toEqual({});
    await van.drive(shop, 60_000);
    expect(van.client.status()).toMatchObject({ cluster: "shop", unsynced: 0, failed: 0, link: "online" });
    expect(putsAt(shop)).toEqual({ unsure: 1, mine: 1 });
    expect(await hashesAt(shop)).toEqual(await hashesAt(depot));
  }

  test("S1: at each of its writes", async () => {
    let died = 0;
    for (let writes = 0; ; writes++) {
      const device = await loaded();
      const { world, depot, van } = device;
      van.store.writesLeft = writes;
      await van.drive(depot, 20_000);
      const isOver = van.store.writesLeft > 0;
      van.die();
      await van.wake();
      await arrived(device);
      await world.flush();
      if (isOver) break;
      died++;
    }
    expect(died).toBeGreaterThan(3);
  });

  test("S1: each of its writes fails once", async () => {
    for (let writes = 0; writes < 8; writes++) {
      const device = await loaded();
      const { store } = device.van;
      const write = store.write.bind(store);
      let left = writes;
      store.write = async (step) => {
        if (left-- === 0) throw new Error("planted");
        return write(step);
      };
      device.van.at = device.depot;
      await arrived(device);
    }
  });

  test("it is cut off at each frame", async () => {
    for (let frames = 0; frames < 40; frames += 3) {
      const device = await loaded();
      const { world, depot, van } = device;
      van.at = depot;
      van.client.goOnline();
      await world.deliver(frames);
      world.cutAll();
      await arrived(device);
    }
  });
});

test("another open session of the device roams by itself, and neither sends what is the other's", async () => {
  const held = new Set<string>();
  const claim = async (link: string) => {
    if (held.has(link)) return null;
    held.add(link);
    return () => void held.delete(link);
  };
  const { world, shop, depot, van } = await Van.between({ claim });
  const second = await van.another({ claim });
  await world.elapse(1_000);
  await van.drive(null);
  van.client.kv.put("one", "1");
  second.kv.put("two", "1");
  await world.elapse(100);
  await van.drive(depot, 40_000);
  expect(putsAt(depot)).toEqual({});
  expect(second.status()).toMatchObject({ cluster: "depot", failed: 0, link: "online" });
  await van.drive(shop, 60_000);
  expect(putsAt(shop)).toEqual({ one: 1, two: 1 });
  expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
});
