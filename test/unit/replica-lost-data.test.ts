/** What a replica does when its disk lost what it had: the log, or what the state was made of. */
import { toHex } from "@openclaw/core/bytes.ts";
import { index, revision, term } from "@openclaw/core/ids.ts";
import { expect, test } from "vitest";
import { SimulatedLogStore } from "../simulation/simulated-log-store.ts";
import { elapse } from "../simulation/virtual-clock.ts";
import { alone, CLUSTER, execute, OWNER, put, run, startedCluster } from "./replica-group.ts";

test("R8: a log of other entries than the state applied does not reach anybody", async () => {
  const { cluster, leader: first, others } = await startedCluster(5);
  const [second, third, fourth, sleeper] = others;
  if (second === undefined || third === undefined || fourth === undefined || sleeper === undefined)
    throw new Error("five");
  // Entries that nobody else has are on the first leader's disk, and one member sleeps through all of it.
  cluster.network.isolate(first.id);
  cluster.network.isolate(sleeper.id);
  for (let i = 0; i < 8; i++) {
    void execute(first, put("stale", `${i}`), 100);
    await cluster.elapse(10);
  }
  await cluster.elapse(2_000);
  const next = await cluster.leader();
  for (let i = 0; i < 3; i++) expect(await run(cluster, next, put("fresh", `${i}`))).toBe("ok");
  // What was committed meanwhile reaches the first leader's state, and its state's disk, before its log's disk.
  const append = first.log.append.bind(first.log);
  first.log.append = (hardState, entries) => {
    if (entries.length > 0) first.log.hold();
    return append(hardState, entries);
  };
  cluster.network.heal();
  cluster.network.isolate(sleeper.id);
  await cluster.elapse(1_000);
  expect(first.replica.status().applied).toBe(next.replica.status().applied);
  first.state.checkpointNow();
  expect(first.log.durable.entries.at(-1)?.index).toBeGreaterThanOrEqual(next.replica.status().applied);
  await cluster.powerCut(first);
  expect(await run(cluster, next, put("fresh", "last"))).toBe("ok");
  await cluster.elapse(1_000);
  expect(first.replica.status().applied).toBe(next.replica.status().applied);
  // It leads, and the one that slept has everything from it.
  const [voter, ...off] = [second, third, fourth].sort((a, b) => Number(a === next) - Number(b === next));
  if (voter === undefined) throw new Error("three followers have a first");
  for (const member of off) cluster.powerOff(member);
  cluster.network.heal();
  cluster.network.cut(voter.id, sleeper.id);
  await cluster.elapse(5_000);
  expect(first.replica.status().role).toBe("leader");
  expect(await run(cluster, first, put("fresh", "after"))).toBe("ok");
  await cluster.elapse(1_000);
  const ledgers = await Promise.all(
    [first, voter, sleeper].map(async ({ replica }) =>
      (await replica.ledger(revision(1), 1e9)).records.map(({ hash }) => toHex(hash)),
    ),
  );
  expect(ledgers[0]).toHaveLength(6);
  for (const ledger of ledgers) expect(ledger).toEqual(ledgers[0]);
});

test("R5: a member whose log is gone beside its state counts again when it has more than the state knew of", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  const [member] = others;
  if (member === undefined) throw new Error("three members have a follower");
  await cluster.elapse(500);
  member.state.checkpointNow();
  cluster.network.isolate(member.id);
  const { applied } = member.replica.status();
  for (let starts = 0; starts < 2; starts++) {
    cluster.powerOff(member);
    // The second time its log begins where the state ended, and still knows of no term.
    if (starts === 0)
      cluster.replaceDisk(member, new SimulatedLogStore({ cluster: CLUSTER, node: member.id }), member.state);
    await cluster.powerOn(member);
    expect(member.replica.status().raft).toMatchObject({ lastIndex: applied, recoveringTo: applied + 1 });
    await cluster.elapse(3_000);
    expect(member.replica.status().raft.role).toBe("follower");
  }
  cluster.network.heal();
  expect(await run(cluster, leader, put("after", "1"))).toBe("ok");
  await cluster.elapse(1_000);
  expect(member.replica.status().raft.recoveringTo).toBeNull();
  expect(member.replica.status().applied).toBe(leader.replica.status().applied);
});

test("DATA_CORRUPT: a group of one whose log is gone has nobody to recover from", async () => {
  const log = new SimulatedLogStore(OWNER);
  const { replica, clock, state } = alone(log);
  await replica.start();
  await elapse(clock, 2_000);
  expect(replica.status().applied).toBeGreaterThan(0);
  state.checkpointNow();
  await expect(alone(new SimulatedLogStore(OWNER), state.crash()).replica.start()).rejects.toMatchObject({
    code: "DATA_CORRUPT",
  });
});

test("DATA_CORRUPT: a state that ends before its log begins", async () => {
  const log = new SimulatedLogStore(OWNER);
  await log.open();
  await log.append({ term: term(1), vote: null, commit: index(9) }, []);
  await log.reset({ index: index(9), term: term(1) });
  await expect(alone(log.crash()).replica.start()).rejects.toMatchObject({ code: "DATA_CORRUPT" });
});
