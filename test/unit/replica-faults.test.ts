import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import { index, term } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { sessionKey } from "@openclaw/core/state-machine/keyspace.ts";
import { expect, test } from "vitest";
import { MemoryCluster } from "../simulation/memory-cluster.ts";
import { SimulatedLogStore } from "../simulation/simulated-log-store.ts";
import { alone, execute, OWNER, put, run, SHORT_LOG, startedCluster } from "./replica-group.ts";

test("R4: a disk that refuses to give a snapshot stops the node; one that is short of space is asked again", async () => {
  const { cluster, leader, others } = await startedCluster(3, { retention: SHORT_LOG });
  const [sleeper] = others;
  if (sleeper === undefined) throw new Error("three members have a follower");
  const snapshot = leader.state.snapshot.bind(leader.state);
  const answers = [
    new OpenClawError("STORAGE_FULL"),
    new OpenClawError("STORAGE_FAILED", "the disk refuses to be read"),
  ];
  leader.state.snapshot = (atLeast) => {
    const error = answers.shift();
    return error === undefined ? snapshot(atLeast) : Promise.reject(error);
  };
  cluster.network.isolate(sleeper.id);
  for (let i = 0; i < 5; i++) expect(await run(cluster, leader, put(`k${i}`, "v"))).toBe("ok");
  cluster.network.heal();
  await cluster.elapse(5_000);
  expect(answers).toEqual([]);
  expect(leader.failure).toMatchObject({ code: "STORAGE_FAILED" });
});

test("X1: a follower that takes no snapshot does not cost its leader a copy each heartbeat", async () => {
  const { cluster, leader, others } = await startedCluster(3, { retention: SHORT_LOG });
  const [sleeper] = others;
  if (sleeper === undefined) throw new Error("three members have a follower");
  let copies = 0;
  const snapshot = leader.state.snapshot.bind(leader.state);
  leader.state.snapshot = (atLeast) => {
    copies++;
    return snapshot(atLeast);
  };
  const stage = sleeper.state.stage.bind(sleeper.state);
  sleeper.state.stage = () => Promise.reject(new OpenClawError("STORAGE_FULL"));
  cluster.network.isolate(sleeper.id);
  for (let i = 0; i < 5; i++) expect(await run(cluster, leader, put(`k${i}`, "v"))).toBe("ok");
  cluster.network.heal();
  await cluster.elapse(10_000);
  expect(copies).toBeGreaterThan(2);
  expect(copies).toBeLessThan(8);
  sleeper.state.stage = stage;
  await cluster.elapse(5_000);
  expect(sleeper.replica.status().applied).toBe(leader.replica.status().applied);
});

test("R7: under a steady load a follower that needs a snapshot catches up, though the log grows faster than it is sent", async () => {
  const retention = {
    entriesMax: 30,
    bytesMax: 1e9,
    entriesKept: 10,
    bytesKept: 1e9,
    entriesBetween: 5,
    bytesBetween: 1e9,
  };
  const { cluster, leader, others } = await startedCluster(3, { retention });
  const [sleeper] = others;
  if (sleeper === undefined) throw new Error("three members have a follower");
  const stage = sleeper.state.stage.bind(sleeper.state);
  sleeper.state.stage = async (header, chunks) => {
    await stage(header, chunks);
    await new Promise<void>((resolve) => cluster.clock.after(1_000, resolve));
  };
  let writes = 0;
  const load = async (ms: number): Promise<void> => {
    for (const until = cluster.clock.now() + ms; cluster.clock.now() < until; ) {
      void execute(leader, put("k", `${++writes}`));
      await cluster.elapse(20);
    }
  };
  cluster.network.isolate(sleeper.id);
  await load(2_000);
  expect(leader.replica.status().raft.firstIndex).toBeGreaterThan(30);
  cluster.network.heal();
  await load(8_000);
  expect(leader.replica.status().applied - sleeper.replica.status().applied).toBeLessThan(5);
  // Caught up, nobody is waited for.
  await load(1_000);
  const { firstIndex, lastIndex } = leader.replica.status().raft;
  expect(lastIndex - firstIndex).toBeLessThan(40);
});

test("an error of a listener, or of a peer, is fatal and said once", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  const [first, second] = others;
  if (first === undefined || second === undefined) throw new Error("three members have two followers");
  const broken = new InvariantViolation("a listener broke");
  first.replica.follow(() => {
    throw broken;
  });
  expect(await run(cluster, leader, put("k", "v"))).toBe("ok");
  await cluster.elapse(200);
  expect(first.failure).toBe(broken);
  await cluster.powerCut(first);
  await cluster.elapse(2_000);
  const { term: inTerm } = leader.replica.status();
  const lie = {
    kind: "appendAccepted",
    from: second.id,
    to: leader.id,
    term: inTerm,
    match: index(1_000_000),
  } as const;
  cluster.network.transport(second.id).send(leader.id, [lie]);
  await cluster.elapse(100);
  expect(leader.failure).toBeInstanceOf(InvariantViolation);
});

test("R4: a leader whose disk hangs for ever makes room for another", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  leader.log.hold();
  // On two other disks it is safe; the next one waits for this one.
  expect(await run(cluster, leader, put("first", "1"))).toBe("ok");
  expect(await run(cluster, leader, put("second", "1"), 5_000)).toBe("UNAVAILABLE");
  await cluster.elapse(60_000);
  expect(leader.failure).toMatchObject({ code: "STORAGE_FAILED" });
  cluster.powerOff(leader);
  const next = await cluster.leader();
  expect(others).toContain(next);
  expect(await run(cluster, next, put("k", "v"))).toBe("ok");
});

