/** A group whose members change while it runs (thesis chapter 4). */
import type { Index } from "@openclaw/core/ids.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import { describe, expect, test } from "vitest";
import { campaign, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

const A = nodeId("a");
const B = nodeId("b");
const C = nodeId("c");
const D = nodeId("d");
const ABC = founding([A, B, C]);

const membershipOf = (cluster: TestCluster, name: string): Membership => cluster.raft(name).status().membership;

/** A group of a, b and c, and d, which waits to be added; a leads. */
function threeAndOne(): TestCluster {
  const cluster = new TestCluster(["a", "b", "c", "d"], { founders: ["a", "b", "c"] }).start();
  cluster.elect("a");
  return cluster;
}

/** Heartbeats, so that a learner which has caught up is promoted. */
const goOn = (cluster: TestCluster): void => cluster.tick(6);

describe("changes of a group", () => {
  test("a node is added, catches up as a learner, and votes by itself afterwards (thesis §4.2.1)", () => {
    const cluster = threeAndOne();
    cluster.propose("a", "before");
    cluster.settle();
    expect(cluster.change("a", { kind: "add", node: D, replaces: null })).toMatchObject({ ok: true });
    cluster.settle();
    expect(membershipOf(cluster, "d")).toEqual({ ...ABC, learners: [{ id: D, replaces: null }] });
    goOn(cluster);
    for (const name of ["a", "b", "c", "d"]) expect(membershipOf(cluster, name)).toEqual(founding([A, B, C, D]));
    cluster.propose("a", "after");
    cluster.settle();
    expect(cluster.node("d").applied).toEqual(cluster.node("a").applied);
  });

  test("a learner that lags is not promoted, and holds up no commit (thesis §4.2.1)", () => {
    const cluster = threeAndOne();
    cluster.isolate("d");
    cluster.change("a", { kind: "add", node: D, replaces: null });
    cluster.tick(30);
    expect(membershipOf(cluster, "a").learners).toHaveLength(1);
    const at = cluster.propose("a", "while it lags");
    cluster.settle();
    expect(cluster.raft("a").status().commit).toBe(at);
  });

  test("a change before the leader has committed in its own term is refused (Ongaro 2015, pitfall 1, thesis §4.1)", () => {
    const cluster = new TestCluster(["a", "b", "c", "d"], { founders: ["a", "b", "c"] }).start();
    for (let count = 0; count < 40 && cluster.raft("a").role !== "leader"; count++) {
      cluster.raft("a").tick();
      cluster.settle(({ kind }) => kind !== "append");
    }
    expect(cluster.raft("a").role).toBe("leader");
    const add = { kind: "add", node: D, replaces: null } as const;
    expect(cluster.change("a", add)).toMatchObject({ ok: false, code: "MEMBERSHIP_PENDING" });
    goOn(cluster);
    expect(cluster.change("a", add)).toMatchObject({ ok: true });
  });

  test("one change at a time: the next is refused until the one before is committed (thesis §4.3)", () => {
    const cluster = threeAndOne();
    expect(cluster.change("a", { kind: "remove", node: C })).toMatchObject({ ok: true });
    expect(cluster.change("a", { kind: "remove", node: B })).toMatchObject({ ok: false, code: "MEMBERSHIP_PENDING" });
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(founding([A, B]));
    expect(cluster.change("a", { kind: "remove", node: B })).toMatchObject({ ok: true });
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(founding([A]));
  });

  test("R1: a removal that would leave too few voters that answer is refused, one of who does not answer is not", () => {
    const cluster = threeAndOne();
    cluster.crash("c");
    cluster.tick(60);
    expect(cluster.raft("a").role).toBe("leader");
    expect(cluster.change("a", { kind: "remove", node: B })).toMatchObject({ ok: false, code: "MEMBERSHIP_UNHEALTHY" });
    expect(cluster.change("a", { kind: "remove", node: C })).toMatchObject({ ok: true });
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(founding([A, B]));
  });

  test("in a joint configuration a commit needs both majorities (thesis §4.3)", () => {
    const cluster = threeAndOne();
    cluster.change("a", { kind: "add", node: D, replaces: C });
    cluster.settle();
    // Promotion's entry reaches nobody but d: a and d are a majority of the new voters, not of the old ones.
    cluster.isolate("b");
    cluster.isolate("c");
    cluster.tick(6);
    expect(membershipOf(cluster, "a")).toEqual({ voters: [A, B, D], outgoing: [A, B, C], learners: [] });
    const joint = cluster.raft("a").status().lastIndex;
    expect(cluster.raft("a").status().commit).toBeLessThan(joint);
    cluster.heal();
    goOn(cluster);
    expect(membershipOf(cluster, "b")).toEqual(founding([A, B, D]));
  });

  test("a dead voter is replaced in one change (thesis §4.3)", () => {
    const cluster = threeAndOne();
    cluster.crash("c");
    cluster.change("a", { kind: "add", node: D, replaces: C });
    cluster.settle();
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(founding([A, B, D]));
    cluster.crash("b");
    const at = cluster.propose("a", "with the successor alone");
    cluster.settle();
    expect(cluster.raft("a").status().commit).toBe(at);
  });

  test("a new leader leads out of the joint configuration that it finds (thesis §4.3)", () => {
    const cluster = new TestCluster(["a", "b", "c", "d"]);
    const joint: Membership = { voters: [A, B, D], outgoing: [A, B, C], learners: [] };
    for (const node of cluster.nodes) node.disk.state = { ...node.disk.state, membership: joint };
    cluster.start();
    cluster.crash("a");
    cluster.elect("b");
    goOn(cluster);
    expect(membershipOf(cluster, "d")).toEqual(founding([A, B, D]));
  });

  test("a configuration that is cut off counts no longer (thesis §4.1)", () => {
    const cluster = threeAndOne();
    cluster.isolate("a");
    cluster.change("a", { kind: "remove", node: C });
    cluster.settle();
    expect(membershipOf(cluster, "a").outgoing).toEqual([A, B, C]);
    cluster.elect("b");
    cluster.heal();
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(ABC);
    expect(cluster.raft("a").status().leader).toBe("b");
  });

  test("a leader that removes itself steps down when that is committed, and hands over (thesis §4.2.2)", () => {
    const cluster = threeAndOne();
    cluster.change("a", { kind: "remove", node: A });
    cluster.settle();
    cluster.settle();
    expect(cluster.raft("a").role).toBe("follower");
    expect(cluster.leaders()).toHaveLength(1);
    expect(membershipOf(cluster, cluster.leaders()[0] ?? "")).toEqual(founding([B, C]));
  });

  test("a leader that leaves campaigns until its leaving is committed: nobody else can bring it to the others (thesis §4.2.2)", () => {
    const cluster = new TestCluster(["a", "b"]).start();
    cluster.elect("a");
    cluster.change("a", { kind: "remove", node: A });
    cluster.settle(({ kind }) => kind === "append");
    cluster.settle(({ kind }) => kind === "appendAccepted");
    cluster.drop();
    // The joint configuration is committed, the entry that ends it is on a's disk alone, and a restarts.
    cluster.isolate("b");
    cluster.crash("a");
    cluster.restart("a");
    cluster.heal();
    cluster.tick(60);
    expect(membershipOf(cluster, "b")).toEqual(founding([B]));
    expect(cluster.leaders()).toEqual(["b"]);
  });

  test("what a follower is asked for reaches its leader", () => {
    const cluster = threeAndOne();
    expect(cluster.change("b", { kind: "remove", node: C })).toMatchObject({ code: "NOT_LEADER" });
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(founding([A, B]));
  });

  test("the membership survives a restart, from the log and from the state", () => {
    const cluster = threeAndOne();
    cluster.change("a", { kind: "remove", node: C });
    goOn(cluster);
    cluster.crash("b");
    expect(cluster.restart("b").status().membership).toEqual(founding([A, B]));
    cluster.compact("b");
    cluster.crash("b");
    expect(cluster.restart("b").status().membership).toEqual(founding([A, B]));
  });

  test("pitfall 15: a snapshot holds the committed configuration, whatever comes after it in the log (thesis §5.1)", () => {
    const cluster = threeAndOne();
    cluster.isolate("a");
    cluster.change("a", { kind: "remove", node: C });
    cluster.settle();
    expect(cluster.node("a").applied.membership).toEqual(ABC);
    cluster.compact("a");
    cluster.crash("a", 9);
    expect(cluster.restart("a").status().membership.outgoing).toEqual([A, B, C]);
    cluster.elect("b");
    cluster.heal();
    goOn(cluster);
    expect(membershipOf(cluster, "a")).toEqual(ABC);
  });
});

test("R1: a read whose round waits for a node that is removed meanwhile is answered", () => {
  const cluster = new TestCluster(["a", "b"]).start();
  cluster.elect("a");
  cluster.change("a", { kind: "remove", node: B });
  cluster.raft("a").readIndex(7);
  cluster.settle(({ kind }) => kind !== "heartbeat" && kind !== "heartbeatResponse");
  cluster.drop();
  cluster.tick(3);
  expect(cluster.node("a").readStates).toMatchObject([{ context: 7 }]);
});

describe("R10: who was removed", () => {
  test("cannot disturb, and is told so (thesis §4.2.3, pitfall 7)", () => {
    const cluster = threeAndOne();
    cluster.isolate("c");
    cluster.change("a", { kind: "remove", node: C });
    goOn(cluster);
    cluster.heal();
    const { term } = cluster.raft("a");
    cluster.tick(1_000);
    expect(cluster.raft("a")).toMatchObject({ role: "leader", term });
    expect(cluster.raft("c").status()).toMatchObject({ removed: true, role: "follower" });
  });

  test("is told by nobody who might know less than it does", () => {
    const cluster = threeAndOne();
    cluster.change("a", { kind: "remove", node: C });
    goOn(cluster);
    const { lastIndex } = cluster.raft("a").status();
    cluster.step(campaign("preVote", "c", "b", 9, [lastIndex + 5, 8]));
    cluster.settle(() => false);
    expect(cluster.on("removed")).toEqual([]);
  });

  test("takes part again when it is added again", () => {
    const cluster = threeAndOne();
    cluster.isolate("c");
    cluster.change("a", { kind: "remove", node: C });
    goOn(cluster);
    cluster.heal();
    cluster.tick(40);
    expect(cluster.raft("c").status().removed).toBe(true);
    cluster.change("a", { kind: "add", node: C, replaces: null });
    goOn(cluster);
    expect(membershipOf(cluster, "c")).toEqual(founding([A, B, C]));
    expect(cluster.raft("c").status().removed).toBe(false);
  });
});

describe("pitfall 6: elections in a joint configuration", () => {
  test("six voters, half of them new, find a leader, and with either half gone they do not (thesis §4.3)", () => {
    const names = ["a", "b", "c", "d", "e", "f"];
    const joint: Membership = { voters: [D, nodeId("e"), nodeId("f")], outgoing: [A, B, C], learners: [] };
    const cluster = new TestCluster(names);
    for (const node of cluster.nodes) node.disk.state = { ...node.disk.state, membership: joint };
    cluster.start();
    cluster.tick(60);
    expect(cluster.leaders()).toHaveLength(1);
    expect(membershipOf(cluster, "d").voters).toEqual(joint.voters);
  });

  test("with the old half gone there is no leader (thesis §4.3)", () => {
    const joint: Membership = { voters: [C, D, nodeId("e")], outgoing: [A, B, C], learners: [] };
    const cluster = new TestCluster(["a", "b", "c", "d", "e"]);
    for (const node of cluster.nodes) node.disk.state = { ...node.disk.state, membership: joint };
    cluster.start();
    cluster.crash("a");
    cluster.crash("b");
    cluster.tick(100);
    expect(cluster.leaders()).toEqual([]);
    cluster.restart("a");
    cluster.tick(100);
    expect(cluster.leaders()).toHaveLength(1);
  });
});

test("a group grows from one to five and shrinks to one again, and loses nothing", () => {
  const names = ["a", "b", "c", "d", "e"];
  const cluster = new TestCluster(names, { founders: ["a"] }).start();
  cluster.elect("a");
  const written: string[] = [];
  const write = (leader: string): Index => {
    written.push(`w${written.length}`);
    return cluster.propose(leader, written.at(-1) ?? "");
  };
  for (const node of names.slice(1).map(nodeId)) {
    write("a");
    cluster.change("a", { kind: "add", node, replaces: null });
    cluster.settle();
    write("a");
    goOn(cluster);
    expect(membershipOf(cluster, "a").voters).toContain(node);
  }
  for (const node of names.slice(0, 4).map(nodeId)) {
    const [leader = ""] = cluster.leaders();
    write(leader);
    cluster.change(leader, { kind: "remove", node });
    cluster.settle();
    cluster.tick(25);
  }
  expect(cluster.leaders()).toEqual(["e"]);
  write("e");
  cluster.settle();
  expect(cluster.checks.history).toEqual(written);
});
