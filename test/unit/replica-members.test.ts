/** Members and leaders of whole replicas, as an operator changes them (thesis chapter 4, §3.10). */

import { utf8 } from "@openclaw/core/bytes.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { describe, expect, test } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";

const TIMEOUT_MS = 5_000;

async function started(size: number): Promise<{ readonly cluster: MemoryCluster; readonly leader: MemoryMember }> {
  const cluster = new MemoryCluster(size);
  await cluster.start();
  return { cluster, leader: await cluster.leader() };
}

/** What the promise comes to while the cluster's time goes on. */
async function meanwhile(cluster: MemoryCluster, promise: Promise<unknown>): Promise<string> {
  let seen = "open";
  promise.then(
    () => {
      seen = "done";
    },
    (error: unknown) => {
      seen = error instanceof Error && "code" in error ? String(error.code) : String(error);
    },
  );
  for (let waited = 0; seen === "open" && waited < 2 * TIMEOUT_MS; waited += 50) await cluster.elapse(50);
  return seen;
}

const others = (cluster: MemoryCluster, leader: MemoryMember): readonly MemoryMember[] =>
  cluster.members.filter((member) => member !== leader);

async function put(cluster: MemoryCluster, member: MemoryMember, value: string): Promise<string> {
  const command = { kind: "put", key: utf8("k"), value: utf8(value) } as const;
  return meanwhile(cluster, member.replica.execute(command, { principal: "tester", timeoutMs: TIMEOUT_MS }));
}

describe("members", () => {
  for (const at of ["leader", "follower"] as const) {
    test(`a node joins, asked of a ${at}, and votes`, async () => {
      const { cluster, leader } = await started(3);
      await put(cluster, leader, "before");
      const asked = at === "leader" ? leader : (others(cluster, leader)[0] ?? leader);
      const newcomer = await cluster.join("n4" as NodeId);
      const add = { kind: "add", node: newcomer.id, replaces: null } as const;
      expect(await meanwhile(cluster, asked.replica.changeMembership(add, TIMEOUT_MS))).toBe("done");
      await cluster.elapse(3_000);
      expect(newcomer.replica.status().raft.membership).toEqual(founding(cluster.members.map(({ id }) => id)));
      expect(newcomer.replica.position().revision).toBe(leader.replica.position().revision);
      expect(await put(cluster, newcomer, "from the newcomer")).toBe("done");
    });
  }

  test("a dead node is replaced in one call, by a snapshot if the log is cut", async () => {
    const retention = {
      entriesMax: 1,
      bytesMax: 1e6,
      entriesKept: 0,
      bytesKept: 1e6,
      entriesBetween: 1,
      bytesBetween: 1e6,
    };
    const cluster = new MemoryCluster(3, 1, { retention });
    await cluster.start();
    const leader = await cluster.leader();
    for (let i = 0; i < 10; i++) await put(cluster, leader, `v${i}`);
    const [dead, other] = others(cluster, leader);
    if (dead === undefined || other === undefined) throw new Error("three members have two followers");
    cluster.powerOff(dead);
    const newcomer = await cluster.join("n4" as NodeId);
    const replace = { kind: "add", node: newcomer.id, replaces: dead.id } as const;
    expect(await meanwhile(cluster, leader.replica.changeMembership(replace, TIMEOUT_MS))).toBe("done");
    await cluster.elapse(5_000);
    const { membership } = leader.replica.status().raft;
    expect(new Set(membership.voters)).toEqual(new Set([leader.id, other.id, newcomer.id]));
    cluster.powerOff(other);
    expect(await put(cluster, leader, "with the newcomer alone")).toBe("done");
  });

  test("a leader that removes itself hands over, and knows that it is out", async () => {
    const { cluster, leader } = await started(3);
    const remove = { kind: "remove", node: leader.id } as const;
    expect(await meanwhile(cluster, leader.replica.changeMembership(remove, TIMEOUT_MS))).toBe("done");
    await cluster.elapse(1_000);
    const [one, two] = others(cluster, leader);
    expect([one, two].map((member) => member?.replica.status().role).sort()).toEqual(["follower", "leader"]);
    expect(leader.replica.status().raft.removed).toBe(true);
  });

  test("what cannot be is refused at once, also by a follower", async () => {
    const { cluster, leader } = await started(1);
    const last = { kind: "remove", node: leader.id } as const;
    expect(await meanwhile(cluster, leader.replica.changeMembership(last, TIMEOUT_MS))).toBe("MEMBERSHIP_INVALID");
    const three = await started(3);
    const [follower] = others(three.cluster, three.leader);
    const nobody = { kind: "add", node: "n9" as NodeId, replaces: "n8" as NodeId } as const;
    const answer = follower?.replica.changeMembership(nobody, TIMEOUT_MS) ?? Promise.resolve();
    expect(await meanwhile(three.cluster, answer)).toBe("MEMBERSHIP_INVALID");
  });

  test("without a majority a change is given up in time, and made later if it was taken", async () => {
    const { cluster, leader } = await started(3);
    cluster.network.isolate(leader.id);
    const [victim] = others(cluster, leader);
    const remove = { kind: "remove", node: victim?.id ?? leader.id } as const;
    expect(await meanwhile(cluster, leader.replica.changeMembership(remove, TIMEOUT_MS))).toMatch(
      /UNAVAILABLE|MEMBERSHIP_PENDING/,
    );
    cluster.network.heal();
    await cluster.elapse(5_000);
    expect(new Set(leader.replica.status().members).size).toBeGreaterThan(1);
  });
});

describe("leadership", () => {
  test("goes where it is asked to go, and what is written meanwhile is not lost", async () => {
    const { cluster, leader } = await started(3);
    const [target, other] = others(cluster, leader);
    if (target === undefined || other === undefined) throw new Error("three members have two followers");
    const moved = meanwhile(cluster, other.replica.transferLeadership(target.id, TIMEOUT_MS));
    const written = put(cluster, leader, "meanwhile");
    expect(await moved).toBe("done");
    expect(await written).toBe("done");
    expect(target.replica.status().role).toBe("leader");
  });

  test("a planned stop hands over first: a write right afterwards waits for no election", async () => {
    const { cluster, leader } = await started(3);
    await put(cluster, leader, "before");
    await meanwhile(cluster, leader.replica.handOver(TIMEOUT_MS));
    const before = cluster.clock.now();
    expect(leader.replica.status().role).toBe("follower");
    cluster.powerOff(leader);
    const [other] = others(cluster, leader);
    if (other === undefined) throw new Error("three members have two followers");
    expect(await put(cluster, other, "after")).toBe("done");
    // Less than the least election timeout.
    expect(cluster.clock.now() - before).toBeLessThan(500);
  });

  test("to somebody who is not there: refused", async () => {
    const { cluster, leader } = await started(3);
    expect(await meanwhile(cluster, leader.replica.transferLeadership("n9" as NodeId, TIMEOUT_MS))).toBe(
      "TRANSFER_REFUSED",
    );
  });
});
