/** Snapshots between whole replicas: slow, broken off, and with a power cut at each step of an install. */
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { describe, expect, test } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";

/** Cuts the log soon, so that whoever was away needs a snapshot, and keeps what follows one that is on its way. */
const retention = {
  entriesMax: 10,
  bytesMax: 1e9,
  entriesKept: 2,
  bytesKept: 1e9,
  entriesBetween: 1,
  bytesBetween: 1e9,
};
/** Several chunks of the store in memory. */
const VALUE = "x".repeat(100_000);

const put = (key: string, value: string): UserCommand => ({ kind: "put", key: utf8(key), value: utf8(value) });

async function write(cluster: MemoryCluster, { replica }: MemoryMember, command: UserCommand): Promise<void> {
  let done = false;
  const outcome = replica.execute(command, { principal: "tester", timeoutMs: 10_000 }).finally(() => {
    done = true;
  });
  await until(cluster, () => done);
  expect((await outcome).ok).toBe(true);
}

async function until(cluster: MemoryCluster, condition: () => boolean, withinMs = 60_000): Promise<void> {
  const end = cluster.clock.now() + withinMs;
  while (!condition()) {
    if (cluster.clock.now() > end) throw new Error("it did not happen");
    await cluster.elapse(10);
  }
}

/** A follower that slept through a megabyte, and its leader, that has cut its log. */
async function behind(options: { snapshotBytesPerSecond?: number } = {}): Promise<{
  readonly cluster: MemoryCluster;
  readonly leader: MemoryMember;
  readonly sleeper: MemoryMember;
}> {
  const cluster = new MemoryCluster(3, 1, { retention, ...options });
  await cluster.start();
  const leader = await cluster.leader();
  const sleeper = cluster.members.find((member) => member !== leader);
  if (sleeper === undefined) throw new Error("three members have a follower");
  await write(cluster, leader, put("warm", "up"));
  cluster.network.isolate(sleeper.id);
  // Nobody waits for it any more.
  await cluster.elapse(5_000);
  for (let i = 0; i < 15; i++) await write(cluster, leader, put(`k${i}`, VALUE));
  return { cluster, leader, sleeper };
}

const stateHash = async ({ replica }: MemoryMember): Promise<string> =>
  toHex((await replica.read({ kind: "stateHash" })).hash);

async function expectCaughtUp(cluster: MemoryCluster, leader: MemoryMember, sleeper: MemoryMember): Promise<void> {
  await until(cluster, () => sleeper.replica.status().applied === leader.replica.status().applied);
  expect(await stateHash(sleeper)).toBe(await stateHash(leader));
}

test("a snapshot goes no faster than configured, and heartbeats and writes pass it", async () => {
  const { cluster, leader, sleeper } = await behind({ snapshotBytesPerSecond: 200_000 });
  const before = leader.replica.status();
  cluster.network.heal();
  await until(cluster, () => (sleeper.replica.status().snapshots.receiving?.done ?? 0) > 0);
  const began = cluster.clock.now();
  const seen: number[] = [];
  let writes = 0;
  while (sleeper.replica.status().snapshots.receiving !== null) {
    // More would be cut from the log while the snapshot is on its way, and it would need another one.
    if (writes < 10) await write(cluster, leader, put("meanwhile", String(++writes)));
    await cluster.elapse(300);
    const { sending } = leader.replica.status().snapshots;
    const { receiving } = sleeper.replica.status().snapshots;
    if (sending === null || receiving === null) break;
    expect(sending).toMatchObject({ peer: sleeper.id, resumedAt: 0 });
    expect(receiving).toMatchObject({ peer: leader.id, index: sending.index, bytes: sending.bytes });
    expect(sending.done).toBeGreaterThanOrEqual(receiving.done);
    expect(sleeper.replica.status().leader).toBe(leader.id);
    // It hears heartbeats, and yet it does not hold what is committed.
    expect(sleeper.replica.staleMs()).toBeGreaterThan(5_000);
    seen.push(receiving.done);
  }
  // Three megabytes, less what may go at once.
  expect(cluster.clock.now() - began).toBeGreaterThan(12_000);
  expect(writes).toBeGreaterThan(8);
  expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  expect(new Set(seen).size).toBeGreaterThan(5);
  await expectCaughtUp(cluster, leader, sleeper);
  expect(leader.replica.status()).toMatchObject({ term: before.term, role: "leader" });
  expect(leader.replica.status().snapshots).toEqual({ sending: null, receiving: null });
});

test("R8: a snapshot whose link breaks goes on where it stopped", async () => {
  const { cluster, leader, sleeper } = await behind({ snapshotBytesPerSecond: 200_000 });
  cluster.network.heal();
  const came = (): number => sleeper.replica.status().snapshots.receiving?.done ?? 0;
  await until(cluster, () => came() > 500_000);
  const { index } = leader.replica.status().snapshots.sending ?? {};
  cluster.network.isolate(sleeper.id);
  await until(cluster, () => leader.replica.status().snapshots.sending === null);
  // More is committed: the copy that is kept still serves, as the log goes on from it.
  await write(cluster, leader, put("meanwhile", "1"));
  cluster.network.heal();
  await until(cluster, () => (sleeper.replica.status().snapshots.receiving?.resumedAt ?? 0) > 0);
  const { receiving } = sleeper.replica.status().snapshots;
  expect(receiving?.resumedAt).toBeGreaterThan(400_000);
  expect(receiving?.index).toBe(index);
  await expectCaughtUp(cluster, leader, sleeper);
});

describe("R8: a power cut in an install", () => {
  /** Where it strikes: the call that is made, and whether it is done. */
  const steps = [
    "staged",
    "before the state is replaced",
    "after it",
    "before the log is reset",
    "after it was",
  ] as const;

  for (const [at, step] of steps.entries()) {
    test(step === "after it" || step === "after it was" ? `${steps[at - 1]}, and done` : step, async () => {
      const { cluster, leader, sleeper } = await behind();
      let struck = false;
      /** Nothing that the node does from here on counts. */
      const strike = (): Promise<never> => {
        struck = true;
        return new Promise(() => {});
      };
      const { state, log } = sleeper;
      const [stage, install, reset] = [state.stage.bind(state), state.install.bind(state), log.reset.bind(log)];
      switch (step) {
        case "staged":
          state.stage = (header, chunks) => stage(header, chunks).then(strike);
          break;
        case "before the state is replaced":
          state.install = strike;
          break;
        case "after it":
          state.install = (meta) => install(meta).then(strike);
          break;
        case "before the log is reset":
          log.reset = strike;
          break;
        case "after it was":
          log.reset = (base) => reset(base).then(strike);
          break;
      }
      cluster.network.heal();
      await until(cluster, () => struck);
      // Not acknowledged: the leader cannot count on it.
      const match = leader.replica.status().raft.progress.find(({ id }) => id === sleeper.id)?.match ?? 0;
      expect(match).toBeLessThan(leader.replica.status().applied);
      await cluster.powerCut(sleeper);
      expect(sleeper.failure).toBeNull();
      await write(cluster, leader, put("after", "the cut"));
      await expectCaughtUp(cluster, leader, sleeper);
      // It takes part again: with it and without the third the cluster writes.
      const third = cluster.members.find((member) => member !== leader && member !== sleeper);
      if (third !== undefined) cluster.network.isolate(third.id);
      await write(cluster, leader, put("with", "it"));
      await expectCaughtUp(cluster, leader, sleeper);
    });
  }
});
