/** T1 through whole replicas. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { expect, test } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";

const HOW = { principal: "tester", timeoutMs: 20_000 };

/** The log time that the cluster tells when it is asked. */
async function stamped(cluster: MemoryCluster, { replica }: MemoryMember): Promise<number> {
  let logTime: number | null = null;
  void replica.propose({ kind: "stamp" }, HOW).then((result) => {
    if (result.kind === "stamped") logTime = result.logTime;
  });
  for (let waited = 0; logTime === null && waited < HOW.timeoutMs; waited += 10) await cluster.elapse(10);
  expect(logTime).not.toBeNull();
  return logTime ?? Number.NaN;
}

async function started(size: number): Promise<{ readonly cluster: MemoryCluster; readonly leader: MemoryMember }> {
  const cluster = new MemoryCluster(size);
  await cluster.start();
  return { cluster, leader: await cluster.leader() };
}

test("T1: an idle cluster's log time goes on when somebody asks for a stamp, at any node, and nothing else does", async () => {
  const { cluster, leader } = await started(3);
  const follower = cluster.members.find((member) => member !== leader) ?? leader;
  const first = await stamped(cluster, leader);
  await cluster.elapse(60_000);
  expect(leader.replica.status().logTime).toBe(first);
  const second = await stamped(cluster, follower);
  expect(second - first).toBeGreaterThanOrEqual(60_000);
  expect(second - first).toBeLessThan(60_200);
  await cluster.elapse(500);
  for (const { replica } of cluster.members) expect(replica.status()).toMatchObject({ logTime: second, revision: 0 });
});

test("T1: clocks set ten years on or back move nothing; wall time stands in the record", async () => {
  const { cluster, leader } = await started(3);
  const first = await stamped(cluster, leader);
  const began = cluster.clock.now();
  const decade = 10 * 365.25 * 86_400_000;
  for (const [i, ms] of [decade, -2 * decade, decade].entries()) {
    for (const { clock } of cluster.members) clock.jump(ms);
    await cluster.elapse(1_000);
    void leader.replica.execute({ kind: "put", key: utf8("k"), value: utf8(`${i}`) }, HOW);
    await cluster.elapse(200);
  }
  const passed = (await stamped(cluster, leader)) - first;
  expect(passed).toBeGreaterThanOrEqual(3_600);
  expect(passed).toBeLessThanOrEqual(cluster.clock.now() - began + 20);
  expect((await leader.replica.ledger(revision(1), 1e6)).records).toHaveLength(3);
});

test("T1: while nobody leads no log time passes, and a restart forgets none that was counted", async () => {
  const { cluster, leader } = await started(3);
  await stamped(cluster, leader);
  await cluster.elapse(5_000);
  const before = await stamped(cluster, leader);
  for (const member of cluster.members) cluster.powerOff(member);
  await cluster.elapse(300_000);
  await Promise.all(cluster.members.map((member) => cluster.powerOn(member)));
  const next = await cluster.leader();
  const after = await stamped(cluster, next);
  expect(after).toBeGreaterThanOrEqual(before);
  expect(after - before).toBeLessThan(10_000);
});
