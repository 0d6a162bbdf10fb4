/** Membership at its edges: who was removed while it was away, and groups of one that lost entries. */
import { index, term } from "@openclaw/core/ids.ts";
import { founding, isMade, stepped } from "@openclaw/core/raft/membership.ts";
import { describe, expect, test } from "vitest";
import { nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

const A = nodeId("a");
const B = nodeId("b");
const C = nodeId("c");

describe("R10: whoever was removed is told so", () => {
  test("also when its term is ahead of the group's", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    // c got a pre-vote, entered a term, and was cut off before anybody heard of it.
    cluster.isolate("c");
    cluster.crash("c");
    cluster.node("c").disk.hardState = { term: term(7), vote: C, commit: index(1) };
    cluster.restart("c");
    cluster.change("a", { kind: "remove", node: C });
    cluster.tick(6, ["a", "b"]);
    cluster.heal();
    cluster.tick(40);
    expect(cluster.raft("c").status().removed).toBe(true);
    expect(cluster.raft("a").term).toBe(1);
  });

  test("also when its log is longer, by what nobody else has got", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.isolate("a");
    for (const text of ["1", "2", "3", "4", "5", "6", "7", "8"]) cluster.propose("a", text);
    cluster.settle();
    cluster.elect("b");
    cluster.change("b", { kind: "remove", node: A });
    cluster.tick(6);
    expect(cluster.raft("b").status().membership).toEqual(founding([B, C]));
    cluster.heal();
    cluster.tick(60);
    expect(cluster.raft("a").status().removed).toBe(true);
    expect(cluster.leaders()).toEqual(["b"]);
  });
});

// The word "removed" names an index, not a term: an own, uncommitted configuration at a higher one looks like a later one.
test("R10: told so is also a leader that was removed while it changed the members alone", () => {
  const cluster = new TestCluster(["a", "b", "c"]).start();
  cluster.elect("a");
  cluster.isolate("a");
  for (let count = 0; count < 8; count++) cluster.propose("a", `${count}`);
  cluster.change("a", { kind: "remove", node: C });
  cluster.settle();
  cluster.elect("b");
  cluster.change("b", { kind: "remove", node: A });
  cluster.tick(6);
  cluster.heal();
  cluster.tick(60);
  expect(cluster.raft("a").status().removed).toBe(true);
});

describe("R5: a group of one", () => {
  test("the learner of one that lost entries gets them again", () => {
    const cluster = new TestCluster(["a", "b"], { founders: ["a"] }).start();
    cluster.elect("a");
    cluster.change("a", { kind: "add", node: B, replaces: null });
    cluster.propose("a", "x");
    cluster.settle();
    expect(cluster.raft("b").status().membership.learners).toHaveLength(1);
    cluster.compact("b", 2);
    cluster.crash("b");
    cluster.node("b").disk.rot(1);
    cluster.node("b").disk.state = { ...cluster.node("b").disk.state, index: index(2), term: term(1) };
    cluster.restart("b");
    cluster.tick(20);
    expect(cluster.raft("b").status().recoveringTo).toBe(null);
  });

  test("that has grown since its state was stored has others to get them from", () => {
    const cluster = new TestCluster(["a", "b", "c"], { founders: ["a"] }).start();
    cluster.elect("a");
    for (const node of [B, C]) {
      cluster.change("a", { kind: "add", node, replaces: null });
      cluster.tick(6);
    }
    cluster.propose("a", "x");
    cluster.settle();
    cluster.crash("a");
    cluster.node("a").disk.rot(1);
    expect(cluster.node("a").disk.state.membership).toEqual(founding([A]));
    cluster.restart("a");
    expect(cluster.raft("a").status().recoveringTo).not.toBe(null);
    cluster.tick(60);
    expect(cluster.raft("a").status().recoveringTo).toBe(null);
  });

  test("that has shrunk to this node since has nobody", () => {
    const cluster = new TestCluster(["a", "b"]).start();
    cluster.elect("a");
    cluster.change("a", { kind: "remove", node: B });
    cluster.tick(6);
    cluster.propose("a", "x");
    cluster.settle();
    cluster.crash("a");
    cluster.node("a").disk.rot(1);
    expect(() => cluster.restart("a")).toThrow(/no other node has it/);
  });
});

test("pitfall 19: a hand-over ends when its target is removed", () => {
  const cluster = new TestCluster(["a", "b", "c"]).start();
  cluster.elect("a");
  cluster.node("c").diskHeld = true;
  cluster.propose("a", "x");
  cluster.settle();
  expect(cluster.raft("a").transferLeadership(C)).toEqual({ ok: true });
  cluster.change("a", { kind: "remove", node: C });
  cluster.settle();
  expect(cluster.raft("a").status().membership).toEqual(founding([A, B]));
  cluster.tick(1);
  expect(cluster.raft("a").transferring).toBe(false);
});

test("a member cannot replace another one: it is said, not passed over", () => {
  const ABC = founding([A, B, C]);
  const replace = { kind: "add", node: B, replaces: C } as const;
  expect(stepped(ABC, replace)).toMatchObject({ ok: false, code: "MEMBERSHIP_INVALID" });
  expect(isMade(ABC, replace)).toBe(false);
  const joining = { ...founding([A, C]), learners: [{ id: B, replaces: null }] };
  expect(stepped(joining, replace)).toMatchObject({ ok: false, code: "MEMBERSHIP_INVALID" });
  // Asked again, while it is under way and when it is done, it does no harm.
  const underWay = { ...founding([A, C]), learners: [{ id: B, replaces: C }] };
  expect(stepped(underWay, replace)).toEqual({ ok: true, membership: underWay });
  expect(isMade(underWay, replace)).toBe(true);
  expect(isMade(founding([A, B]), replace)).toBe(true);
});
