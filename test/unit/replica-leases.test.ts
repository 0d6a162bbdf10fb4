/** T1: leases through whole replicas. Somebody must make an idle cluster's log time go on, and nobody else may end them. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { isLeaseId } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { expect, test } from "vitest";
import type { MemoryCluster, MemoryMember } from "../simulation/memory-cluster.ts";
import { run, startedCluster } from "./replica-group.ts";

const LEASE = 7;
if (!isLeaseId(LEASE)) throw new Error("a lease");
const TTL_MS = 10_000;
const grant: UserCommand = { kind: "leaseGrant", lease: LEASE, ttlMs: TTL_MS };
const alive: UserCommand = { kind: "leaseKeepAlive", lease: LEASE };
const held: UserCommand = {
  kind: "txn",
  compares: [],
  success: [{ kind: "put", key: utf8("held"), value: utf8("v"), lease: LEASE, previous: false }],
  failure: [],
};

async function withLease(size: number) {
  const started = await startedCluster(size);
  const began = started.cluster.clock.now();
  expect(await run(started.cluster, started.leader, grant)).toBe("ok");
  expect(await run(started.cluster, started.leader, held)).toBe("ok");
  return { ...started, began };
}

const has = async ({ replica }: MemoryMember): Promise<boolean> =>
  (await replica.read({ kind: "get", origin: null, key: utf8("held") })).row !== null;

/** Virtual ms until the member has the key no more. */
async function gone(cluster: MemoryCluster, member: MemoryMember): Promise<number> {
  for (let waited = 0; waited < 10 * TTL_MS && (await has(member)); waited += 50) await cluster.elapse(50);
  return cluster.clock.now();
}

test("T1, L1: in an idle cluster a lease ends in its time at every member, and then nothing is proposed any more", async () => {
  const { cluster, leader, began } = await withLease(3);
  const lived = (await gone(cluster, leader)) - began;
  expect(lived).toBeGreaterThanOrEqual(TTL_MS);
  expect(lived).toBeLessThan(TTL_MS + 1_000);
  await cluster.elapse(500);
  for (const member of cluster.members) expect(await has(member)).toBe(false);
  const { commit } = leader.replica.status().raft;
  await cluster.elapse(60_000);
  expect(leader.replica.status().raft.commit).toBe(commit);
});

test("T1, L1: before it is due nothing is proposed; kept alive, it stays", async () => {
  const { cluster, leader, others } = await withLease(3);
  const { commit } = leader.replica.status().raft;
  await cluster.elapse(TTL_MS - 2_000);
  expect(leader.replica.status().raft.commit).toBe(commit);
  for (let i = 0; i < 4; i++) {
    for (const member of others) expect(await run(cluster, member, alive)).toBe("ok");
    await cluster.elapse(TTL_MS - 2_000);
  }
  expect(await has(leader)).toBe(true);
});

test("pitfall 24: a leader that is cut off beyond the time to live ends nothing that another one keeps alive", async () => {
  const { cluster, leader: old, others } = await withLease(3);
  cluster.network.isolate(old.id);
  await cluster.elapse(2_000);
  const next = others.find(({ replica }) => replica.status().raft.role === "leader");
  if (next === undefined) throw new Error("nobody else leads");
  for (let i = 0; i < 4; i++) {
    expect(await run(cluster, next, alive)).toBe("ok");
    await cluster.elapse(TTL_MS - 2_000);
  }
  expect(await has(old)).toBe(true);
  cluster.network.heal();
  await cluster.elapse(2_000);
  for (const member of cluster.members) expect(await has(member)).toBe(true);
});

test("T1: a change of leaders lengthens a lease, and does not shorten it; a restart forgets none", async () => {
  const { cluster, leader, began } = await withLease(3);
  await cluster.elapse(TTL_MS / 2);
  cluster.powerOff(leader);
  await cluster.elapse(TTL_MS / 4);
  await cluster.powerOn(leader);
  const next = await cluster.leader();
  const lived = (await gone(cluster, next)) - began;
  expect(lived).toBeGreaterThanOrEqual(TTL_MS);
  expect(lived).toBeLessThan(3 * TTL_MS);
});
