/** Q2, Q3: what a life of a site, or of its hub, queued that does not know of moves which the other end knows. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Home } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { expect, test } from "vitest";
import { errorOf, resolve } from "./lives.ts";
import { linkId, type TestCluster, World } from "./world.ts";

const QUEUED = { ok: true, response: { kind: "queued" } };

const put = (cluster: TestCluster, key: string, value: string) =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

/** At how many revisions of the cluster's own a caller's put of the key ran. */
async function ran(cluster: TestCluster, key: string): Promise<number> {
  const { records } = await cluster.ledger(revision(1), Number.MAX_SAFE_INTEGER);
  return records
    .map(({ record }) => decodeRecord(record))
    .filter(({ origin, principal }) => origin === null && principal === "tester")
    .flatMap(({ events }) => events)
    .filter((event) => event.kind === "put" && utf8Text(event.key) === key).length;
}

async function outcomeOf(cluster: TestCluster, handle: number) {
  const { command } = await cluster.read({ kind: "command", revision: revision(handle) });
  return command?.outcome;
}

/** `config/` is the hub's, and the site knows. */
async function fleet() {
  const world = new World();
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  world.uplink(site, hub);
  await put(site, "own", "1");
  await world.elapse(2_000);
  const move = async (at: TestCluster, home: Home): Promise<void> => {
    expect(await at.execute({ kind: "setHome", prefix: utf8("config/"), home, without: [] })).toMatchObject({
      ok: true,
    });
  };
  await move(hub, "hub");
  await world.elapse(5_000);
  return { world, hub, site, move };
}

const isOpen = async (cluster: TestCluster) => (await cluster.read({ kind: "homes" })).homes.map(({ open }) => open);

// Simulated hierarchy, seed 756404859795: it ran at the hub, too, for which the release of the life before still counted.
test("what a restored site queues before it hears that the home was away and is back runs once", async () => {
  const { world, hub, site, move } = await fleet();
  const { revision: at } = site.position();
  for (const home of ["site", "hub"] as const) {
    await move(hub, home);
    await world.elapse(5_000);
  }
  expect(await isOpen(hub)).toEqual([true]);
  await site.uplink?.stop();
  const again = await site.restored(at);
  expect(await put(again, "config/a", "1")).toMatchObject(QUEUED);
  const handle = again.position().revision;
  world.uplink(again, hub);
  await world.elapse(5_000);
  expect(errorOf(again)).toMatchObject({ code: "EPOCH_BEHIND" });
  await resolve(hub);
  await world.elapse(30_000);
  expect([await ran(again, "config/a"), await ran(hub, "config/a")]).toEqual([1, 0]);
  expect(await outcomeOf(again, handle)).toMatchObject({ ok: true });
  // It has released the prefix again, and what it queues now runs at the hub.
  expect(await put(again, "config/b", "1")).toMatchObject(QUEUED);
  const later = again.position().revision;
  await world.elapse(5_000);
  expect(await ran(hub, "config/b")).toBe(1);
  expect(await outcomeOf(again, later)).toMatchObject({ ok: true });
});

test("what a restored site queues while nothing has moved runs at the hub", async () => {
  const { world, hub, site } = await fleet();
  const { revision: at } = site.position();
  await put(site, "own", "2");
  await world.elapse(5_000);
  await site.uplink?.stop();
  const again = await site.restored(at);
  // No link of it tells yet how far it knows the hub: the origin's mark does.
  expect(await put(again, "config/a", "1")).toMatchObject(QUEUED);
  const handle = again.position().revision;
  world.uplink(again, hub);
  await world.elapse(5_000);
  await resolve(hub);
  await world.elapse(30_000);
  expect(await ran(hub, "config/a")).toBe(1);
  expect(await outcomeOf(again, handle)).toMatchObject({ ok: true });
});

test("what a restored site queues while its link tells again what it knows runs at the hub", async () => {
  const { world, hub, site } = await fleet();
  await site.uplink?.stop();
  const again = await site.restored(site.position().revision);
  await world.flush();
  world.uplink(again, hub);
  const cursors = new Set<number>();
  for (let i = 0; i < 12; i++) {
    await world.deliver(1);
    const { link } = await again.read({ kind: "link", link: linkId("hub") });
    if (link !== null) cursors.add(link.cursor);
    expect(await put(again, `config/${i}`, "1")).toMatchObject(QUEUED);
  }
  expect(Math.min(...cursors)).toBe(0);
  await world.elapse(30_000);
  for (let i = 0; i < 12; i++) expect(await ran(hub, `config/${i}`)).toBe(1);
});

test("what a site queues that knows more of another life of the hub runs once", async () => {
  const { world, hub, site, move } = await fleet();
  const { revision: at } = hub.position();
  for (let i = 0; i < 9; i++) await put(hub, "config/all", String(i));
  await world.elapse(5_000);
  await site.uplink?.stop();
  const again = await hub.restored(at);
  await move(again, "site");
  await move(again, "hub");
  expect(again.position().revision).toBeLessThan(hub.position().revision);
  expect(await put(site, "config/a", "1")).toMatchObject(QUEUED);
  const handle = site.position().revision;
  await world.flush();
  world.uplink(site, again);
  await world.elapse(30_000);
  expect(await isOpen(again)).toEqual([true]);
  expect((await ran(site, "config/a")) + (await ran(again, "config/a"))).toBe(1);
  expect(await outcomeOf(site, handle)).toMatchObject({ ok: true });
});

test("what a site queues under a declaration that both lives of the hub have runs at the one that it meets", async () => {
  const { world, hub, site } = await fleet();
  const { revision: at } = hub.position();
  for (let i = 0; i < 9; i++) await put(hub, "config/all", String(i));
  await world.elapse(5_000);
  await site.uplink?.stop();
  const again = await hub.restored(at);
  expect(await put(site, "config/a", "1")).toMatchObject(QUEUED);
  const handle = site.position().revision;
  await world.flush();
  world.uplink(site, again);
  await world.elapse(30_000);
  expect(await ran(again, "config/a")).toBe(1);
  expect(await outcomeOf(site, handle)).toMatchObject({ ok: true });
});

test("what a site queues while a snapshot of another life of the hub is under way runs there", async () => {
  const { world, hub, site } = await fleet();
  const { revision: at } = hub.position();
  // Only the other life can tell that this did not happen.
  expect(await hub.execute({ kind: "setHome", prefix: utf8("keys/"), home: "hub", without: [] })).toMatchObject({
    ok: true,
  });
  await world.elapse(5_000);
  await site.uplink?.stop();
  const again = await hub.restored(at);
  await world.flush();
  world.uplink(site, again);
  let awaited = 0;
  for (let i = 0; i < 20; i++) {
    await world.deliver(1);
    const { snapshot } = await site.read({ kind: "stream", link: linkId("hub") });
    if (snapshot !== null) awaited++;
    expect(await put(site, `config/${i}`, "1")).toMatchObject(QUEUED);
  }
  await world.elapse(30_000);
  expect((await site.read({ kind: "homes" })).homes.length).toBe(1);
  expect(awaited).toBeGreaterThan(0);
  for (let i = 0; i < 20; i++) expect([i, await ran(again, `config/${i}`)]).toEqual([i, 1]);
});