test("X1: one apply takes a bounded number of bytes, however much was committed meanwhile", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  const [slow] = others;
  if (slow === undefined) throw new Error("three members have a follower");
  const sizes: number[] = [];
  const apply = slow.state.apply.bind(slow.state);
  slow.state.apply = (entries: readonly Entry[]) => {
    sizes.push(entries.reduce((sum, entry) => sum + entry.data.length, 0));
    return apply(entries);
  };
  slow.state.hold();
  const big = "x".repeat(1_000_000);
  for (let i = 0; i < 12; i++) expect(await run(cluster, leader, put(`big${i}`, big))).toBe("ok");
  slow.state.release();
  await cluster.elapse(1_000);
  expect(slow.replica.position().revision).toBe(13);
  expect(Math.max(...sizes)).toBeLessThan(5_500_000);
});

test("X1: what followers forward to a leader whose disk is slow is bounded in bytes, and nothing is lost", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  const [follower] = others;
  if (follower === undefined) throw new Error("three members have a follower");
  expect(await run(cluster, follower, put("session", "open"))).toBe("ok");
  const sizes: number[] = [];
  const append = leader.log.append.bind(leader.log);
  leader.log.append = (hardState, entries) => {
    sizes.push(entries.reduce((sum, entry) => sum + entry.data.length, 0));
    return append(hardState, entries);
  };
  leader.log.hold();
  void execute(leader, put("k", "v"));
  await cluster.elapse(10);
  const big = "x".repeat(1_000_000);
  const answers = Promise.all(Array.from({ length: 30 }, (_, i) => execute(follower, put(`big${i}`, big), 30_000)));
  await cluster.elapse(4_500);
  leader.log.release();
  await cluster.elapse(10_000);
  expect(new Set(await answers)).toEqual(new Set(["ok"]));
  expect(Math.max(...sizes)).toBeLessThan(17 * 1_048_576);
});

test("Q1: a late SESSION_EXPIRED of an old session leaves the new one alone", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  const [follower] = others;
  if (follower === undefined) throw new Error("three members have a follower");
  expect(await run(cluster, follower, put("a", "1"))).toBe("ok");
  const isSession = (key: Uint8Array): boolean => key[0] === sessionKey("0".repeat(32) as never)[0];
  const sessions = (): number => follower.state.view.rows().filter(({ key }) => isSession(key)).length;
  for (const { state } of cluster.members) {
    state.view.write(
      state.view
        .rows()
        .filter(({ key }) => isSession(key))
        .map(({ key }) => ({ key, value: null })),
    );
  }
  cluster.network.cut(follower.id, leader.id);
  const late = execute(follower, put("late", "1"));
  await cluster.elapse(10);
  cluster.network.heal();
  expect(await run(cluster, follower, put("early", "1"))).toBe("SESSION_EXPIRED");
  expect(await run(cluster, follower, put("b", "1"))).toBe("ok");
  await cluster.elapse(2_000);
  expect(await late).toBe("SESSION_EXPIRED");
  expect(await run(cluster, follower, put("c", "1"))).toBe("ok");
  expect(sessions()).toBe(1);
});

test("UNAVAILABLE: whoever waits for a session that another opens keeps a deadline of its own", async () => {
  const cluster = new MemoryCluster(3);
  await cluster.start();
  const [member] = cluster.members;
  if (member === undefined) throw new Error("three members have a first");
  cluster.network.isolate(member.id);
  const patient = execute(member, put("k", "v"), 10_000);
  let hasty = "waits";
  void execute(member, put("k", "v"), 200).then((code) => {
    hasty = code;
  });
  await cluster.elapse(500);
  expect(hasty).toBe("UNAVAILABLE");
  cluster.network.heal();
  await cluster.elapse(9_000);
  expect(await patient).toBe("ok");
});

test("STOPPED: a replica that is stopped while it starts does not start", async () => {
  const { replica, clock, state } = alone(new SimulatedLogStore(OWNER));
  const open = state.open.bind(state);
  let proceed = (): void => {};
  state.open = async () => {
    await new Promise<void>((resolve) => {
      proceed = resolve;
    });
    return open();
  };
  const starting = replica.start().catch((error: unknown) => error);
  const stopping = replica.stop();
  proceed();
  await stopping;
  expect(await starting).toMatchObject({ code: "STOPPED" });
  expect(clock.step(clock.now() + 1_000)).toBe(false);
});

test("R8: a snapshot message for nothing staged stops no node", async () => {
  const cluster = new MemoryCluster(3);
  await cluster.start();
  const leader = await cluster.leader();
  const [follower, other] = cluster.members.filter((member) => member !== leader);
  if (follower === undefined || other === undefined) throw new Error("three members have two followers");
  const meta = { index: index(1_000), term: term(1), membership: founding(cluster.members.map(({ id }) => id)) };
  const { term: now } = leader.replica.status();
  const forged = { kind: "snapshot", from: other.id, to: follower.id, term: now, meta } as const;
  cluster.network.transport(other.id, other.clock).send(follower.id, [forged]);
  await cluster.elapse(1_000);
  expect(follower.failure).toBeNull();
  expect(await run(cluster, follower, put("after", "1"))).toBe("ok");
});
