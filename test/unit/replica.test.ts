import { utf8 } from "@openclaw/core/bytes.ts";
import type { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { describe, expect, test } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";

const TIMEOUT_MS = 10_000;
const put = (key: string, value: string): UserCommand => ({ kind: "put", key: utf8(key), value: utf8(value) });

/** Runs commands while time passes; the outcome of each, or the code it was refused with. */
async function run(
  cluster: MemoryCluster,
  member: MemoryMember,
  commands: readonly UserCommand[],
  forMs = TIMEOUT_MS,
): Promise<(Outcome | string)[]> {
  const answers: Promise<Outcome | string>[] = commands.map((command) =>
    member.replica
      .execute(command, { principal: "tester", timeoutMs: TIMEOUT_MS })
      .catch((error: OpenClawError) => error.code),
  );
  let done = false;
  const all = Promise.all(answers).then((outcomes) => {
    done = true;
    return outcomes;
  });
  const until = cluster.clock.now() + forMs + 1_000;
  while (!done && cluster.clock.now() < until) await cluster.elapse(50);
  return all;
}

async function read(cluster: MemoryCluster, member: MemoryMember, key: string): Promise<string | null> {
  let passed = false;
  const barrier = member.replica.barrier(TIMEOUT_MS).then(() => {
    passed = true;
  });
  for (let i = 0; !passed && i < 400; i++) await cluster.elapse(50);
  await barrier;
  const { row } = await member.replica.read({ kind: "get", origin: null, key: utf8(key) });
  return row === null ? null : new TextDecoder().decode(row.value);
}

async function stateHashes(cluster: MemoryCluster): Promise<Set<string>> {
  const hashes = await Promise.all(cluster.members.map(({ replica }) => replica.read({ kind: "stateHash" })));
  return new Set(hashes.map(({ hash, position }) => `${Buffer.from(hash).toString("hex")} ${position.revision}`));
}

describe("a replica", () => {
  for (const size of [1, 3, 5]) {
    test(`Q1: of ${size} runs each command once, wherever it enters`, async () => {
      const cluster = new MemoryCluster(size);
      await cluster.start();
      await cluster.leader();
      for (const member of cluster.members) {
        const outcomes = await run(cluster, member, [put(`a-${member.id}`, "1"), put(`b-${member.id}`, "2")]);
        expect(outcomes.every((outcome) => typeof outcome !== "string" && outcome.ok)).toBe(true);
      }
      await cluster.elapse(500);
      for (const member of cluster.members) {
        expect(member.replica.position().revision).toBe(2 * size);
        expect(await read(cluster, member, `b-${cluster.members[0]?.id}`)).toBe("2");
      }
      expect((await stateHashes(cluster)).size).toBe(1);
    });
  }

  test("Q1: answers a command in flight when the leader is lost, and runs it once", async () => {
    const cluster = new MemoryCluster(3);
    await cluster.start();
    const leader = await cluster.leader();
    const [follower] = cluster.members.filter((member) => member !== leader);
    if (follower === undefined) throw new Error("three members have a follower");
    await run(cluster, follower, [put("before", "1")]);
    leader.log.hold();
    const pending = run(cluster, follower, [put("during", "1"), put("during", "2")]);
    await cluster.elapse(20);
    cluster.network.isolate(leader.id);
    const outcomes = await pending;
    expect(outcomes.map((outcome) => (typeof outcome === "string" ? outcome : outcome.ok))).toEqual([true, true]);
    cluster.network.heal();
    leader.log.release();
    await cluster.elapse(3_000);
    const { row } = await follower.replica.read({ kind: "get", origin: null, key: utf8("during") });
    expect(row?.version).toBe(2);
    expect((await stateHashes(cluster)).size).toBe(1);
  });

  test("R4: acknowledges nothing while a majority's disks hold writes back", async () => {
    const cluster = new MemoryCluster(3);
    await cluster.start();
    const leader = await cluster.leader();
    await run(cluster, leader, [put("warm", "up")]);
    for (const member of cluster.members) if (member !== leader) member.log.hold();
    let answered = false;
    const answer = leader.replica.execute(put("k", "v"), { principal: "tester", timeoutMs: 2_000 }).then(
      () => {
        answered = true;
      },
      () => "refused",
    );
    await cluster.elapse(400);
    expect(answered).toBe(false);
    for (const member of cluster.members) member.log.release();
    await cluster.elapse(400);
    await answer;
    expect(answered).toBe(true);
  });

  test("R4: what was acknowledged survives a power cut of every node at once", async () => {
    const cluster = new MemoryCluster(3);
    await cluster.start();
    const leader = await cluster.leader();
    const outcomes = await run(
      cluster,
      leader,
      Array.from({ length: 50 }, (_, i) => put(`k${i}`, `v${i}`)),
    );
    expect(outcomes.every((outcome) => typeof outcome !== "string" && outcome.ok)).toBe(true);
    for (const member of cluster.members) await cluster.powerCut(member);
    const next = await cluster.leader();
    for (let i = 0; i < 50; i++) expect(await read(cluster, next, `k${i}`)).toBe(`v${i}`);
    expect(next.replica.position().revision).toBe(50);
  });

  test("UNAVAILABLE: a command without a majority is given up, never left hanging", async () => {
    const cluster = new MemoryCluster(3);
    await cluster.start();
    const leader = await cluster.leader();
    await run(cluster, leader, [put("warm", "up")]);
    cluster.network.isolate(leader.id);
    expect(await run(cluster, leader, [put("k", "v")])).toEqual(["UNAVAILABLE"]);
    const barrier = leader.replica.barrier(1_000).catch((error: OpenClawError) => error.code);
    await cluster.elapse(2_000);
    expect(await barrier).toBe("UNAVAILABLE");
  });

  test("R8: a follower behind the log takes a snapshot, and then follows", async () => {
    const bounds = { entriesMax: 1_000, bytesMax: 16_384, entriesKept: 100, bytesKept: 4_096 };
    const retention = { ...bounds, entriesBetween: 50, bytesBetween: 2_048 };
    const cluster = new MemoryCluster(3, 1, { retention });
    await cluster.start();
    const leader = await cluster.leader();
    const [sleeper] = cluster.members.filter((member) => member !== leader);
    if (sleeper === undefined) throw new Error("three members have a follower");
    cluster.network.isolate(sleeper.id);
    // More bytes than the log keeps, so that it is cut.
    const big = "x".repeat(900);
    for (let i = 0; i < 24; i++) await run(cluster, leader, [put(`big${i}`, big)]);
    await cluster.elapse(500);
    expect(leader.replica.status().raft.firstIndex).toBeGreaterThan(2);
    cluster.network.heal();
    await cluster.elapse(5_000);
    expect(sleeper.replica.position().revision).toBe(leader.replica.position().revision);
    expect((await run(cluster, sleeper, [put("after", "1")]))[0]).toMatchObject({ ok: true });
    await cluster.elapse(500);
    expect((await stateHashes(cluster)).size).toBe(1);
  });

  test("R4: a disk that fails stops the node, and the others go on", async () => {
    const cluster = new MemoryCluster(3);
    await cluster.start();
    const leader = await cluster.leader();
    await run(cluster, leader, [put("a", "1")]);
    leader.log.fail();
    const lost = leader.replica
      .execute(put("b", "1"), { principal: "tester", timeoutMs: 1_000 })
      .catch((error: OpenClawError) => error.code);
    await cluster.elapse(200);
    expect(await lost).toBe("STOPPED");
    expect(leader.failure).toMatchObject({ code: "STORAGE_FAILED" });
    cluster.network.leave(leader.id);
    const next = await cluster.leader();
    expect((await run(cluster, next, [put("c", "1")]))[0]).toMatchObject({ ok: true });
  });

  test("the ledger reaches followers of it in order, without gap or double", async () => {
    const cluster = new MemoryCluster(3);
    await cluster.start();
    const leader = await cluster.leader();
    const seen = cluster.members.map((member) => {
      const revisions: number[] = [];
      member.replica.follow(({ records }) => revisions.push(...records.map((record) => record.revision)));
      return revisions;
    });
    await run(
      cluster,
      leader,
      Array.from({ length: 30 }, (_, i) => put("k", `v${i}`)),
    );
    await cluster.elapse(500);
    const all = Array.from({ length: 30 }, (_, i) => revision(i + 1));
    for (const revisions of seen) expect(revisions).toEqual(all);
  });
});
