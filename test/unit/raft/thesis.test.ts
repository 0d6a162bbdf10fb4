/**
 * Sentences of the thesis, a test for each few of them that no other test holds. The section ends a test's name, here as
 * in the other suites: `grep thesis` finds them all.
 */
import { index, term } from "@openclaw/core/ids.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";
import { expect, test } from "vitest";
import { campaign, entry, logOf, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";
import type { TestNode } from "../../simulation/raft/test-node.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const A = nodeId("a");
const B = nodeId("b");
const D = nodeId("d");

const three = (): TestCluster => new TestCluster(["a", "b", "c"]).start();

/** From b, unless told otherwise, to a. */
const envelope = (ofTerm: number, from = B) => ({ from, to: A, term: term(ofTerm) });

const append = (
  ofTerm: number,
  prev: number,
  prevTerm: number,
  entries: readonly Entry[],
  commit = 0,
): RaftMessage => ({
  kind: "append",
  ...envelope(ofTerm),
  prevIndex: index(prev),
  prevTerm: term(prevTerm),
  entries,
  commit: index(commit),
});

function heartbeat(ofTerm: number): RaftMessage {
  return {
    kind: "heartbeat",
    ...envelope(ofTerm),
    match: index(0),
    matchTerm: term(0),
    commit: index(0),
    context: 0,
    mark: null,
  };
}

/** a, alone with its messages, in the role named, in term 2. */
function inRole(role: "follower" | "candidate" | "leader"): TestCluster {
  const cluster = new TestCluster(["a", "b", "c"]);
  for (const node of cluster.nodes) node.disk.hardState = { term: term(1), vote: null, commit: index(0) };
  cluster.start();
  if (role === "follower") cluster.step(heartbeat(2));
  else {
    for (let ticks = 0; ticks < 20 && cluster.raft("a").role === "follower"; ticks++) cluster.raft("a").tick();
    cluster.settle(({ kind }) => kind === "preVote" || kind === "preVoteResponse");
  }
  if (role === "leader") cluster.settle(({ kind }) => kind === "vote" || kind === "voteResponse");
  cluster.settle(() => false);
  cluster.drop();
  expect(cluster.raft("a")).toMatchObject({ role, term: 2 });
  return cluster;
}

const ROLES = ["follower", "candidate", "leader"] as const;

test.each(ROLES)("a %s that sees a larger term takes it over and follows (thesis §3.3)", (role) => {
  for (const message of [append(3, 0, 0, []), heartbeat(3)]) {
    const cluster = inRole(role);
    cluster.step(message);
    expect(cluster.raft("a")).toMatchObject({ role: "follower", term: 3, leader: "b" });
  }
  const answered = inRole(role);
  answered.step({ kind: "heartbeatResponse", ...envelope(3), context: 0 });
  expect(answered.raft("a")).toMatchObject({ role: "follower", term: 3, leader: null });
});

test.each(ROLES)(
  "a %s refuses a request of an old term, and its sender learns the current one (thesis §3.3)",
  (role) => {
    for (const message of [
      append(1, 0, 0, [entry(1, 1, "old")]),
      heartbeat(1),
      campaign("vote", "b", "a", 1, [9, 9]),
    ]) {
      const cluster = inRole(role);
      const { lastIndex } = cluster.raft("a").status();
      cluster.step(message);
      cluster.settle(() => false);
      expect(cluster.raft("a")).toMatchObject({ role, term: 2 });
      expect(cluster.raft("a").status().lastIndex).toBe(lastIndex);
      expect(cluster.drop()).toMatchObject([{ from: "a", to: "b", term: 2 }]);
    }
  },
);

test("who hears its leader stays a follower, however long it takes (thesis §3.4)", () => {
  const cluster = three();
  cluster.elect("a");
  const { term: before } = cluster.raft("a");
  cluster.tick(500);
  expect(cluster.leaders()).toEqual(["a"]);
  expect(cluster.raft("c").term).toBe(before);
});

test("whoever wins tells everybody at once, before they time out (thesis §3.4)", () => {
  const cluster = inRole("candidate");
  cluster.step({ kind: "voteResponse", ...envelope(2), granted: true });
  expect(cluster.raft("a").role).toBe("leader");
  expect(cluster.on("append").map(({ to }) => to)).toEqual(["b", "c"]);
});

test("a candidate gives way to a leader of its own term, and not to one of an older (thesis §3.4)", () => {
  const cluster = inRole("candidate");
  cluster.step(heartbeat(1));
  expect(cluster.raft("a").role).toBe("candidate");
  cluster.step(heartbeat(2));
  expect(cluster.raft("a")).toMatchObject({ role: "follower", leader: "b", term: 2 });
});

test("a candidate that neither wins nor loses begins a new election in time (thesis §3.4)", () => {
  const cluster = inRole("candidate");
  for (let ticks = 0; ticks < 20; ticks++) {
    cluster.tick(1, ["a"]);
    if (cluster.leaders().length > 0) break;
  }
  expect(cluster.raft("a")).toMatchObject({ role: "leader", term: 3 });
});

test("with timeouts drawn at random, split votes end (thesis §3.4)", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new SeededRandom(seed);
    const cluster = new TestCluster(["a", "b", "c", "d"], { random: () => random.unit() }).start();
    let ticks = 0;
    while (cluster.leaders().length === 0 && ticks++ < 200) {
      for (const { raft } of cluster.nodes) raft?.tick();
      // Everybody's messages are under way at once, which is what splits votes.
      for (let hop = 0; hop < 2; hop++) {
        for (const message of cluster.drop()) cluster.step(message);
        cluster.settle(() => false);
      }
    }
    expect(cluster.leaders(), `seed ${seed}`).toHaveLength(1);
  }
});

