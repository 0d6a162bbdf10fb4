/** The read modes on whole replicas (DESIGN §5): who waits, who is refused, and how stale a local read says it is. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, revision } from "@openclaw/core/ids.ts";
import { type PositionToken, positionToken } from "@openclaw/core/ledger/position-token.ts";
import { type ReadMode, readable } from "@openclaw/core/replica/read-mode.ts";
import { expect, test } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";

const KEY = utf8("k");
const PATIENCE_MS = 5_000;

async function three(): Promise<{ cluster: MemoryCluster; leader: MemoryMember; follower: MemoryMember }> {
  const cluster = new MemoryCluster(3);
  await cluster.start();
  const leader = await cluster.leader();
  const follower = cluster.members.find((member) => member !== leader);
  if (follower === undefined) throw new Error("three members have a follower");
  return { cluster, leader, follower };
}

/** What a promise comes to while time passes: its value, or the error's code and details. */
async function settled<T>(cluster: MemoryCluster, promise: Promise<T>): Promise<T | string> {
  let result: { readonly value: T | string } | null = null;
  promise.then(
    (value) => {
      result = { value };
    },
    (error: unknown) => {
      result = { value: error instanceof OpenClawError ? `${error.code}: ${error.details}` : String(error) };
    },
  );
  const end = cluster.clock.now() + 20_000;
  while (result === null && cluster.clock.now() < end) await cluster.elapse(10);
  return (result as { readonly value: T | string } | null)?.value ?? "never";
}

async function put(cluster: MemoryCluster, { replica }: MemoryMember, value: string): Promise<PositionToken> {
  const command = { kind: "put", key: KEY, value: utf8(value) } as const;
  const outcome = await settled(cluster, replica.execute(command, { principal: "tester", timeoutMs: 10_000 }));
  if (typeof outcome === "string" || !outcome.ok) throw new Error(`not put: ${JSON.stringify(outcome)}`);
  return positionToken(replica.position(), outcome.revision);
}

async function read({ replica }: MemoryMember, mode: ReadMode): Promise<string | null> {
  const gate = { barrier: () => replica.barrier(PATIENCE_MS), position: () => replica.position() };
  await readable(gate, mode);
  const { row } = await replica.read({ kind: "get", origin: null, key: KEY });
  return row === null ? null : (utf8Text(row.value) ?? null);
}

const atLeast = (position: PositionToken): ReadMode => ({ kind: "atLeast", position });

test("L3: a causal read at a follower that lags waits, and sees what its position says", async () => {
  const { cluster, leader, follower } = await three();
  await put(cluster, leader, "old");
  await cluster.elapse(500);
  follower.state.hold();
  const position = await put(cluster, leader, "new");
  await cluster.elapse(200);
  expect(follower.replica.position().revision).toBeLessThan(position.revision);
  let answer: string | null = null;
  const reading = read(follower, atLeast(position)).then((value) => {
    answer = value;
  });
  await cluster.elapse(1_000);
  expect(answer).toBeNull();
  follower.state.release();
  await settled(cluster, reading);
  expect(answer).toBe("new");
});

test("with the position of a write, no member answers with an older value", async () => {
  const { cluster, leader } = await three();
  for (let i = 0; i < 30; i++) {
    const writer = cluster.members[i % 3] ?? leader;
    const position = await put(cluster, writer, String(i));
    const answers = await Promise.all(
      cluster.members.map((member) => settled(cluster, read(member, atLeast(position)))),
    );
    expect(answers).toEqual([String(i), String(i), String(i)]);
  }
});

test("a position that is reached asks nobody", async () => {
  const { cluster, leader, follower } = await three();
  const position = await put(cluster, leader, "1");
  await cluster.elapse(500);
  cluster.network.isolate(follower.id);
  expect(await settled(cluster, read(follower, atLeast(position)))).toBe("1");
});

