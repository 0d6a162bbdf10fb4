import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { encodeChildMessage } from "@openclaw/core/sync/codec.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { describe, expect, test } from "vitest";
import { type TestCluster, World } from "./world.ts";

const put = (cluster: TestCluster, key: string, value = "v") =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const mirrorAt = async (hub: TestCluster, site: TestCluster): Promise<string[]> => {
  const { rows } = await hub.read({ kind: "range", origin: site.id, ...plainRange(utf8(""), null, 10_000) });
  return rows.map(
    ({ key, value, modRevision }) =>
      `${new TextDecoder().decode(key)}=${new TextDecoder().decode(value)}@${modRevision}`,
  );
};

const ownOf = async (site: TestCluster): Promise<string[]> => {
  const { rows } = await site.read({ kind: "range", origin: null, ...plainRange(utf8(""), null, 10_000) });
  return rows.map(
    ({ key, value, modRevision }) =>
      `${new TextDecoder().decode(key)}=${new TextDecoder().decode(value)}@${modRevision}`,
  );
};

async function fleet(
  seed = 1,
): Promise<{ world: World; hub: TestCluster; california: TestCluster; alaska: TestCluster }> {
  const world = new World(seed);
  const hub = await world.cluster("hub");
  const california = await world.cluster("california");
  const alaska = await world.cluster("alaska");
  world.uplink(california, hub, { collections: ["log"] });
  world.uplink(alaska, hub, { collections: ["log"] });
  await world.flush();
  return { world, hub, california, alaska };
}

