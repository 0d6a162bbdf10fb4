/** C1, C2: replicas find that their states differ, and what they do about it. */
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { type Comparison, verdictOf } from "@openclaw/core/state-machine/finding.ts";
import { keyRowKey } from "@openclaw/core/state-machine/keyspace.ts";
import { ledgerPages } from "@openclaw/edge-runtime/api/ledger-pages.ts";
import { describe, expect, test } from "vitest";
import type { MemoryCluster, MemoryMember } from "../simulation/memory-cluster.ts";
import { execute, put, run, SHORT_LOG, startedCluster } from "./replica-group.ts";

/** A row of this member's state is gone, behind everybody's back. */
function rot(member: MemoryMember, key = "warm"): void {
  expect(member.state.view.get(keyRowKey(null, utf8(key)))).toBeDefined();
  member.state.view.write([{ key: keyRowKey(null, utf8(key)), value: null }]);
}

/** No snapshot gets to this member, until the returned function is called. */
function withoutSnapshots({ state }: MemoryMember): () => void {
  const stage = state.stage.bind(state);
  state.stage = () => Promise.reject(new OpenClawError("UNAVAILABLE"));
  return () => {
    state.stage = stage;
  };
}

/** Reads the ledger as a watch does: for ever. */
async function watching({ replica }: MemoryMember): Promise<void> {
  const next = revision(replica.position().revision + 1);
  for await (const page of ledgerPages(replica, next, new AbortController().signal)) void page;
}

/** This member says of the next `rounds` that it could not hash its rows. */
function givesUp({ state }: MemoryMember, rounds: number): void {
  const compare = state.compare.bind(state);
  state.compare = (round) => (rounds-- > 0 ? Promise.resolve(null) : compare(round));
}

/** A round, while time passes. */
async function compared(cluster: MemoryCluster, member: MemoryMember, timeoutMs = 5_000): Promise<Comparison> {
  let found: Comparison | null = null;
  let failure: unknown = null;
  member.replica.compareStates(timeoutMs).then(
    (comparison) => {
      found = comparison;
    },
    (error: unknown) => {
      failure = error;
    },
  );
  for (let waited = 0; found === null && failure === null && waited < timeoutMs + 5_000; waited += 50)
    await cluster.elapse(50);
  if (found === null) throw failure ?? new Error("the round was never answered");
  return found;
}

const agreements = (members: readonly MemoryMember[]): string[] =>
  members.map(({ replica }) => replica.status().agreement.kind);

/** How many states there are when all have applied the same. */
async function states(cluster: MemoryCluster): Promise<number> {
  await until(cluster, () => new Set(cluster.members.map(({ replica }) => replica.status().applied)).size === 1);
  const hashes = cluster.members.map(async ({ replica }) => toHex((await replica.read({ kind: "stateHash" })).hash));
  return new Set(await Promise.all(hashes)).size;
}

async function until(cluster: MemoryCluster, holds: () => boolean, withinMs = 20_000): Promise<void> {
  for (let waited = 0; !holds(); waited += 10) {
    if (waited > withinMs) throw new Error("it does not come to that");
    await cluster.elapse(10);
  }
}

/** Every member holds what the last round found at all of them. */
const allSound = (cluster: MemoryCluster) => (): boolean =>
  cluster.members.every(({ replica }) => {
    const { agreement, comparison } = replica.status();
    const { reports } = comparison;
    const verdict = verdictOf(comparison);
    return (
      agreement.kind === "sound" &&
      reports.length === cluster.members.length &&
      reports.every(({ finding }) => finding.kind === "hash") &&
      verdict.kind === "agreed" &&
      verdict.diverged.length === 0
    );
  });

