/** Leases of a client, in virtual time: kept alive while the site answers, lost at once and in time when it does not. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { Lease } from "@openclaw/core/client/lease.ts";
import { asOpenClawError, OpenClawError } from "@openclaw/core/errors.ts";
import { describe, expect, test } from "vitest";
import { settle } from "../../simulation/virtual-clock.ts";
import { ANYBODY } from "../sync/anybody.ts";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import type { TestCluster, World } from "../sync/world.ts";

const TTL_MS = 3_000;

async function granted({ world, client }: { world: World; client: Client }): Promise<Lease> {
  const lease = client.leases.grant(TTL_MS);
  await world.flush();
  return lease;
}

/** As the leader of an idle cluster does when something is due. */
async function stamp(site: TestCluster): Promise<void> {
  await site.propose({ kind: "stamp" }, { principal: "tester" });
}

const reasonOf = ({ lost }: Lease): string => (lost.aborted ? asOpenClawError(lost.reason).code : "none");
const keepAlives = (site: TestCluster): number => site.proposals.filter(({ kind }) => kind === "leaseKeepAlive").length;

describe("K6: a client's lease", () => {
  test("lives as long as its client keeps it alive, every third of its time", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await granted({ world, client });
    await world.elapse(10 * TTL_MS);
    await stamp(site);
    expect(lease.alive).toBe(true);
    expect(keepAlives(site)).toBe(30);
    const told = client.leases.timeToLive(lease.id);
    await world.flush();
    expect(await told).toMatchObject({ ttlMs: TTL_MS, keys: [] });
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("lives while everything else that its client queued waits, and all of them do that it may have", async () => {
    const { world, site, client } = await siteWithClient();
    const granting = Array.from({ length: 256 }, () => client.leases.grant(TTL_MS));
    await world.flush();
    const leases = await Promise.all(granting);
    const propose = site.propose.bind(site);
    site.propose = (command, options) =>
      command.kind === "importCommands" ? new Promise(() => undefined) : propose(command, options);
    for (let i = 0; i < 5_000; i++) client.kv.put(`k${i}`, "v");
    // Less than the time after which the parent is taken for dead.
    await world.elapse(4 * TTL_MS);
    expect(client.status()).toMatchObject({ link: "online", unsynced: 5_000 });
    expect(leases.filter(({ alive }) => alive).length).toBe(256);
    await stamp(site);
    for (const { id } of leases) expect((await site.read({ kind: "lease", lease: id })).lease).not.toBe(null);
  });

  test("is kept alive again soon after a keep-alive failed", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await granted({ world, client });
    const execute = site.execute.bind(site);
    let failing = true;
    site.execute = async (command) => {
      if (failing) throw new OpenClawError("OVERLOADED", "too much waits");
      return execute(command);
    };
    await world.elapse((TTL_MS * 2) / 3 + 100);
    failing = false;
    await world.elapse(TTL_MS / 6 + 10);
    expect(keepAlives(site)).toBe(1);
    await world.elapse(TTL_MS);
    expect(lease.alive).toBe(true);
  });

  test("is lost to its holder before it ends at the site, when the site is out of reach", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await granted({ world, client });
    await world.elapse(TTL_MS / 2);
    let told = 0;
    lease.lost.addEventListener("abort", () => told++);
    world.unreachable.add(site.id);
    world.cutAll();
    // The last keep-alive was sent at a third of the time: it counts from there.
    await world.elapse(TTL_MS / 3 + TTL_MS / 2 - 2);
    expect([lease.alive, told]).toEqual([true, 0]);
    await world.elapse(3);
    expect([lease.alive, told, reasonOf(lease)]).toEqual([false, 1, "LEASE_LOST"]);
    await stamp(site);
    expect((await site.read({ kind: "lease", lease: lease.id })).lease).toBe(null);
    // What it queued meanwhile finds no lease: that is no failed edit of the app.
    world.unreachable.clear();
    await world.elapse(30_000);
    expect(client.status()).toMatchObject({ link: "online", unsynced: 0, failed: 0 });
  });

  test("is confirmed as of when the keep-alive was sent, not of when its answer came", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await granted({ world, client });
    // Sent at a third of the time; nothing is delivered for 900 ms.
    for (const at of [TTL_MS / 3, TTL_MS / 3 + 900]) {
      while (world.clock.step(at)) await settle();
      await settle();
    }
    await world.flush();
    world.unreachable.add(site.id);
    world.cutAll();
    await world.elapse(TTL_MS - 901);
    expect(lease.alive).toBe(true);
    await world.elapse(2);
    expect(lease.alive).toBe(false);
  });

  test("pitfall 25: is lost when its holder was halted, whatever answer waits and no timer had its turn", async () => {
    const { world, client } = await siteWithClient();
    const lease = await granted({ world, client });
    const real = world.clock.now.bind(world.clock);
    world.clock.now = () => real() + TTL_MS;
    expect(lease.alive).toBe(false);
    expect(() => lease.assertAlive()).toThrow(expect.objectContaining({ code: "LEASE_LOST" }));
    world.clock.now = real;
    expect(lease.alive).toBe(false);
  });

  test("that ended at the site is lost with the next keep-alive", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await granted({ world, client });
    await site.execute({ kind: "leaseRevoke", lease: lease.id });
    await world.elapse(TTL_MS / 3 + 1);
    expect([lease.alive, reasonOf(lease)]).toEqual([false, "LEASE_LOST"]);
    expect(await client.outbox.list()).toEqual([]);
  });

  test("is revoked behind what was queued before it", async () => {
    const { world, site, client } = await siteWithClient();
    const lease = await granted({ world, client });
    const put = { kind: "put", key: new Uint8Array([1]), value: new Uint8Array(), lease: lease.id, previous: false };
    const edit = client.kv.txn({ kind: "txn", compares: [], success: [{ ...put, kind: "put" }], failure: [] });
    const revoked = lease.revoke();
    expect([lease.alive, reasonOf(lease)]).toEqual([false, "LEASE_LOST"]);
    await world.flush();
    await revoked;
    expect(await edit.site).toBe(1);
    expect(site.position().revision).toBe(2);
    const told = client.leases.timeToLive(lease.id);
    await world.flush();
    expect(await told).toBe(null);
  });

  test("is lost to everybody who relies on it when its client stops", async () => {
    const { world, client } = await siteWithClient();
    const lease = await granted({ world, client });
    await client.stop();
    expect([lease.alive, reasonOf(lease)]).toEqual([false, "STOPPED"]);
  });

  test("one that is not granted in time is given up, and revoked if it comes to be", async () => {
    const { world, site, client } = await siteWithClient();
    world.unreachable.add(site.id);
    world.cutAll();
    const refused = codeOf(client.leases.grant(60_000, { timeoutMs: 2_000 }));
    await world.elapse(2_001);
    expect(await refused).toBe("UNAVAILABLE");
    // Upkeep waits for the site; it is no edit that is not saved.
    expect(client.status()).toMatchObject({ unsynced: 0 });
    world.unreachable.clear();
    await world.elapse(30_000);
    const kinds = site.proposals.flatMap((one) => (one.kind === "importCommands" ? one.commands : []));
    expect(kinds.map(({ kind }) => kind)).toEqual(["leaseGrant", "leaseRevoke"]);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("is refused to who may not write every key, is bounded in time, and in number", async () => {
    const { world, site, client } = await siteWithClient();
    expect(await codeOf(client.leases.grant(999))).toBe("BAD_REQUEST");
    expect(await codeOf(client.leases.grant(1_000.5))).toBe("BAD_REQUEST");
    const many = Array.from({ length: 257 }, () => codeOf(client.leases.grant(TTL_MS)));
    await world.flush();
    expect((await Promise.all(many)).filter((code) => code !== "ok")).toEqual(["OVERLOADED"]);
    site.principal = () => ({ ...ANYBODY, mayWritePrefix: () => false });
    const other = await world.client(site);
    await world.flush();
    const refused = [codeOf(other.leases.grant(TTL_MS)), codeOf(other.leases.timeToLive(7))];
    await world.flush();
    expect(await Promise.all(refused)).toEqual(["FORBIDDEN", "FORBIDDEN"]);
    expect(await other.outbox.list()).toEqual([]);
  });
});