test("an append names the entry before its own, and is refused where that is not (thesis §3.5)", () => {
  const cluster = three();
  cluster.elect("a");
  cluster.propose("a", "x");
  expect(cluster.on("append")).toMatchObject([
    { prevIndex: 1, prevTerm: 1 },
    { prevIndex: 1, prevTerm: 1 },
  ]);
  const alone = inRole("follower");
  alone.step(append(2, 5, 2, [entry(6, 2, "x")]));
  alone.settle(() => false);
  expect(alone.on("appendRejected")).toMatchObject([{ prevIndex: 5 }]);
  expect(alone.raft("a").status().lastIndex).toBe(0);
});

test("a commit covers all that is before it, also what other leaders made (thesis §3.5)", () => {
  const cluster = new TestCluster(["a", "b", "c"]);
  for (const name of ["a", "b"]) {
    cluster.node(name).disk.append({ term: term(3), vote: null, commit: index(0) }, logOf(1, 1, 2, 3));
  }
  cluster.start().elect("a");
  cluster.tick(2);
  expect(cluster.checks.history).toEqual(["1@1", "2@1", "3@2", "4@3"]);
  for (const { applied } of cluster.nodes) expect(applied.index).toBe(5);
});

test("a leader tries for ever, and a follower that was down for long catches up (thesis §3.5)", () => {
  const cluster = three();
  cluster.elect("a");
  cluster.crash("c");
  for (let count = 0; count < 300; count++) cluster.propose("a", `${count}`);
  cluster.tick(100);
  cluster.restart("c");
  cluster.tick(3);
  expect(cluster.node("c").applied.index).toBe(cluster.node("a").applied.index);
});

test("a leader changes none of its own entries (thesis §3.5, figure 3.2: Leader Append-Only)", () => {
  const longer = logOf(1, 1, 1, 1, 1);
  const cluster = new TestCluster(["a", "b", "c"]);
  cluster.node("a").disk.append({ term: term(2), vote: null, commit: index(0) }, logOf(1, 2));
  cluster.node("b").disk.append({ term: term(1), vote: null, commit: index(0) }, longer);
  cluster.start().elect("a");
  cluster.propose("a", "x");
  cluster.settle();
  cluster.tick(2);
  const ofA = (node: TestNode): readonly number[] => node.disk.entries.map((held) => held.term);
  expect(ofA(cluster.node("a")).slice(0, 2)).toEqual([1, 2]);
  expect(ofA(cluster.node("b"))).toEqual(ofA(cluster.node("a")));
});

