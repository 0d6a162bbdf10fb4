/** Lock, election and counter in virtual time, with connections that are cut and clients that die or are halted. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import type { Lease } from "@openclaw/core/client/lease.ts";
import { Counter } from "@openclaw/core/client/recipes/counter.ts";
import { Election } from "@openclaw/core/client/recipes/election.ts";
import { Lock } from "@openclaw/core/client/recipes/lock.ts";
import type { Ownership } from "@openclaw/core/client/recipes/ownership.ts";
import type { Operation, Txn } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";

const TTL_MS = 3_000;

async function worldOf(clients: number, seed = 1) {
  const world = new World(seed);
  const site = await world.cluster("california");
  const all = await Promise.all(Array.from({ length: clients }, () => world.client(site)));
  await world.flush();
  return { world, site, clients: all as [Client, ...Client[]] };
}

/** Lets time pass at a site whose leader looks every 100 ms whether something is due. */
async function live(world: World, site: TestCluster, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    await world.elapse(Math.min(left, 100));
    const { nextDue } = site.position();
    if (nextDue !== null && nextDue <= world.clock.now()) {
      await site.propose({ kind: "stamp" }, { principal: "tester" });
      await world.flush();
    }
  }
}

async function soon<T>(world: World, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  await world.elapse(300);
  return promise;
}

const grant = (world: World, client: Client): Promise<Lease> => soon(world, client.leases.grant(TTL_MS));
const put = (key: string, value: string): Txn => {
  const operation: Operation = { kind: "put", key: utf8(key), value: utf8(value), lease: null, previous: false };
  return { kind: "txn", compares: [], success: [operation], failure: [] };
};

/** Fenced acts that were refused, of all seeds. */
let refusals = 0;

