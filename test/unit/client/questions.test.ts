/** A client's questions: asked again within their time and the budget, and not at all where nobody was there. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { World } from "../sync/world.ts";

const linearizable = { consistency: "linearizable" } as const;

test("a read through a connection that breaks is asked again on the next one", async () => {
  const { world, site, client } = await siteWithClient();
  await site.execute({ kind: "put", key: new Uint8Array([97]), value: new Uint8Array([1]) });
  const read = client.kv.get("a", linearizable);
  world.cutAll();
  await world.elapse(2_000);
  expect((await read)?.value).toEqual(new Uint8Array([1]));
  expect(client.metrics()).toMatchObject({
    connections: 2,
    failedConnections: 0,
    asks: 1,
    retries: 1,
    retriesRefused: 0,
  });
});

test("a read before the first connection waits for it, and one at a site that is out of reach is told so at once", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const client = await world.client(site);
  const early = codeOf(client.kv.get("a"));
  await world.elapse(1);
  expect(await early).toBe("ok");
  world.unreachable.add(site.id);
  world.cutAll();
  const broken = codeOf(client.kv.get("a"));
  await world.elapse(500);
  expect(await broken).toBe("UNAVAILABLE");
  const before = world.clock.now();
  expect(await codeOf(client.kv.get("a"))).toBe("UNAVAILABLE");
  expect(world.clock.now()).toBe(before);
  expect(client.metrics().failedConnections).toBeGreaterThan(0);
  client.goOffline();
  expect(await codeOf(client.kv.get("a"))).toBe("UNAVAILABLE");
});

test("X1: a site in trouble is asked a little more, not many times as often; and it recovers", async () => {
  const { world, site, client } = await siteWithClient();
  const real = site.read.bind(site);
  let asked = 0;
  site.read = async () => {
    asked++;
    throw new OpenClawError("UNAVAILABLE", "no majority");
  };
  const codes = Promise.all(Array.from({ length: 40 }, () => codeOf(client.kv.get("a", linearizable))));
  await world.elapse(15_000);
  expect(new Set(await codes)).toEqual(new Set(["UNAVAILABLE"]));
  expect(asked).toBeLessThanOrEqual(44);
  expect(client.metrics()).toMatchObject({ asks: 40, retries: asked - 40, retriesRefused: 40, retryTokens: 0 });
  site.read = real;
  for (let i = 0; i < 100; i++) {
    const read = codeOf(client.kv.get("a", linearizable));
    await world.flush();
    expect(await read).toBe("ok");
  }
  expect(client.metrics().retryTokens).toBeCloseTo(10);
});

test("a question has its time, whatever it meets; and what is refused for good is not asked again", async () => {
  const { world, site, client } = await siteWithClient();
  const real = site.barrier.bind(site);
  site.barrier = () => new Promise(() => undefined);
  const began = world.clock.now();
  const late = codeOf(client.kv.get("a", linearizable)).then((code) => [code, world.clock.now() - began]);
  await world.elapse(9_999);
  await world.elapse(2);
  expect(await late).toEqual(["UNAVAILABLE", 10_000]);
  expect(client.metrics()).toMatchObject({ deadlinesPassed: 1, retries: 0 });
  site.barrier = async () => {
    await real();
    throw new OpenClawError("FORBIDDEN");
  };
  const refused = codeOf(client.kv.get("a", linearizable));
  await world.flush();
  expect(await refused).toBe("FORBIDDEN");
  expect(client.metrics()).toMatchObject({ asks: 2, retries: 0 });
});

test("a question whose time passes while the first connection is tried is counted, too", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const client = await world.client(site, { connect: () => new Promise(() => undefined) });
  const late = codeOf(client.kv.get("a"));
  await world.elapse(10_001);
  expect(await late).toBe("UNAVAILABLE");
  expect(client.metrics()).toMatchObject({ deadlinesPassed: 1, retries: 0 });
});