test("a request that comes twice does no harm (thesis §3.7)", () => {
  const cluster = inRole("follower");
  const twice = append(2, 0, 0, [entry(1, 2, "x"), entry(2, 2, "y")]);
  for (let count = 0; count < 2; count++) {
    cluster.step(twice);
    cluster.settle(() => false);
    expect(cluster.raft("a").status()).toMatchObject({ lastIndex: 2, commit: 0 });
  }
  expect(cluster.on("appendAccepted").map(({ match }) => match)).toEqual([2, 2]);
  const asked = new TestCluster(["a", "b", "c"]).start();
  for (let count = 0; count < 2; count++) asked.step(campaign("vote", "c", "a", 3, [9, 9]));
  asked.settle(() => false);
  expect(asked.on("voteResponse").map(({ granted }) => granted)).toEqual([true, true]);
});

test("the commit index may be forgotten: it is learned again (thesis §3.8)", () => {
  const cluster = three();
  cluster.elect("a");
  cluster.propose("a", "x");
  cluster.settle();
  for (const { id } of cluster.nodes) cluster.crash(id);
  for (const node of cluster.nodes) node.disk.hardState = { ...node.disk.hardState, commit: index(0) };
  cluster.start().elect("b");
  cluster.tick(2);
  for (const { raft, applied } of cluster.nodes) {
    expect(raft?.status().commit).toBe(3);
    expect(applied.index).toBe(3);
  }
});

test("leader and follower go by a new configuration as soon as it is in their logs (thesis §4.1)", () => {
  const cluster = new TestCluster(["a", "b", "c", "d"], { founders: ["a", "b", "c"] }).start();
  cluster.elect("a");
  cluster.change("a", { kind: "add", node: D, replaces: null });
  expect(cluster.raft("a").status()).toMatchObject({ commit: 1, membership: { learners: [{ id: "d" }] } });
  for (const message of cluster.drop(({ to }) => to === "b")) cluster.step(message);
  expect(cluster.raft("b").status()).toMatchObject({ commit: 1, membership: { learners: [{ id: "d" }] } });
  expect(cluster.raft("b").status().committedMembership.learners).toEqual([]);
});

test("a server answers whoever leads, also outside of its own configuration (thesis §4.1)", () => {
  const cluster = new TestCluster(["a", "b", "c"], { founders: ["a", "c"] }).start();
  cluster.step(append(2, 0, 0, [entry(1, 2, "x")]));
  cluster.settle(() => false);
  expect(cluster.raft("a").leader).toBe("b");
  expect(cluster.on("appendAccepted")).toMatchObject([{ to: "b", match: 1 }]);
});

test("a leader that is in no configuration any more does not count itself (thesis §4.2.2)", () => {
  const cluster = new TestCluster(["a", "b", "c", "d"]).start();
  cluster.elect("a");
  cluster.change("a", { kind: "remove", node: A });
  // The joint configuration, entry 2, is acknowledged by all; the one that ends it by b alone.
  cluster.settle(
    (sent) => sent.kind === "append" || (sent.kind === "appendAccepted" && (sent.match <= 2 || sent.from === B)),
  );
  expect(cluster.raft("a").status()).toMatchObject({
    role: "leader",
    membership: { voters: ["b", "c", "d"], outgoing: [] },
  });
  expect(cluster.node("b").disk.lastIndex).toBe(3);
  const { commit, lastIndex } = cluster.raft("a").status();
  expect(commit).toBeLessThan(lastIndex);
  cluster.settle();
  expect(cluster.raft("a").role).toBe("follower");
});

test("a follower says who leads, so that a client can go there (thesis §6.2)", () => {
  const cluster = three();
  cluster.elect("b");
  expect(cluster.raft("a").status().leader).toBe("b");
  expect(cluster.raft("a").transferLeadership(A)).toMatchObject({ code: "NOT_LEADER", details: "b leads" });
});
