/** C1: what a replica knows of the rounds behind the state that a snapshot brought. */
import { expect, test } from "vitest";
import type { MemoryCluster } from "../simulation/memory-cluster.ts";
import { put, run, SHORT_LOG, startedCluster } from "./replica-group.ts";

async function until(cluster: MemoryCluster, holds: () => boolean, withinMs = 20_000): Promise<void> {
  for (let waited = 0; !holds(); waited += 10) {
    if (waited > withinMs) throw new Error("it does not come to that");
    await cluster.elapse(10);
  }
}

test("C1: a replica whose state a snapshot replaced applies nothing before it knows what the rounds found", async () => {
  const { cluster, leader, others } = await startedCluster(3, { retention: SHORT_LOG });
  const [behind] = others;
  if (behind === undefined) throw new Error("three have a follower");
  cluster.network.isolate(behind.id);
  await cluster.elapse(5_000);
  for (let i = 0; i < 5; i++) expect(await run(cluster, leader, put(`key/${i}`, "x"))).toBe("ok");
  const read = behind.state.read.bind(behind.state);
  const held = Promise.withResolvers<void>();
  let isRead = false;
  behind.state.read = async (query) => {
    if (query.kind !== "comparison") return read(query);
    const answer = await read(query);
    isRead = true;
    await held.promise;
    return answer;
  };
  cluster.network.heal();
  await until(cluster, () => isRead);
  const { applied } = behind.replica.status();
  const round = leader.replica.compareStates(60_000);
  await until(cluster, () => leader.replica.status().comparison.round > 0);
  await cluster.elapse(1_000);
  expect(behind.replica.status().applied).toBe(applied);
  held.resolve();
  // What was read was of before the round: it is hashed all the same.
  await until(cluster, () => leader.replica.status().comparison.reports.length === 3);
  await cluster.elapse(100);
  const { reports } = await round;
  expect(reports.map(({ finding }) => finding.kind)).toEqual(["hash", "hash", "hash"]);
});
