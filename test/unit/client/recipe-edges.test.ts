/** Recipes where something goes wrong: waits that are over before they begin, releases that fail, names without end. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { Counter } from "@openclaw/core/client/recipes/counter.ts";
import { Election } from "@openclaw/core/client/recipes/election.ts";
import type { RecipeHost } from "@openclaw/core/client/recipes/host.ts";
import { Lock } from "@openclaw/core/client/recipes/lock.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Txn } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import type { World } from "../sync/world.ts";

const TTL_MS = 60_000;

async function soon<T>(world: World, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  await world.elapse(300);
  return promise;
}

const grant = (world: World, client: Client) => soon(world, client.leases.grant(TTL_MS));

/** The client as a recipe sees it, whose outbox is full as long as `full` says so. */
function crowded(client: Client): RecipeHost & { full: boolean } {
  const { kv, ports } = client;
  const host = {
    full: false,
    ports,
    kv: {
      txn: (txn: Txn) => kv.txn(txn),
      attempt: (txn: Txn) => {
        if (host.full) throw new OpenClawError("OVERLOADED", "too many edits wait for the site");
        return kv.attempt(txn);
      },
      range: kv.range.bind(kv),
      watch: kv.watch.bind(kv),
    } satisfies RecipeHost["kv"],
  };
  return host;
}

describe("a wait that is over", () => {
  test("begins nothing: an aborted caller adds nothing, and puts no key", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await grant(world, client);
    const before = site.proposals.length;
    const signal = AbortSignal.abort("enough");
    const lock = new Lock(client, "l", lease);
    const waits = [
      new Counter(client, "sum").add(1, { signal }),
      lock.acquire({ signal }),
      lock.tryAcquire({ signal }),
    ];
    expect(await soon(world, Promise.all(waits.map(codeOf)))).toEqual(["enough", "enough", "enough"]);
    expect(await site.get("sum")).toBe(null);
    expect(site.proposals.length).toBe(before);
  });

  test("a time beyond what a timer can hold is waited for", async () => {
    const { world, client } = await siteWithClient();
    const after = world.clock.after.bind(world.clock);
    // As setTimeout does.
    world.clock.after = (ms, callback) => after(ms > 2 ** 31 - 1 ? 1 : ms, callback);
    const lock = new Lock(client, "l", await grant(world, client));
    expect((await soon(world, lock.acquire({ timeoutMs: Number.POSITIVE_INFINITY }))).held).toBe(true);
  });
});

describe("a lock's key", () => {
  test("whose release failed is released by the next try", async () => {
    const { world, client } = await siteWithClient();
    const host = crowded(client);
    const held = await soon(world, new Lock(host, "l", await grant(world, client)).acquire());
    host.full = true;
    expect(await codeOf(held.release())).toBe("OVERLOADED");
    expect(held.held).toBe(false);
    host.full = false;
    await soon(world, held.release());
    expect(await soon(world, new Election(client, "l").leader())).toBe(null);
  });

  test("of a wait that was given up goes as soon as there is room to say so", async () => {
    const { world, client } = await siteWithClient();
    const host = crowded(client);
    await soon(world, new Lock(client, "l", await grant(world, client)).acquire());
    const waiting = codeOf(new Lock(host, "l", await grant(world, client)).acquire({ timeoutMs: 1_000 }));
    await world.elapse(500);
    host.full = true;
    await world.elapse(1_000);
    expect(await waiting).toBe("UNAVAILABLE");
    host.full = false;
    await world.elapse(10_000);
    const rows = await soon(world, client.kv.list("l/", { consistency: "linearizable" }));
    expect(rows.length).toBe(1);
  });

  test("stays its holder's when another wait of the same lease is given up", async () => {
    const { world, site, client } = await siteWithClient();
    await site.execute({ kind: "put", key: utf8("l/first"), value: utf8("") });
    const lease = await grant(world, client);
    const first = new Lock(client, "l", lease).acquire();
    await world.elapse(300);
    expect(await soon(world, codeOf(new Lock(client, "l", lease).acquire({ timeoutMs: 100 })))).toBe("UNAVAILABLE");
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("l/first") } });
    await world.elapse(1_000);
    expect((await first).held).toBe(true);
  });

  test("that nobody else wants costs no subscription, however many names there are", async () => {
    const { world, client } = await siteWithClient();
    const lease = await grant(world, client);
    const { connections } = client.metrics();
    for (let i = 0; i < 300; i++) {
      const held = await soon(world, new Lock(client, `row/${i}`, lease).acquire());
      await soon(world, held.release());
    }
    expect(client.metrics().connections).toBe(connections);
    expect(client.status().link).toBe("online");
  });
});

describe("an observer", () => {
  test("of a leader whose end no event tells learns of it", async () => {
    const { world, site, client } = await siteWithClient();
    await site.execute({ kind: "put", key: utf8("e/1"), value: utf8("one") });
    const seen: (string | null | undefined)[] = [];
    const host: RecipeHost = {
      ports: client.ports,
      kv: { ...crowded(client).kv, watch: () => () => undefined },
    };
    const stop = new Election(host, "e").observe((leader) => seen.push(leader && utf8Text(leader.value)));
    await world.elapse(300);
    await site.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8("e/1") } });
    await world.elapse(31_000);
    stop();
    expect(seen).toEqual(["one", null]);
  });

  test("of a client that stopped ends: no timer goes on", async () => {
    const { world, client } = await siteWithClient();
    new Election(client, "e").observe(() => undefined);
    await world.elapse(300);
    await client.stop();
    await world.elapse(60_000);
    let asked = 0;
    const after = world.clock.after.bind(world.clock);
    world.clock.after = (ms, callback) => {
      asked++;
      return after(ms, callback);
    };
    await world.elapse(60_000);
    expect(asked).toBe(0);
  });
});

test("a client that stops lets nobody wait for an outcome that it will not see", async () => {
  const { world, client } = await siteWithClient();
  const lease = await grant(world, client);
  client.goOffline();
  const put = client.kv.put("k", "v");
  const waits = [put.site, client.kv.delete("k").site, lease.revoke()].map(codeOf);
  await put.device;
  await world.elapse(100);
  await client.stop();
  expect(await Promise.all(waits)).toEqual(["STOPPED", "STOPPED", "STOPPED"]);
  expect(await codeOf(client.kv.get("k"))).toBe("STOPPED");
});