describe("an uplink", () => {
  test("ships the site's ledger; the hub mirrors it with the site's revisions", async () => {
    const { world, hub, california, alaska } = await fleet();
    await put(california, "a", "1");
    await put(alaska, "a", "2");
    await put(california, "a", "3");
    await world.elapse(1_000);
    expect(await mirrorAt(hub, california)).toEqual(["a=3@2"]);
    expect(await mirrorAt(hub, alaska)).toEqual(["a=2@1"]);
    expect(california.position().parentHolds).toBe(2);
    expect(california.uplink?.status()).toMatchObject({ connected: true, cursor: 2, lastError: null });
  });

  test("S3: the parent's acknowledgement is replicated at most ten times a second", async () => {
    const { world, california } = await fleet();
    for (let i = 0; i < 200; i++) {
      await put(california, `k${i}`);
      await world.elapse(10);
    }
    const holds = california.proposals.filter(({ kind }) => kind === "parentHolds").length;
    expect(holds).toBeGreaterThan(10);
    expect(holds).toBeLessThan(23);
    await world.elapse(1_000);
    expect(california.position().parentHolds).toBe(200);
  });

  test("L1: a converged fleet of three tiers proposes nothing for ten minutes", async () => {
    const { world, hub, california, alaska } = await fleet();
    const [a, b] = [
      await world.client(california, { subscribe: { collections: ["log"] } }),
      await world.client(alaska, { subscribe: { prefixes: [""] } }),
    ];
    const [left, right] = [
      await a.docs.open<{ n: number }>("log", "x", { initial: { n: 0 } }),
      await b.docs.open<{ n: number }>("log", "x", { initial: { n: 0 } }),
    ];
    left.change((doc) => {
      doc.n = 1;
    });
    right.change((doc) => {
      doc.n = 2;
    });
    a.kv.put("k", "v");
    await put(hub, "hub's own");
    await world.elapse(20_000);
    expect(left.doc().n).toBe(right.doc().n);
    const before = [hub, california, alaska].map(({ proposals }) => proposals.length);
    const frames = [...world.wires].map(({ child }) => child.sent);
    await world.elapse(600_000);
    expect([hub, california, alaska].map(({ proposals }) => proposals.length)).toEqual(before);
    // Nothing but a question every twenty seconds, so that a dead parent is noticed.
    for (const [i, { child }] of [...world.wires].entries())
      expect(child.sent - (frames[i] ?? 0)).toBeLessThanOrEqual(31);
  });

  test("L1, L5: what nobody subscribed to costs one cursor move, not one for each revision", async () => {
    const { world, california, alaska } = await fleet();
    for (let i = 0; i < 300; i++) await put(california, `k${i}`);
    await world.elapse(20_000);
    // Alaska is told of nothing but skips.
    expect(alaska.position().revision).toBe(0);
    expect(alaska.proposals.filter(({ kind }) => kind === "importLedger").length).toBeLessThanOrEqual(2);
    // Besides, once: what it subscribes to, and which epochs its parent is of.
    expect(alaska.proposals.length).toBeLessThanOrEqual(4);
  });

  test("the next leader goes on where the last one stood", async () => {
    const { world, hub, california } = await fleet();
    await put(california, "a");
    await world.elapse(1_000);
    california.lead(false);
    await put(california, "b");
    await world.elapse(5_000);
    expect(await mirrorAt(hub, california)).toEqual(["a=v@1"]);
    expect(california.uplink?.status().connected).toBe(false);
    california.lead(true);
    await world.elapse(1_000);
    expect(await mirrorAt(hub, california)).toEqual(["a=v@1", "b=v@2"]);
  });

  test("S5: nothing is compacted that the parent does not hold yet", async () => {
    const { world, hub, california } = await fleet();
    await put(california, "a");
    await world.elapse(2_000);
    california.lead(false);
    for (const key of ["b", "c", "d"]) await put(california, key);
    const compact = (to: number) => california.execute({ kind: "compact", revision: revision(to) });
    expect(await compact(3)).toMatchObject({ ok: false, code: "NOT_SHIPPED" });
    expect(await compact(2)).toMatchObject({ ok: true });
    california.lead(true);
    await world.elapse(2_000);
    expect(await mirrorAt(hub, california)).toEqual(["a=v@1", "b=v@2", "c=v@3", "d=v@4"]);
    expect(await compact(4)).toMatchObject({ ok: true });
  });

  test("two leaders at once do no harm", async () => {
    const { world, hub, california } = await fleet();
    world.uplink(california, hub, { collections: ["log"] });
    for (let i = 0; i < 50; i++) {
      await put(california, `k${i}`, String(i));
      if (i % 7 === 0) await world.flush();
    }
    await world.elapse(2_000);
    expect(await mirrorAt(hub, california)).toEqual(await ownOf(california));
    expect(hub.position().revision).toBe(50);
  });

  test("a parent that is another cluster than configured gets nothing", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const other = await world.cluster("other");
    const site = await world.cluster("california");
    await put(site, "secret");
    hub.children.add(site.id);
    other.children.add(site.id);
    world.uplink(site, hub);
    await world.flush();
    const stolen = world.uplink(site, {
      ...other,
      id: hub.id,
      children: other.children,
      connect: () => other.connect(),
    } as TestCluster);
    await world.elapse(3_000);
    expect(stolen.status().lastError?.code).toBe("WRONG_CLUSTER");
  });

  test("FORK: a parent that acknowledges what was never written is told so, and nothing is noted of it", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    hub.children.add(site.id);
    const lying = (honest: ChildConnection): ChildConnection => ({
      send: (message) => honest.send(message),
      close: () => honest.close(),
      receive: ({ message: told, ...handlers }) =>
        honest.receive({
          ...handlers,
          message: (message) => told(message.kind === "pushed" ? { ...message, cursor: 1_000_000 } : message),
        }),
    });
    const liar = { ...hub, id: hub.id, children: hub.children, connect: () => lying(hub.connect()) } as TestCluster;
    await put(site, "a");
    const uplink = world.uplink(site, liar);
    await world.flush();
    expect(uplink.status().lastError?.code).toBe("FORK");
    await world.elapse(2_000);
    expect(site.position().parentHolds).toBeLessThanOrEqual(1);
    // The lie costs no proposal, then or later.
    expect(site.proposals.filter(({ kind }) => kind === "parentHolds").length).toBeLessThanOrEqual(1);
  });

  test("FORK: a parent that sends the site back to where it never was is told so", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    const lying = (honest: ChildConnection): ChildConnection => ({
      send: (message) => honest.send(message),
      close: () => honest.close(),
      receive: ({ message: told, ...handlers }) =>
        honest.receive({
          ...handlers,
          message: (message) =>
            told(
              message.kind === "pushed" ? { kind: "refused", code: "GAP", details: "", cursor: 1_000_000 } : message,
            ),
        }),
    });
    const liar = { ...hub, id: hub.id, children: hub.children, connect: () => lying(hub.connect()) } as TestCluster;
    await put(site, "a");
    const uplink = world.uplink(site, liar);
    await world.flush();
    expect(uplink.status().lastError?.code).toBe("FORK");
  });

  test("ships a backlog over a link that does not carry a full push in the time an answer may take", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    for (let i = 0; i < 24; i++) await put(site, `k${i}`, "x".repeat(65_536));
    let free = 0;
    const slow = (fast: ChildConnection): ChildConnection => ({
      send: (message) => {
        free = Math.max(free, world.clock.now()) + encodeChildMessage(message).length / 20;
        world.clock.after(free - world.clock.now(), () => fast.send(message));
        return true;
      },
      close: () => fast.close(),
      receive: (handlers) => fast.receive(handlers),
    });
    const far = { ...hub, id: hub.id, children: hub.children, connect: () => slow(hub.connect()) } as TestCluster;
    world.uplink(site, far);
    await world.elapse(600_000);
    expect(site.position().parentHolds).toBe(24);
  });

  test("FORK: a parent that has more of the site's ledger than the site is told so, and nothing is shipped", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const nonce = "ab".repeat(16);
    const before = await world.cluster("california", nonce);
    for (let i = 0; i < 5; i++) await put(before, `k${i}`);
    world.uplink(before, hub);
    await world.elapse(2_000);
    before.uplink?.setEnabled(false);
    await world.flush();
    const restored = await world.cluster("california", nonce);
    await put(restored, "other");
    world.uplink(restored, hub);
    await world.elapse(20_000);
    expect(restored.uplink?.status().lastError?.code).toBe("FORK");
    expect(hub.position().revision).toBe(5);
  });
});