describe("C1: a replica that differs from a majority", () => {
  test("stops serving, takes its state from a peer, keeps its log, and is looked at again", async () => {
    const { cluster, leader, others } = await startedCluster(3);
    const [member] = others;
    if (member === undefined) throw new Error("three have a follower");
    rot(member);
    const heard: string[] = [];
    const giveIn = withoutSnapshots(member);
    member.replica.onAgreement(({ kind }) => heard.push(kind));
    const watched = watching(member);
    watched.catch(() => {});
    const { round, reports } = await compared(cluster, leader);
    expect(
      new Set(reports.map(({ finding }) => (finding.kind === "hash" ? toHex(finding.hash) : finding.kind))).size,
    ).toBe(2);
    await until(cluster, () => agreements([leader, member]).join() === "sound,diverged");
    const refused = { code: "DIVERGED", retryable: true };
    expect(() => member.replica.read({ kind: "position" })).toThrow(expect.objectContaining(refused));
    await expect(member.replica.barrier(1_000)).rejects.toMatchObject(refused);
    expect(await execute(member, put("a", "b"))).toBe("DIVERGED");
    expect(() => member.replica.ledger(revision(1), 1_000)).toThrow(expect.objectContaining(refused));
    expect(await run(cluster, leader, put("after", "1"))).toBe("ok");
    // Whoever watched is told, too: nothing more would have come.
    await expect(watched).rejects.toMatchObject(refused);
    await expect(watching(member)).rejects.toMatchObject(refused);
    giveIn();
    await until(cluster, allSound(cluster));
    expect(heard).toEqual(["diverged", "sound"]);
    expect(member.state.aside).toBe(round);
    expect(member.replica.status().raft.firstIndex).toBe(1);
    expect(await states(cluster)).toBe(1);
    // The round after the one that found it agrees, and there is no third.
    const last = member.replica.status().comparison.round;
    expect(last).toBeGreaterThan(round);
    const { lastIndex } = leader.replica.status().raft;
    await cluster.elapse(60_000);
    expect(leader.replica.status().raft.lastIndex).toBe(lastIndex);
  });

  test("is found although writes go on, and the log is cut meanwhile", async () => {
    const { cluster, leader, others } = await startedCluster(3, { retention: SHORT_LOG });
    const [member] = others;
    if (member === undefined) throw new Error("three have a follower");
    for (let i = 0; i < 300; i++) void execute(leader, put(`key/${i}`, "x".repeat(i)));
    await cluster.elapse(3_000);
    rot(member, "key/7");
    let writing = true;
    let written = 0;
    const writer = (async () => {
      while (writing) {
        if ((await execute(leader, put(`key/${(written * 37) % 300}`, `${written}`))) === "ok") written++;
      }
    })();
    const { reports } = await compared(cluster, leader);
    expect(reports.every(({ finding }) => finding.kind === "hash")).toBe(true);
    await until(cluster, () => member.state.aside !== null);
    await until(cluster, allSound(cluster));
    writing = false;
    await cluster.elapse(2_000);
    await writer;
    expect(written).toBeGreaterThan(30);
    expect(await states(cluster)).toBe(1);
  });

  test("is looked for again when a snapshot came in at the third, which could not hash its rows as of the round", async () => {
    const { cluster, leader, others } = await startedCluster(3, { retention: SHORT_LOG });
    const [member, behind] = others;
    if (member === undefined || behind === undefined) throw new Error("three have two followers");
    cluster.powerOff(behind);
    rot(member);
    const { round, reports } = await compared(cluster, leader);
    expect(reports).toHaveLength(2);
    for (let i = 0; i < 5; i++) expect(await run(cluster, leader, put(`key/${i}`, "x"))).toBe("ok");
    expect(leader.replica.status().raft.firstIndex).toBeGreaterThan(round);
    expect(agreements([leader, member])).toEqual(["sound", "sound"]);
    await cluster.powerOn(behind);
    // Nobody asks, and nothing is written.
    await until(cluster, () => agreements([member]).join() === "diverged", 5_000);
    await until(cluster, allSound(cluster));
    expect(member.state.aside).toBeGreaterThan(round);
    expect([leader, behind].map(({ state }) => state.aside)).toEqual([null, null]);
    expect(await states(cluster)).toBe(1);
  });

  test("is looked for at most once a minute while no round can tell", async () => {
    const { cluster, leader, others } = await startedCluster(3);
    const [member, busy] = others;
    if (member === undefined || busy === undefined) throw new Error("three have two followers");
    rot(member);
    givesUp(busy, 4);
    const { lastIndex } = leader.replica.status().raft;
    const rounds = new Set<number>([(await compared(cluster, leader)).round]);
    for (let waited = 0; waited < 175_000; waited += 100) {
      await cluster.elapse(100);
      rounds.add(leader.replica.status().comparison.round);
    }
    // The one that was asked for, then one at once, and two more.
    expect(rounds.size).toBe(4);
    // One replica asks, and three report.
    expect(leader.replica.status().raft.lastIndex - lastIndex).toBe(4 * 4);
    expect(agreements(cluster.members)).toEqual(["sound", "sound", "sound"]);
    await until(cluster, () => member.state.aside !== null);
    await until(cluster, allSound(cluster));
  });

  test("L1: a round in which some gave up, and nobody differs, is not begun anew", async () => {
    const { cluster, leader, others } = await startedCluster(3);
    for (const member of others) givesUp(member, 1);
    await compared(cluster, leader);
    const { lastIndex } = leader.replica.status().raft;
    await cluster.elapse(130_000);
    expect(leader.replica.status().raft.lastIndex).toBe(lastIndex);
  });

  test("that leads hands over first", async () => {
    const { cluster, leader } = await startedCluster(3);
    rot(leader);
    void compared(cluster, leader).catch(() => {});
    await until(cluster, () => leader.replica.status().agreement.kind === "diverged");
    await until(cluster, allSound(cluster));
    expect(leader.replica.status().role).toBe("follower");
    expect(leader.state.aside).not.toBeNull();
    expect(await states(cluster)).toBe(1);
  });

  test("loses no write that was acknowledged with its help while it was wrong", async () => {
    const { cluster, leader, others } = await startedCluster(3);
    const [member, off] = others;
    if (member === undefined || off === undefined) throw new Error("three have two followers");
    rot(member);
    const giveIn = withoutSnapshots(member);
    await compared(cluster, leader);
    await until(cluster, () => agreements([member]).join() === "diverged");
    cluster.powerOff(off);
    expect(await run(cluster, leader, put("with", "its log"))).toBe("ok");
    // Only it has the write besides the leader, which dies.
    cluster.powerOff(leader);
    await cluster.powerOn(off);
    await until(cluster, () => off.replica.status().role === "leader");
    giveIn();
    await cluster.powerOn(leader);
    await until(cluster, allSound(cluster));
    const { row } = await off.replica.read({ kind: "get", origin: null, key: utf8("with") });
    expect(row).not.toBeNull();
    expect(await states(cluster)).toBe(1);
  });

  test("knows it after a power cut at any moment of its rebuilding", async () => {
    let cuts = 0;
    for (let point = 1; ; point++) {
      let left = Number.POSITIVE_INFINITY;
      let watched: MemoryMember | null = null;
      let due = false;
      const onPoint = (at: MemoryMember): void => {
        if (at === watched && --left === 0) due = true;
      };
      const { cluster, leader, others } = await startedCluster(3, { onPoint });
      const [member] = others;
      if (member === undefined) throw new Error("three have a follower");
      rot(member);
      member.state.checkpointNow();
      void compared(cluster, leader).catch(() => {});
      await until(cluster, () => leader.replica.status().comparison.round > 0);
      const mended = allSound(cluster);
      watched = member;
      left = point;
      for (let waited = 0; waited < 8_000 && !due && !(member.state.aside !== null && mended()); waited++)
        await cluster.elapse(1);
      if (!due) break;
      cuts++;
      await cluster.powerCut(member);
      await cluster.elapse(10_000);
      // A cut before it had reported leaves the round open: the next one finds it.
      await compared(cluster, await cluster.leader());
      await until(cluster, allSound(cluster));
      expect(await states(cluster), `cut at point ${point}`).toBe(1);
    }
    expect(cuts).toBeGreaterThan(20);
  });
});

