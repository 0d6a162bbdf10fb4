/** A device meets another site than the one it knows: documents go along, if the app wants that, and keys wait at home. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { describe, expect, test } from "vitest";
import type { TestCluster } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";
import { hashesAt, putsAt, Van } from "./van.ts";

const put = (site: TestCluster, key: string, value = "v") =>
  site.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const keysOf = async (client: Client) => (await client.kv.list("")).map(({ key }) => utf8Text(key) ?? "");

describe("unless the app says that documents go along", () => {
  test("WRONG_CLUSTER: another site gets nothing, and what waits is sent when its own site is met again", async () => {
    const { world, shop, depot, van } = await Van.between({ roaming: "none" });
    await put(shop, "price", "1");
    const handle = await van.open();
    van.at = null;
    world.cutAll();
    van.client.kv.put("mine", "1");
    const edit = handle.change(append("x"));
    await world.elapse(1_000);
    van.die();
    // A session that knows the site from storage alone: a subscription's cursor is refused before the site says who it is.
    van.at = depot;
    const next = await van.wake();
    await world.elapse(60_000);
    expect(next.status()).toMatchObject({
      cluster: "shop",
      failed: 0,
      unsynced: 2,
      lastError: { code: "WRONG_CLUSTER" },
    });
    expect(next.status().lastError?.details).toMatch(/name.*roaming/);
    expect(depot.position().revision).toBe(0);
    expect(await keysOf(next)).toEqual(["mine", "price"]);
    await van.drive(shop);
    expect(next.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null, link: "online" });
    expect(putsAt(shop)).toEqual({ price: 1, mine: 1 });
    expect(await hashesAt(shop)).toContain(edit.hashes[0]);
  });

  test("L3: another life of the same site is still followed, though it refuses the cursor before it says who it is", async () => {
    const { world, shop, van } = await Van.between({ roaming: "none" });
    await put(shop, "price", "1");
    await world.elapse(1_000);
    const after = await shop.restored(0);
    await van.drive(after);
    expect(van.client.status()).toMatchObject({ link: "online", lastError: null, cursor: 0 });
    await put(after, "other");
    await world.elapse(1_000);
    expect(await keysOf(van.client)).toEqual(["other"]);
  });
});

describe("documents go along", () => {
  test("D6: what the other site lacks is queued for it, own and received ones, and what it has streams down", async () => {
    const { world, shop, depot, van } = await Van.between();
    const colleague = await world.client(shop);
    const theirs = colleague.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.elapse(1_000);
    (await theirs).change(append("received "));
    await world.elapse(1_000);
    const handle = await van.open();
    handle.change(append("confirmed "));
    await world.elapse(2_000);
    const atDepot = await world.client(depot);
    const opening = atDepot.docs.open<Log>("log", "today", { initial: EMPTY });
    await world.elapse(1_000);
    const depots = await opening;
    depots.change(append("depot's "));
    const roamed: unknown[] = [];
    van.client.onRoamed((told) => roamed.push(told));
    await van.drive(null);
    handle.change(append("on the road "));
    await van.drive(depot);
    expect(roamed).toEqual([{ from: "shop", to: "depot" }]);
    expect(van.client.status()).toMatchObject({
      cluster: "depot",
      link: "online",
      unsynced: 0,
      failed: 0,
      lastError: null,
    });
    const hashes = await hashesAt(depot);
    expect(hashes).toHaveLength(5);
    for (const part of ["received ", "confirmed ", "depot's ", "on the road "]) {
      expect(handle.doc().text).toContain(part);
      expect(depots.doc().text).toContain(part);
    }
    await van.drive(shop);
    expect(await hashesAt(shop)).toEqual(hashes);
    expect(van.client.status()).toMatchObject({ cluster: "shop", unsynced: 0, failed: 0 });
    // Nothing is sent twice that was known.
    const changes = (site: TestCluster) => site.ledgerEvents.filter(({ kind }) => kind === "change").length;
    expect([changes(shop), changes(depot)]).toEqual([5, 5]);
  });

  test("a document that nobody has open goes along, too", async () => {
    const { world, depot, van } = await Van.between();
    const handle = await van.open("closed");
    handle.change(append("x"));
    handle.close();
    await world.elapse(2_000);
    await van.drive(depot);
    expect(await hashesAt(depot, "closed")).toHaveLength(2);
  });

  test("D3: a change that is made before the document was offered is not refused for what it follows", async () => {
    const { world, depot, van } = await Van.between();
    const handle = await van.open();
    for (let i = 0; i < 20; i++) handle.change(append(`${i}`));
    await world.elapse(2_000);
    await van.drive(depot, 0);
    while (van.client.status().cluster !== "depot") await world.elapse(10);
    handle.change(append("at once"));
    await world.elapse(20_000);
    expect(await hashesAt(depot)).toHaveLength(22);
    expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("X1: more changes than are offered at once arrive, and no more rows wait at a time than may", async () => {
    const { world, depot, van } = await Van.between();
    for (let i = 0; i < 40; i++) {
      const handle = await van.open(`d${i}`);
      for (let j = 0; j < 20; j++) handle.change(append(`${j}`));
      handle.close();
    }
    await world.elapse(5_000);
    await van.drive(depot, 60_000);
    for (let i = 0; i < 40; i++) expect(await hashesAt(depot, `d${i}`)).toHaveLength(21);
    expect(van.client.status().unsynced).toBe(0);
  });

  test("a change that its site refused for good is not offered to another one", async () => {
    const { world, shop, depot, van } = await Van.between();
    const handle = await van.open();
    van.client.goOffline();
    const edit = handle.change(append("bad"));
    shop.badChanges.add(edit.hashes[0] ?? "");
    await world.elapse(100);
    van.client.goOnline();
    await world.elapse(2_000);
    expect(van.client.status().failed).toBe(1);
    await van.drive(depot);
    expect(await hashesAt(depot)).toHaveLength(1);
    expect(van.client.status().failed).toBe(1);
  });

  test("FORBIDDEN: what may not be read there is offered all the same, and a refusal is told", async () => {
    const { world, shop, depot, van } = await Van.between();
    const everybody = depot.principal(null);
    depot.principal = () => ({ ...everybody, mayReadDocument: () => false });
    const handle = await van.open();
    handle.change(append("x"));
    handle.close();
    await world.elapse(2_000);
    expect(await hashesAt(shop)).toHaveLength(2);
    van.die();
    van.at = depot;
    await van.wake();
    await world.elapse(20_000);
    expect(await hashesAt(depot)).toHaveLength(2);
  });
});

describe("rungs", () => {
  test("L3: what one site confirmed says nothing of another: `device`, until that one has it, and its hub", async () => {
    const { world, shop, depot, van } = await Van.between();
    const hub = await world.cluster("hub");
    world.uplink(shop, hub);
    const handle = await van.open();
    const edit = handle.change(append("x"));
    const [hash] = edit.hashes;
    if (hash === undefined) throw new Error("it changed something");
    await world.elapse(20_000);
    expect([edit.rung(), handle.rung(hash)]).toEqual(["hub", "hub"]);
    const seen: (string | null)[] = [];
    handle.subscribe(() => {
      const rung = handle.rung(hash);
      if (seen.at(-1) !== rung) seen.push(rung);
    });
    await van.drive(depot);
    // It was told that the rung is withdrawn, and of each that the change climbed then.
    expect(seen).toEqual(["device", "site"]);
    expect(edit.rung()).toBe("site");
    expect(van.client.status().upstream).toBe(0);
    world.uplink(depot, hub);
    await world.elapse(20_000);
    expect(seen).toEqual(["device", "site", "hub"]);
  });

  test("on the road a badge still says what the site before confirmed", async () => {
    const { world, van } = await Van.between();
    const handle = await van.open();
    const edit = handle.change(append("x"));
    await world.elapse(2_000);
    await van.drive(null);
    expect(edit.rung()).toBe("site");
  });

  test("after a restart nothing is said to be at a site that was not asked, and all of it when it was", async () => {
    const { world, shop, depot, van } = await Van.between();
    const handle = await van.open();
    const [hash] = handle.change(append("x")).hashes;
    if (hash === undefined) throw new Error("it changed something");
    await world.elapse(2_000);
    expect(await hashesAt(shop)).toHaveLength(2);
    // The other site answers no question, so that this device knows it, and not what it has.
    const read = depot.read.bind(depot);
    depot.read = (query) => (query.kind === "document" ? new Promise(() => {}) : read(query));
    await van.drive(depot, 5_000);
    expect(van.client.status().cluster).toBe("depot");
    van.die();
    van.at = null;
    await van.wake();
    const opening = van.client.docs.open<Log>("log", "today");
    await world.elapse(1_000);
    const again = await opening;
    expect(again.rung(hash)).toBe("device");
    Reflect.deleteProperty(depot, "read");
    await van.drive(depot);
    expect(again.rung(hash)).toBe("site");
    expect(await hashesAt(depot)).toHaveLength(2);
    van.die();
    await van.wake();
    await world.elapse(5_000);
    expect((await van.open()).rung(hash)).toBe("site");
  });

  test("whoever waits for the site hears when the site that is followed has it", async () => {
    const { world, depot, van } = await Van.between();
    const handle = await van.open();
    await van.drive(null);
    const edit = handle.change(append("x"));
    let at: number | null = null;
    void edit.site.then((revision) => {
      at = revision;
    });
    await world.elapse(1_000);
    expect(at).toBeNull();
    await van.drive(depot);
    expect(at).toBeGreaterThan(0);
    expect(await hashesAt(depot)).toContain(edit.hashes[0]);
  });

  test("a key's write at the site before is on no rung of the one that is followed", async () => {
    const { world, depot, van } = await Van.between();
    const edit = van.client.kv.put("a", "1");
    await world.elapse(1_000);
    expect(edit.rung()).toBe("site");
    await van.drive(depot);
    expect([edit.rung(), edit.failure()?.code]).toEqual([null, "WRONG_CLUSTER"]);
  });
});