describe("a lock", () => {
  test("goes to those who wait in the order in which they came, with a higher token each", async () => {
    const { world, clients } = await worldOf(4);
    const order: number[] = [];
    const tokens: number[] = [];
    const holding: Promise<Ownership>[] = [];
    for (const [i, client] of clients.entries()) {
      const lock = new Lock(client, "locks/till", await grant(world, client));
      const held = lock.acquire();
      held.then(({ token }) => {
        order.push(i);
        tokens.push(token);
      });
      holding.push(held);
      await world.elapse(300);
    }
    for (const held of holding) {
      expect(order.length).toBe(holding.indexOf(held) + 1);
      await soon(world, (await held).release());
    }
    expect(order).toEqual([0, 1, 2, 3]);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    expect(new Set(tokens).size).toBe(4);
  });

  test("is free for tryAcquire only when nobody holds it or waits for it", async () => {
    const { world, clients } = await worldOf(2);
    const [first, second] = await Promise.all(clients.map(async (client) => client));
    if (first === undefined || second === undefined) throw new Error("two clients");
    const mine = new Lock(first, "l", await grant(world, first));
    const other = new Lock(second, "l", await grant(world, second));
    const held = await soon(world, mine.tryAcquire());
    expect(await soon(world, other.tryAcquire())).toBe(null);
    await soon(world, held?.release() ?? Promise.reject(new Error("not held")));
    expect(held?.held).toBe(false);
    expect((await soon(world, other.tryAcquire()))?.held).toBe(true);
  });

  test("passes on when its holder dies, and what the dead one had sent is refused by the fence", async () => {
    const { world, site, clients } = await worldOf(2);
    const [holder, waiter] = clients;
    if (waiter === undefined) throw new Error("two clients");
    const held = await soon(world, new Lock(holder, "l", await grant(world, holder)).acquire());
    await soon(world, held.txn(put("k", "first")));
    let next: Ownership | null = null;
    const lock = new Lock(waiter, "l", await grant(world, waiter));
    lock.acquire().then((own) => {
      next = own;
    });
    await world.elapse(500);
    expect(next).toBe(null);
    holder.goOffline();
    // A careless one, which does not look whether its lease lives: it arrives when another one holds the lock.
    const late = holder.kv.txn({
      kind: "txn",
      compares: [held.fence],
      success: put("k", "late").success,
      failure: [],
    });
    await live(world, site, 2 * TTL_MS);
    expect(held.held).toBe(false);
    expect(next).toMatchObject({ held: true });
    holder.goOnline();
    await live(world, site, 1_000);
    expect((await late.response).succeeded).toBe(false);
    expect(await codeOf(held.txn(put("k", "later")))).toBe("LEASE_LOST");
    expect(await site.get("k")).toBe("first");
    expect(await holder.outbox.list()).toEqual([]);
  });

  test("one that is given up leaves nothing behind, and wakes the next", async () => {
    const { world, site, clients } = await worldOf(3);
    const leases: Lease[] = [];
    for (const client of clients) leases.push(await grant(world, client));
    const locks = clients.map((client, i) => new Lock(client, "l", leases[i] as Lease));
    const held = await soon(world, locks[0]?.acquire() ?? Promise.reject());
    const given = codeOf(locks[1]?.acquire({ timeoutMs: 1_000 }) ?? Promise.reject());
    await world.elapse(300);
    const stop = new AbortController();
    const stopped = locks[2]?.acquire({ signal: stop.signal }).catch((error: unknown) => error);
    await live(world, site, 900);
    expect(await given).toBe("UNAVAILABLE");
    stop.abort("enough");
    expect(await stopped).toBe("enough");
    await live(world, site, 500);
    const { rows } = await soon(
      world,
      clients[0].kv.range({
        keys: { kind: "range", from: utf8("l/"), to: utf8("l0") },
        limit: 0,
        sort: { target: "key", order: "ascending" },
        view: "rows",
        counted: false,
        bounds: null,
      }),
    );
    expect(rows.map(({ createRevision }) => createRevision)).toEqual([held.token]);
  });

  test("is not given to one whose key another took away, nor to one whose lease ended while it waited", async () => {
    const { world, site, clients } = await worldOf(3);
    const [holder, robbed, ended] = clients;
    if (robbed === undefined || ended === undefined) throw new Error("three clients");
    await soon(world, new Lock(holder, "l", await grant(world, holder)).acquire());
    const lease = await grant(world, robbed);
    const waiting = codeOf(new Lock(robbed, "l", lease).acquire());
    const lost = await grant(world, ended);
    const losing = codeOf(new Lock(ended, "l", lost).acquire());
    await world.elapse(300);
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8(`l/${lease.id.toString(16)}`) } });
    await site.execute({ kind: "leaseRevoke", lease: lost.id });
    await live(world, site, 40_000);
    expect(await waiting).toBe("LEASE_LOST");
    expect(await losing).toBe("LEASE_LOST");
  });

  test.each([1, 2, 3, 4, 5, 6])(
    "seed %i: with cuts, deaths and halts, no two fenced acts of one time overlap",
    async (seed) => {
      const { world, site, clients } = await worldOf(4, seed);
      const chance = new SeededRandom(seed);
      let over = false;
      /** Who holds the lock just now, as far as it knows. */
      let acting = clients[0];
      let acted = 0;
      let refused = 0;
      const pause = (ms: number) => new Promise<void>((resolve) => world.clock.after(ms, resolve));
      const work = async (client: Client, name: string): Promise<void> => {
        while (!over) {
          try {
            const lease = await client.leases.grant(TTL_MS);
            const lock = new Lock(client, "l", lease);
            const held = await lock.acquire({ timeoutMs: 30_000 });
            for (let i = 0; i < 5; i++) {
              acting = client;
              // It writes what it read before, as one does who relies on a lock: a second holder's act would be undone.
              const before = await client.kv.get("sum", { consistency: "linearizable" });
              const sum = Number(utf8Text(before?.value ?? utf8("0")));
              await pause(chance.unit() * 1_000);
              const fenced = client.kv.attempt({
                kind: "txn",
                compares: [held.fence],
                success: [...put("sum", String(sum + 1)).success, ...put(`by/${name}`, String(held.token)).success],
                failure: [],
              });
              if (!(await fenced.response).succeeded) {
                refused++;
                break;
              }
              acted++;
            }
            await held.release();
            await lease.revoke();
          } catch {
            // Cut off: the next turn begins anew.
            await pause(200);
          }
        }
      };
      const working = clients.map((client, i) => work(client, String(i)));
      for (let round = 0; round < 120; round++) {
        await live(world, site, 500);
        const dice = chance.unit();
        if (dice < 0.2) world.cutAll();
        if (dice > 0.3) continue;
        const halted = acting;
        halted.goOffline();
        world.clock.after(chance.unit() * 3 * TTL_MS, () => halted.goOnline());
      }
      over = true;
      for (const one of clients) one.goOnline();
      await live(world, site, 60_000);
      await Promise.all(working);
      expect(Number(await site.get("sum"))).toBe(acted);
      expect(acted).toBeGreaterThan(20);
      refusals += refused;
    },
  );
});