/** Seed 553162830194: the row of the round is older than the state that came in its place. */
test("C1: one that was given another state does not take itself for wrong again after a power cut", async () => {
  const { cluster, leader, others } = await startedCluster(3);
  const [member] = others;
  if (member === undefined) throw new Error("three have a follower");
  rot(member);
  const giveIn = withoutSnapshots(member);
  await compared(cluster, leader);
  await until(cluster, () => member.replica.status().agreement.kind === "diverged");
  giveIn();
  await until(cluster, () => member.replica.status().agreement.kind === "sound");
  // Nothing of what it applies from now on is durable: neither that it was rebuilt, nor the next round.
  await cluster.powerCut(member);
  withoutSnapshots(member);
  const heard: string[] = [];
  member.replica.onAgreement(({ kind }) => heard.push(kind));
  await until(cluster, allSound(cluster));
  expect(heard).toEqual([]);
  expect(await states(cluster)).toBe(1);
});

describe("C3: a replica whose ledger is another one than its leader's", () => {
  const del = (key: string): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });

  test("sees it by the next heartbeat, and a round tells which of them is wrong", async () => {
    for (const leads of [false, true]) {
      const { cluster, leader, others } = await startedCluster(3);
      const member = leads ? leader : others[0];
      if (member === undefined) throw new Error("three have a follower");
      rot(member);
      await cluster.elapse(5_000);
      expect(agreements(cluster.members)).toEqual(["sound", "sound", "sound"]);
      // Where the key is gone already, this changes nothing, and takes no revision.
      expect(await run(cluster, leader, del("warm"))).toBe("ok");
      await until(cluster, () => agreements([member]).join() === "diverged", 3_000);
      await until(cluster, allSound(cluster));
      expect(member.state.aside).not.toBeNull();
      expect(await states(cluster)).toBe(1);
    }
  });

  test("sees it under a load, whose batches end elsewhere at each replica", async () => {
    const { cluster, leader, others } = await startedCluster(3);
    const [member] = others;
    if (member === undefined) throw new Error("three have a follower");
    let slow = 0;
    member.state.latency = () => new Promise((resolve) => cluster.clock.after(++slow % 7, resolve));
    rot(member);
    for (let i = 0; i < 400; i++) {
      void execute(leader, i === 20 ? del("warm") : put(`load/${i}`, "x"));
      await cluster.elapse(3);
    }
    await until(cluster, () => member.state.aside !== null, 3_000);
    member.state.latency = null;
    await until(cluster, allSound(cluster));
    expect(await states(cluster)).toBe(1);
  });

  test("L1: nothing is proposed where nothing differs", async () => {
    const { cluster, leader } = await startedCluster(3);
    for (let i = 0; i < 20; i++) expect(await run(cluster, leader, put(`key/${i}`, "x"))).toBe("ok");
    const { lastIndex } = leader.replica.status().raft;
    await cluster.elapse(120_000);
    expect(leader.replica.status().raft.lastIndex).toBe(lastIndex);
    expect(leader.replica.status().comparison.round).toBe(0);
  });
});