test("a partitioned node answers local reads with a growing age, and refuses the others", async () => {
  const { cluster, leader, follower } = await three();
  await put(cluster, leader, "old");
  await cluster.elapse(500);
  cluster.network.isolate(follower.id);
  const position = await put(cluster, leader, "new");
  const ages: number[] = [];
  for (let i = 0; i < 5; i++) {
    await cluster.elapse(1_000);
    ages.push(follower.replica.staleMs() ?? -1);
    expect(await settled(cluster, read(follower, { kind: "local" }))).toBe("old");
  }
  for (const [i, age] of ages.entries()) expect(Math.abs(age - 1_000 * (i + 1))).toBeLessThan(400);
  expect(await settled(cluster, read(follower, { kind: "linearizable" }))).toMatch(/^UNAVAILABLE/);
  expect(await settled(cluster, read(follower, atLeast(position)))).toBe(
    `UNAVAILABLE: revision ${position.revision} is asked for, this node is at ${position.revision - 1}`,
  );
  cluster.network.heal();
  expect(await settled(cluster, read(follower, atLeast(position)))).toBe("new");
  await cluster.elapse(500);
  expect(follower.replica.staleMs()).toBeLessThan(300);
});

test("L3: what no majority has is refused, and so is another epoch or cluster", async () => {
  const { cluster, leader, follower } = await three();
  const position = await put(cluster, leader, "1");
  const refusal = (changes: Partial<PositionToken>) =>
    settled(cluster, read(follower, atLeast({ ...position, ...changes })));
  expect(await refusal({ revision: revision(position.revision + 1) })).toBe(
    `FORK: revision ${position.revision + 1} is claimed, a majority confirms ${position.revision}`,
  );
  expect(await refusal({ epoch: "cd".repeat(16) })).toMatch(/^WRONG_EPOCH/);
  expect(await refusal({ cluster: "other" as ClusterId })).toMatch(/^WRONG_CLUSTER/);
});

test("in a quiet cluster every member knows that it is up to date; one that never heard a leader knows nothing", async () => {
  const { cluster } = await three();
  await cluster.elapse(60_000);
  for (const { replica } of cluster.members) expect(replica.staleMs()).toBeLessThan(300);

  const lonely = new MemoryCluster(3);
  for (const { id } of lonely.members) lonely.network.isolate(id);
  const [first] = lonely.members;
  if (first === undefined) throw new Error("three members have a first");
  await first.replica.start();
  await lonely.elapse(5_000);
  expect(first.replica.staleMs()).toBeNull();
});

test("under a steady load a follower that is always a little behind knows, again and again, how far it came", async () => {
  const { cluster, leader, follower } = await three();
  await put(cluster, leader, "0");
  const apply = follower.state.apply.bind(follower.state);
  follower.state.apply = async (entries) => {
    await new Promise<void>((resolve) => cluster.clock.after(200, resolve));
    return apply(entries);
  };
  const ages: number[] = [];
  for (let i = 0; i < 500; i++) {
    const command = { kind: "put", key: KEY, value: utf8(String(i)) } as const;
    void leader.replica.execute(command, { principal: "tester", timeoutMs: 10_000 });
    await cluster.elapse(10);
    if (i > 100) ages.push(follower.replica.staleMs() ?? -1);
  }
  expect(Math.max(...ages)).toBeLessThan(1_000);
  // And does not claim to hold what it has still to apply.
  expect(Math.max(...ages)).toBeGreaterThan(150);
});

test("a follower that hears its leader and does not apply grows stale; so does a leader that nobody answers", async () => {
  const { cluster, leader, follower } = await three();
  await put(cluster, leader, "1");
  await cluster.elapse(500);
  follower.state.hold();
  await put(cluster, leader, "2");
  await cluster.elapse(3_000);
  expect(follower.replica.staleMs()).toBeGreaterThan(2_500);
  expect(leader.replica.staleMs()).toBeLessThan(300);
  follower.state.release();
  await cluster.elapse(500);
  expect(follower.replica.staleMs()).toBeLessThan(300);

  cluster.network.isolate(leader.id);
  await cluster.elapse(400);
  expect(leader.replica.status().role).toBe("leader");
  expect(leader.replica.staleMs()).toBeGreaterThan(250);
  await cluster.elapse(5_000);
  expect(leader.replica.status().role).not.toBe("leader");
  expect(leader.replica.staleMs()).toBeGreaterThan(5_000);
});

test("a cluster of one is up to date by itself", async () => {
  const cluster = new MemoryCluster(1);
  await cluster.start();
  const leader = await cluster.leader();
  await put(cluster, leader, "1");
  await cluster.elapse(10_000);
  expect(leader.replica.staleMs()).toBeLessThan(100);
});