describe("with faults", () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`seed ${seed}: cuts, lost imports and leader changes: each put once, in order, at the hub; one document everywhere`, async () => {
      const { world, hub, california, alaska } = await fleet(seed);
      const sites = [california, alaska];
      const clients = [];
      for (const site of sites)
        clients.push(await world.client(site, { subscribe: { collections: ["log"], prefixes: [""] } }));
      const handles = await Promise.all(
        clients.map((client) => client.docs.open<{ text: string }>("log", "shift", { initial: { text: "" } })),
      );
      const chance = (): number => world.random.unit();
      let puts = 0;
      for (let step = 0; step < 120; step++) {
        for (const [i, client] of clients.entries()) {
          if (chance() < 0.5) client.kv.put(`${i}/${puts++ % 9}`, String(step));
          if (chance() < 0.4) {
            handles[i]?.change((doc) => {
              doc.text += chance() < 0.5 ? "a" : "b";
            });
          }
          if (chance() < 0.05) client.goOffline();
          if (chance() < 0.2) client.goOnline();
        }
        for (const cluster of [hub, ...sites]) if (chance() < 0.05) cluster.loseImports = 1;
        for (const site of sites) if (chance() < 0.04) site.lead(!site.leads);
        for (const wire of [...world.wires]) if (chance() < 0.04) wire.cut();
        if (chance() < 0.5) await world.elapse(chance() * 300);
        else for (let i = 0; i < chance() * 20; i++) for (const wire of [...world.wires]) wire.deliver();
      }
      for (const site of sites) site.lead(true);
      for (const client of clients) client.goOnline();
      await world.elapse(60_000);

      for (const [i, client] of clients.entries()) {
        expect(client.status()).toMatchObject({ link: "online", unsynced: 0, failed: 0, lastError: null });
        expect(handles[i]?.doc().text).toBe(handles[0]?.doc().text);
        expect(handles[i]?.edits().every(({ rung }) => rung === "hub")).toBe(true);
      }
      expect(puts).toBe(sites.reduce((sum, site) => sum + putsIn(site), 0));
      for (const site of sites) {
        expect(await mirrorAt(hub, site)).toEqual(await ownOf(site));
        expect(site.position().parentHolds).toBe(site.position().revision);
      }
      const documents = await Promise.all(
        [hub, ...sites].map((cluster) =>
          cluster.read({ kind: "document", collection: "log", document: "shift", after: 0, limit: 10_000 }),
        ),
      );
      const hashes = documents.map(({ changes }) => changes.map(({ hash }) => hash).sort());
      expect(hashes[1]).toEqual(hashes[0]);
      expect(hashes[2]).toEqual(hashes[0]);
    });
  }
});

/** Puts that took a revision at a site: all that its clients made, each once. */
const putsIn = (site: TestCluster): number => site.ledgerEvents.filter(({ kind }) => kind === "put").length;
