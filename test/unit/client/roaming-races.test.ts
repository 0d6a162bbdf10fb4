/** A device that roams, where a crash, slow storage, or another of its sessions falls between two of its steps. */
import { expect, test } from "vitest";
import { linkId } from "../state-machine/one-cluster.ts";
import { codeOf } from "../sync/code-of.ts";
import { World } from "../sync/world.ts";
import { append } from "./log.ts";
import { hashesAt, putsAt, Van } from "./van.ts";

const FIXED = linkId("0123456789abcdef0123456789abcdef");

/** A device that has met no site. */
async function unmet() {
  const world = new World();
  const [shop, depot] = [await world.cluster("shop"), await world.cluster("depot")];
  const van = new Van(world, shop);
  const waking = van.wake();
  van.at = null;
  await waking;
  world.cutAll();
  await world.elapse(100);
  return { world, shop, depot, van };
}

test("Q1: what was made before any site was met is sent when it is stored which one that is, and so at no other", async () => {
  for (let writes = 0; writes < 4; writes++) {
    const { world, shop, depot, van } = await unmet();
    van.client.kv.put("mine", "1");
    await world.elapse(100);
    van.store.writesLeft = writes;
    await van.drive(shop);
    const atShop = putsAt(shop);
    van.die();
    van.at = depot;
    await van.wake();
    await world.elapse(40_000);
    if ("mine" in atShop) expect(putsAt(depot), `${writes} writes`).toEqual({});
    await van.drive(shop, 60_000);
    expect((putsAt(shop).mine ?? 0) + (putsAt(depot).mine ?? 0), `${writes} writes`).toBe(1);
    await world.flush();
  }
});

test("Q1: where storing that fails, and another site answers next, it waits for the first, as its caller is told", async () => {
  const { world, shop, depot, van } = await unmet();
  const edit = van.client.kv.put("mine", "1");
  await world.elapse(100);
  const { store } = van;
  const write = store.write.bind(store);
  let isPlanted = false;
  store.write = async (step) => {
    if (isPlanted) return write(step);
    isPlanted = true;
    van.at = depot;
    throw new Error("planted");
  };
  await van.drive(shop, 60_000);
  expect([isPlanted, van.client.status().cluster]).toEqual([true, "depot"]);
  expect(await codeOf(edit.site)).toBe("WRONG_CLUSTER");
  expect([putsAt(shop), putsAt(depot)]).toEqual([{}, {}]);
  await van.drive(shop, 60_000);
  expect([putsAt(shop), putsAt(depot)]).toEqual([{ mine: 1 }, {}]);
});

test("Q1: a refused write of a session that died before it met a site is of the one that refused it", async () => {
  const { world, shop, depot, van } = await unmet();
  van.client.kv.compareAndSet("mine", 5, "1");
  await world.elapse(100);
  van.die();
  van.at = shop;
  await van.wake();
  await world.elapse(40_000);
  expect(van.client.status().failed).toBe(1);
  await van.drive(depot);
  const entries = await van.client.outbox.list();
  expect(entries).toMatchObject([{ site: "shop", refusal: { code: "COMPARE_FAILED" } }]);
});

/** A call of storage that takes until it is let go on. */
function held() {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let isReached = false;
  return {
    wait: () => {
      isReached = true;
      reached.resolve();
      return gate.promise;
    },
    isReached: () => isReached,
    release: gate.resolve,
  };
}

test("D6: what one site answered says nothing of the next, however late storage is read", async () => {
  const { world, shop, depot, van } = await Van.between();
  const yard = await world.cluster("yard");
  const handle = await van.open();
  const edit = handle.change(append("x"));
  await world.elapse(1_000);
  await van.drive(depot);
  await van.drive(shop);
  const read = held();
  const { store } = van;
  const document = store.document.bind(store);
  store.document = async (...name) => {
    if (!read.isReached() && van.client.status().cluster === "depot") await read.wait();
    return document(...name);
  };
  await van.drive(depot);
  expect(read.isReached()).toBe(true);
  await van.drive(yard);
  expect(van.client.status().cluster).toBe("yard");
  read.release();
  await world.elapse(40_000);
  expect(await hashesAt(yard)).toEqual(await hashesAt(depot));
  expect(await hashesAt(yard)).toContain(edit.hashes[0]);
});