describe("C2: where no majority agrees", () => {
  test("nobody serves, and nobody is rebuilt, until an operator took one away and the rest agrees", async () => {
    const { cluster, leader, others } = await startedCluster(2);
    const [member] = others;
    if (member === undefined) throw new Error("two have a follower");
    rot(member);
    await compared(cluster, leader);
    await until(cluster, () => agreements(cluster.members).every((kind) => kind === "split"));
    for (const one of cluster.members) {
      expect(await execute(one, put("a", "b"))).toBe("DIVERGED");
      await expect(one.replica.barrier(100)).rejects.toMatchObject({ code: "DIVERGED" });
    }
    await cluster.elapse(30_000);
    expect(cluster.members.map(({ state }) => state.aside)).toEqual([null, null]);
    // It is known after a restart as well.
    await cluster.powerCut(member);
    await cluster.elapse(3_000);
    expect(agreements([member])).toEqual(["split"]);
    const at = await cluster.leader();
    void at.replica.changeMembership({ kind: "remove", node: member.id }, 10_000);
    await cluster.elapse(5_000);
    cluster.powerOff(member);
    await until(cluster, () => leader.replica.status().role === "leader");
    await compared(cluster, leader);
    expect(agreements([leader])).toEqual(["sound"]);
    expect(await run(cluster, leader, put("a", "b"))).toBe("ok");
  });
});

describe("rounds that begin by themselves", () => {
  test("L1: one begins when it is time and something was written since, and none otherwise", async () => {
    const { cluster, leader, others } = await startedCluster(3, { compareEveryMs: 20_000 });
    await until(cluster, () => leader.replica.status().comparison.reports.length === 3, 30_000);
    const first = leader.replica.status().comparison.round;
    const { lastIndex } = leader.replica.status().raft;
    await cluster.elapse(100_000);
    expect(leader.replica.status().raft.lastIndex).toBe(lastIndex);
    expect(await run(cluster, leader, put("news", "1"))).toBe("ok");
    const [member] = others;
    if (member === undefined) throw new Error("three have a follower");
    rot(member, "news");
    await until(cluster, () => member.state.aside !== null, 60_000);
    await until(cluster, allSound(cluster));
    expect(leader.replica.status().comparison.round).toBeGreaterThan(first);
  });

  test("a round that somebody asked for says who has not reported", async () => {
    const { cluster, leader, others } = await startedCluster(3);
    const [off] = others;
    if (off === undefined) throw new Error("three have a follower");
    cluster.powerOff(off);
    const { reports, voters } = await compared(cluster, leader, 2_000);
    expect(voters).toHaveLength(3);
    expect(reports.map(({ node }) => node)).not.toContain(off.id);
    expect(reports).toHaveLength(2);
  });
});