test("some of those acts came too late, and were refused", () => {
  expect(refusals).toBeGreaterThan(0);
});

describe("an election", () => {
  test("has one leader, whom all observe with what it proclaims, until it resigns or is lost", async () => {
    const { world, site, clients } = await worldOf(3);
    const [first, second, third] = clients;
    if (second === undefined || third === undefined) throw new Error("three clients");
    const seen: (string | null | undefined)[] = [];
    const stop = new Election(third, "leader").observe((leader) =>
      seen.push(leader === null ? null : utf8Text(leader.value)),
    );
    await world.elapse(300);
    const leading = await soon(world, new Election(first, "leader").campaign(await grant(world, first), "one"));
    const campaign = new Election(second, "leader").campaign(await grant(world, second), "two");
    await world.elapse(300);
    await soon(world, leading.proclaim("one again"));
    expect((await soon(world, new Election(second, "leader").leader()))?.createRevision).toBe(leading.ownership.token);
    first.goOffline();
    await live(world, site, 2 * TTL_MS);
    const next = await campaign;
    expect(next.ownership.token).toBeGreaterThan(leading.ownership.token);
    expect(await codeOf(leading.proclaim("still me"))).toBe("LEASE_LOST");
    await soon(world, next.resign());
    expect(await codeOf(next.proclaim("gone"))).toBe("LEASE_LOST");
    await live(world, site, 500);
    expect(seen).toEqual([null, "one", "one again", "two", null]);
    stop();
    third.kv.put("leader/x", "y");
    await world.elapse(500);
    expect(seen.length).toBe(5);
  });
});

describe("a counter", () => {
  test.each([1, 2, 3])("seed %i: many who add through cuts count each addition once", async (seed) => {
    const { world, site, clients } = await worldOf(5, seed);
    const chance = new SeededRandom(seed);
    let added = 0;
    const adding = clients.map(async (client) => {
      for (let i = 0; i < 10; i++) {
        await new Counter(client, "sum").add(i, { timeoutMs: 600_000 });
        added += i;
      }
    });
    for (let round = 0; round < 200; round++) {
      await live(world, site, 200);
      if (chance.unit() < 0.1) world.cutAll();
    }
    await live(world, site, 200_000);
    await Promise.all(adding);
    expect(added).toBe(5 * 45);
    expect(await site.get("sum")).toBe(String(added));
    expect(await soon(world, new Counter(clients[0], "sum").get())).toBe(added);
  });

  test("refuses what is no number, and a sum that could not be told exactly", async () => {
    const { world, site, clients } = await worldOf(1);
    const [client] = clients;
    const counter = new Counter(client, "sum");
    expect(await soon(world, counter.get())).toBe(0);
    expect(await soon(world, counter.add(Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER);
    expect(await soon(world, codeOf(counter.add(1)))).toBe("VALUE_INVALID");
    expect(await soon(world, codeOf(counter.add(0.5)))).toBe("VALUE_INVALID");
    await site.execute({ kind: "put", key: utf8("sum"), value: utf8("1e3") });
    expect(await soon(world, codeOf(counter.get()))).toBe("VALUE_INVALID");
    expect(await soon(world, codeOf(counter.add(1)))).toBe("VALUE_INVALID");
  });
});
