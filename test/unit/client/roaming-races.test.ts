/** A device that roams, where a crash, slow storage, or another of its sessions falls between two of its steps. */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClientWrite } from "@openclaw/core/client/store.ts";
import { seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { expect, test } from "vitest";
import { changesOf } from "../documents/changes.ts";
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

/** The write that says in storage that a site was offered everything. */
const isMatched = ({ down, mirrorReset }: ClientWrite, cluster: string): boolean =>
  down?.cluster === cluster && down.unmatched === undefined && mirrorReset === undefined;

test("D6: an outbox that a session left is not sent to one site while the switch to the next is stored", async () => {
  // Nothing is streamed that would wait for storage, too.
  const { world, depot, van } = await Van.between({ subscribe: {} });
  const yard = await world.cluster("yard");
  const [change] = changesOf("aa", (draft) => Object.assign(draft, { text: "left" })) as [DocumentChange];
  const [matching, switching] = [held(), held()];
  const { store } = van;
  const write = store.write.bind(store);
  store.write = async (step) => {
    if (!matching.isReached() && isMatched(step, "depot")) await matching.wait();
    if (matching.isReached() && !switching.isReached() && step.mirrorReset === true) await switching.wait();
    return write(step);
  };
  await van.drive(depot);
  expect(matching.isReached()).toBe(true);
  const command = { kind: "change", collection: "log", document: "left", changes: [change] } as const;
  const { epoch } = (await van.disk.down()) ?? { epoch: "" };
  const row = { link: FIXED, seq: seq(1), command, site: { cluster: "depot", epoch } };
  await van.disk.write({ enqueue: [row], changes: [command] });
  await van.drive(yard, 5_000);
  // Where gateways of both can be reached, the next connection may be to the one before.
  van.at = depot;
  matching.release();
  await world.elapse(5_000);
  expect(switching.isReached()).toBe(true);
  van.at = yard;
  switching.release();
  await world.elapse(60_000);
  expect(van.client.status()).toMatchObject({ cluster: "yard", unsynced: 0 });
  expect(await hashesAt(yard, "left")).toEqual([change.hash]);
});

test("D8: where storing that a site was offered everything fails, it is asked again, and rungs are of what it said", async () => {
  const { world, shop, depot, van } = await Van.between({ subscribe: {} });
  const [change] = changesOf("aa", (draft) => Object.assign(draft, { text: "known" })) as [DocumentChange];
  await van.disk.write({ changes: [{ collection: "log", document: "today", changes: [change] }] });
  // Both sites have it, and this session did not send it.
  await van.drive(depot);
  await van.drive(shop);
  van.die();
  await van.wake();
  await world.elapse(5_000);
  const { store } = van;
  const write = store.write.bind(store);
  let isPlanted = false;
  store.write = async (step) => {
    if (isPlanted || !isMatched(step, "depot")) return write(step);
    isPlanted = true;
    throw new Error("planted");
  };
  await van.drive(depot, 60_000);
  expect([isPlanted, await hashesAt(depot)]).toEqual([true, [change.hash]]);
  await van.drive(null);
  expect((await van.open()).rung(change.hash)).toBe("site");
  expect((await van.disk.down())?.unmatched).toBeUndefined();
});

test("Q1: where storage fails behind the switch, whoever wrote a key hears that it waits", async () => {
  for (let after = 0; after < 3; after++) {
    const { world, shop, depot, van } = await Van.between();
    await van.drive(null);
    const edit = van.client.kv.put("mine", "1");
    const roamed: string[] = [];
    van.client.onRoamed(({ to }) => roamed.push(to));
    await world.elapse(100);
    const { store } = van;
    const write = store.write.bind(store);
    let left = Number.POSITIVE_INFINITY;
    store.write = async (step) => {
      if (left-- === 0) throw new Error("planted");
      await write(step);
      if (step.mirrorReset === true) left = after;
    };
    await van.drive(depot, 60_000);
    expect(left, `${after} writes`).toBeLessThan(0);
    expect(await codeOf(edit.site), `${after} writes`).toBe("WRONG_CLUSTER");
    expect(roamed).toEqual(["depot"]);
    await van.drive(shop, 60_000);
    expect(putsAt(shop)).toEqual({ mine: 1 });
  }
});

test("Q1: where storage fails behind the switch, what its caller repeats is not run later", async () => {
  const { world, shop, depot, van } = await Van.between();
  const switching = held();
  const { store } = van;
  const write = store.write.bind(store);
  let isPlanted = false;
  store.write = async (step) => {
    if (!switching.isReached() && step.mirrorReset === true) await switching.wait();
    if (!isPlanted && (step.replaced?.length ?? 0) > 0 && step.mirrorReset !== true) {
      isPlanted = true;
      throw new Error("planted");
    }
    return write(step);
  };
  await van.drive(depot);
  expect(switching.isReached()).toBe(true);
  const key = utf8("mine");
  const attempt = van.client.kv.attempt({
    kind: "txn",
    compares: [],
    success: [{ kind: "put", key, value: key, lease: null, previous: false }],
    failure: [],
  });
  switching.release();
  await world.elapse(40_000);
  expect([isPlanted, await codeOf(attempt.site)]).toEqual([true, "WRONG_CLUSTER"]);
  await van.drive(shop, 60_000);
  expect([putsAt(shop), putsAt(depot)]).toEqual([{}, {}]);
  expect(van.client.status()).toMatchObject({ unsynced: 0, failed: 0 });
});

test("D4: a switch whose storing fails claims one link, however often it is tried", async () => {
  const held = new Set<string>();
  const claim = async (link: string) => {
    held.add(link);
    return () => void held.delete(link);
  };
  const { world, shop, depot, van } = await Van.between({ claim });
  const before = van.client.link;
  expect([...held]).toEqual([before]);
  van.client.kv.put("mine", "1");
  const { store } = van;
  const write = store.write.bind(store);
  let failures = 5;
  store.write = async (step) => {
    if (step.mirrorReset !== true || failures === 0) return write(step);
    failures--;
    throw new Error("planted");
  };
  await van.drive(depot, 60_000);
  expect([failures, van.client.status().cluster]).toEqual([0, "depot"]);
  expect([held.size, held.has(before)]).toEqual([1, false]);
  van.client.kv.put("depot's", "1");
  await world.elapse(1_000);
  expect([putsAt(shop), putsAt(depot)]).toEqual([{}, { "depot's": 1 }]);
  await van.drive(shop, 60_000);
  expect([putsAt(shop), held.size]).toEqual([{ mine: 1 }, 1]);
  await van.client.stop();
  expect(held.size).toBe(0);
});