test("Q1: a site that is left while storage is slow is not forgotten: what waits for it runs when it is met again", async () => {
  const { world, depot, van } = await Van.between();
  const yard = await world.cluster("yard");
  const handle = await van.open();
  await van.drive(null);
  handle.change(append("x"));
  await world.elapse(100);
  const read = held();
  const { store } = van;
  const outbox = store.outbox.bind(store);
  store.outbox = async (...page) => {
    if (!read.isReached() && van.client.status().cluster === "depot" && page[0] === van.client.link) await read.wait();
    return outbox(...page);
  };
  await van.drive(depot);
  expect(read.isReached()).toBe(true);
  await van.drive(null);
  van.client.kv.put("mine", "1");
  await van.drive(yard);
  expect(van.client.status().cluster).toBe("yard");
  read.release();
  await world.elapse(40_000);
  expect(van.client.status().unsynced).toBe(1);
  await van.drive(depot, 60_000);
  expect(putsAt(depot)).toEqual({ mine: 1 });
});

test("Q1: what is taken in before any site was met waits for the site that it was exported for", async () => {
  const { world, shop, depot, van } = await unmet();
  const other = new Van(world, shop);
  await other.wake();
  await world.elapse(2_000);
  const refused = other.client.kv.compareAndSet("refused", 5, "1");
  await world.elapse(1_000);
  expect(await codeOf(refused.site)).toBe("COMPARE_FAILED");
  other.client.goOffline();
  other.client.kv.put("mine", "1");
  await world.elapse(100);
  expect(await van.client.outbox.import(await other.client.outbox.export())).toEqual({ taken: 2, known: 0 });
  await van.drive(depot, 40_000);
  expect(putsAt(depot)).toEqual({});
  expect((await van.client.outbox.list()).map(({ site }) => site)).toEqual(["shop", "shop"]);
  await van.drive(shop, 60_000);
  expect([putsAt(shop), putsAt(depot)]).toEqual([{ mine: 1 }, {}]);
});

test("Q1: a session of a fixed name leaves under it what waits at another site, and takes another name itself", async () => {
  const { world, shop, depot, van } = await Van.between({ link: FIXED });
  await van.drive(null);
  van.client.kv.put("mine", "1");
  await van.drive(depot);
  van.die();
  await van.wake();
  van.client.kv.put("depot's", "1");
  await world.elapse(40_000);
  expect(putsAt(depot)).toEqual({ "depot's": 1 });
  van.die();
  van.at = shop;
  await van.wake();
  await world.elapse(60_000);
  expect(putsAt(shop)).toEqual({ mine: 1 });
  expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
});

test("Q1: a fixed name that both sites know loses and doubles nothing", async () => {
  const { world, shop, depot, van } = await Van.between({ link: FIXED });
  van.client.kv.put("a", "1");
  await world.elapse(2_000);
  await van.drive(depot);
  van.die();
  await van.wake();
  van.client.kv.put("b", "1");
  await world.elapse(40_000);
  expect([putsAt(shop), putsAt(depot)]).toEqual([{ a: 1 }, { b: 1 }]);
  expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  van.die();
  van.at = shop;
  await van.wake();
  await world.elapse(40_000);
  van.die();
  await van.wake();
  await world.elapse(20_000);
  van.client.kv.put("c", "1");
  await world.elapse(40_000);
  expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  expect([putsAt(shop), putsAt(depot)]).toEqual([{ a: 1, c: 1 }, { b: 1 }]);
});

test("Q1: a write that is made while the switch to another site is being stored is of the site before", async () => {
  const { world, shop, depot, van } = await Van.between();
  const switching = held();
  const { store } = van;
  const write = store.write.bind(store);
  store.write = async (step) => {
    if (!switching.isReached() && step.mirrorReset === true) await switching.wait();
    return write(step);
  };
  await van.drive(depot);
  expect([switching.isReached(), van.client.status().cluster]).toEqual([true, "shop"]);
  const edit = van.client.kv.put("mine", "1");
  switching.release();
  await world.elapse(40_000);
  expect(van.client.status().cluster).toBe("depot");
  expect(await codeOf(edit.site)).toBe("WRONG_CLUSTER");
  expect([putsAt(shop), putsAt(depot)]).toEqual([{}, {}]);
  await van.drive(shop, 60_000);
  expect([putsAt(shop), putsAt(depot)]).toEqual([{ mine: 1 }, {}]);
});
