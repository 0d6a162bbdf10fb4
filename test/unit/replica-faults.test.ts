/** What may go wrong around a replica: power cuts at bad moments, disks that hang or refuse, errors of those it calls. */

import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, index, type NodeId, revision, term } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { sessionKey } from "@openclaw/core/state-machine/keyspace.ts";
import { expect, test } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";
import { MemoryNetwork } from "../simulation/memory-network.ts";
import { MemoryStateStore } from "../simulation/memory-state-store.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { SimulatedLogStore } from "../simulation/simulated-log-store.ts";
import { elapse, VirtualClock } from "../simulation/virtual-clock.ts";

const put = (key: string, value: string): UserCommand => ({ kind: "put", key: utf8(key), value: utf8(value) });
/** Cuts the log at once, so that whoever was away needs a snapshot. */
const SHORT_LOG = {
  entriesMax: 1,
  bytesMax: 1e9,
  entriesKept: 0,
  bytesKept: 1e9,
  entriesBetween: 1,
  bytesBetween: 1e9,
};

/** `ok`, or the code of the refusal. */
function execute({ replica }: MemoryMember, command: UserCommand, timeoutMs = 10_000): Promise<string> {
  return replica.execute(command, { principal: "tester", timeoutMs }).then(
    (outcome) => (outcome.ok ? "ok" : outcome.code),
    (error: unknown) => (error instanceof OpenClawError ? error.code : String(error)),
  );
}

/** Executes while time passes. */
async function run(
  cluster: MemoryCluster,
  member: MemoryMember,
  command: UserCommand,
  timeoutMs = 10_000,
): Promise<string> {
  let answer: string | null = null;
  void execute(member, command, timeoutMs).then((code) => {
    answer = code;
  });
  const until = cluster.clock.now() + timeoutMs + 1_000;
  while (answer === null && cluster.clock.now() < until) await cluster.elapse(10);
  return answer ?? "never answered";
}

async function startedCluster(
  size: number,
  options = {},
): Promise<{ cluster: MemoryCluster; leader: MemoryMember; others: MemoryMember[] }> {
  const cluster = new MemoryCluster(size, 1, options);
  await cluster.start();
  const leader = await cluster.leader();
  expect(await run(cluster, leader, put("warm", "up"))).toBe("ok");
  await cluster.elapse(200);
  return { cluster, leader, others: cluster.members.filter((member) => member !== leader) };
}

const CLUSTER = "test" as ClusterId;
const NODE = "n1" as NodeId;
const OWNER = { cluster: CLUSTER, node: NODE };
const EPOCH = { counter: 1, nonce: "ab".repeat(16), parent: null, departure: revision(0) };
const MEMBERSHIP = founding([NODE]);

function alone(
  log: SimulatedLogStore,
  state = new MemoryStateStore({ cluster: CLUSTER, epoch: EPOCH, membership: MEMBERSHIP }),
) {
  const clock = new VirtualClock();
  const transport = new MemoryNetwork(clock).transport(NODE);
  const random = new SeededRandom(1);
  const onFatal = (error: Error): void => {
    throw error;
  };
  const replica = new Replica({
    cluster: CLUSTER,
    id: NODE,
    membership: MEMBERSHIP,
    epoch: EPOCH,
    log,
    state,
    transport,
    clock,
    random,
    applyVersions: APPLY_VERSIONS,
    tickMs: 50,
    onFatal,
  });
  return { replica, clock, state };
}

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
