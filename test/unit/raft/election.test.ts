import { index, term } from "@openclaw/core/ids.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { describe, expect, test } from "vitest";
import { campaign, logOf, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

const three = (): TestCluster => new TestCluster(["a", "b", "c"]).start();

describe("election", () => {
  test("a node that hears no leader campaigns, and a majority elects it (thesis §3.4)", () => {
    const cluster = three();
    cluster.tick(10);
    expect(cluster.leaders()).toEqual(["a"]);
    expect(cluster.ids.map((id) => cluster.raft(id).leader)).toEqual(["a", "a", "a"]);
    expect(cluster.raft("c").term).toBe(1);
  });

  test("the timeout is drawn anew from 10 to 20 ticks (thesis §3.4)", () => {
    for (const [random, ticks] of [
      [0, 10],
      [0.5, 15],
      [0.99, 19],
    ] as const) {
      const cluster = new TestCluster(["a", "b", "c"], { random: () => random }).start();
      for (let count = 1; count < ticks; count++) cluster.raft("a").tick();
      expect(cluster.raft("a").role).toBe("follower");
      cluster.raft("a").tick();
      expect(cluster.raft("a").role).toBe("preCandidate");
    }
  });

  test("a group of one elects itself at its first tick", () => {
    const cluster = new TestCluster(["a"]).start();
    cluster.tick(1);
    expect(cluster.leaders()).toEqual(["a"]);
  });

  test("one vote a term, the first who asks (paper §5.2, thesis §3.4)", () => {
    const cluster = three();
    const vote = (from: string): RaftMessage => campaign("vote", from, "c", 1, [0, 0]);
    cluster.step(vote("a"));
    cluster.step(vote("b"));
    cluster.step(vote("a"));
    cluster.completeWrite("c");
    expect(cluster.on("voteResponse").map(({ to, granted }) => [to, granted])).toEqual([
      ["a", true],
      ["b", false],
      ["a", true],
    ]);
  });

  test("no vote for a log that is behind (paper §5.4.1, thesis §3.6.1)", () => {
    const votes = [
      { lastIndex: 2, lastTerm: 3, granted: false },
      { lastIndex: 9, lastTerm: 2, granted: false },
      { lastIndex: 3, lastTerm: 3, granted: true },
      { lastIndex: 1, lastTerm: 4, granted: true },
    ];
    for (const { lastIndex, lastTerm, granted } of votes) {
      const cluster = new TestCluster(["a", "b", "c"]);
      cluster.node("c").disk.append({ term: term(3), vote: null, commit: index(0) }, logOf(1, 2, 3));
      cluster.start();
      cluster.step(campaign("vote", "a", "c", 5, [lastIndex, lastTerm]));
      cluster.completeWrite("c");
      expect(cluster.on("voteResponse").map((answer) => answer.granted)).toEqual([granted]);
    }
  });

  test("R2: a vote waits for its fsync, and so do the candidate's own vote and its requests (thesis §3.8)", () => {
    const cluster = three();
    cluster.node("a").diskHeld = true;
    cluster.node("b").diskHeld = true;
    cluster.node("c").diskHeld = true;
    cluster.tick(10, ["a"]);
    expect(cluster.raft("a").role).toBe("candidate");
    expect(cluster.on("vote")).toEqual([]);
    cluster.completeWrite("a");
    cluster.settle();
    expect(cluster.raft("b").term).toBe(1);
    expect(cluster.on("voteResponse")).toEqual([]);
    expect(cluster.raft("a").role).toBe("candidate");
    cluster.completeWrite("b");
    cluster.settle();
    expect(cluster.raft("a").role).toBe("leader");
  });

  test("pitfall 9: a crash before the vote is durable leaves no trace of it (thesis §3.8)", () => {
    const cluster = three();
    cluster.node("c").diskHeld = true;
    cluster.tick(10, ["a"]);
    cluster.crash("c");
    const { vote, term: stored } = cluster.node("c").disk.hardState;
    expect([vote, stored]).toEqual([null, 0]);
    expect(cluster.on("voteResponse").filter(({ from }) => from === "c")).toEqual([]);
  });

  test("R1: a candidate that loses steps back, and its term is kept (thesis §3.4)", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.isolate("c");
    cluster.propose("a", "x");
    cluster.settle();
    cluster.crash("a");
    cluster.heal();
    // c lacks x: b refuses it, and is elected in its own time.
    for (let count = 0; count < 30; count++) cluster.tick();
    expect(cluster.leaders()).toEqual(["b"]);
  });
});

describe("R1: PreVote", () => {
  test("pitfall 7: a node that is cut off campaigns for ever, and its term stays (thesis §9.6)", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.isolate("c");
    cluster.tick(20_000, ["c"]);
    expect(cluster.raft("c").term).toBe(1);
    cluster.heal();
    cluster.drop();
    cluster.tick(3);
    expect(cluster.leaders()).toEqual(["a"]);
    expect(cluster.raft("a").term).toBe(1);
    expect(cluster.raft("c").leader).toBe("a");
  });

  test("pitfall 7: whoever hears its leader ignores pre-votes and votes, whatever their term (thesis §4.2.3)", () => {
    const cluster = three();
    cluster.elect("a");
    for (const kind of ["preVote", "vote"] as const) {
      for (const to of ["a", "b"]) {
        for (let ofTerm = 2; ofTerm < 1_002; ofTerm++) {
          cluster.step(campaign(kind, "c", to, ofTerm, [99, 99]));
        }
      }
    }
    expect(cluster.drop()).toEqual([]);
    expect(cluster.raft("a").term).toBe(1);
    expect(cluster.raft("b").term).toBe(1);
  });

  test("a pre-vote changes neither term nor vote of the voter (thesis §9.6)", () => {
    const cluster = three();
    cluster.step({
      kind: "preVote",
      from: nodeId("a"),
      to: nodeId("b"),
      term: term(7),
      lastIndex: index(0),
      lastTerm: term(0),
    });
    expect(cluster.raft("b").term).toBe(0);
    expect(cluster.on("preVoteResponse")).toMatchObject([{ granted: true, term: 7 }]);
    expect(cluster.node("b").writes).toEqual([]);
  });

  test("pitfall 5: a node with a higher term and a shorter log does not deadlock the group", () => {
    const cluster = new TestCluster(["a", "b", "c"]);
    for (const name of ["a", "b"]) {
      cluster.node(name).disk.append({ term: term(2), vote: null, commit: index(0) }, logOf(1, 2));
    }
    cluster.node("c").disk.append({ term: term(9), vote: nodeId("c"), commit: index(0) }, logOf(1));
    cluster.start();
    cluster.node("b").raft = null;
    cluster.tick(100);
    expect(cluster.leaders()).toEqual(["a"]);
    expect(cluster.raft("a").term).toBeGreaterThanOrEqual(10);
  });

  test("pitfall 5: a leader that meets a higher term gives way (thesis §3.3)", () => {
    const cluster = new TestCluster(["a", "b", "c"]);
    cluster.node("c").disk.append({ term: term(9), vote: nodeId("c"), commit: index(0) }, []);
    cluster.node("c").raft = null;
    for (const name of ["a", "b"]) cluster.restart(name);
    cluster.elect("a");
    expect(cluster.raft("a").term).toBe(1);
    cluster.restart("c");
    cluster.tick(40);
    expect(cluster.leaders()).toHaveLength(1);
    expect(cluster.raft("c").leader).toBe(cluster.leaders()[0]);
    expect(cluster.raft("c").term).toBeGreaterThan(9);
  });
});

describe("R1: CheckQuorum", () => {
  test("a leader that no majority answers steps down within two election timeouts (thesis §6.2)", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.isolate("a");
    cluster.tick(20, ["a"]);
    expect(cluster.raft("a").role).not.toBe("leader");
    expect(cluster.raft("a").term).toBe(1);
  });

  test("pitfall 8: a leader that is heard but hears nobody steps down", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.cutFrom("b", "a");
    cluster.cutFrom("c", "a");
    cluster.tick(60);
    expect(cluster.leaders()).toHaveLength(1);
    expect(cluster.leaders()).not.toEqual(["a"]);
  });

  test("pitfall 8: a broken link between the leader and one follower deposes nobody", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.cutFrom("a", "c");
    cluster.cutFrom("c", "a");
    cluster.tick(200);
    expect(cluster.leaders()).toEqual(["a"]);
    expect(cluster.raft("a").term).toBe(1);
  });

  test("a leader with one of two followers stays", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.crash("c");
    cluster.tick(100);
    expect(cluster.leaders()).toEqual(["a"]);
  });
});

describe("strangers", () => {
  test("pitfall 18: a stranger gets a vote and is followed, for our membership may be the stale one (thesis §4.1)", () => {
    const cluster = three();
    cluster.step(campaign("vote", "z", "c", 1, [0, 0]));
    cluster.completeWrite("c");
    expect(cluster.on("voteResponse")).toMatchObject([{ to: "z", granted: true }]);
    cluster.step({
      kind: "heartbeat",
      from: nodeId("z"),
      to: nodeId("c"),
      term: term(1),
      match: index(0),
      matchTerm: term(0),
      commit: index(0),
      context: 0,
      mark: null,
    });
    expect(cluster.raft("c").leader).toBe("z");
  });

  test("a stranger's votes and acknowledgements do not count, and raise no term", () => {
    const cluster = three();
    cluster.node("a").raft?.tick();
    for (let count = 0; count < 30; count++) cluster.raft("a").tick();
    const answer = (from: string): RaftMessage => ({
      kind: "preVoteResponse",
      from: nodeId(from),
      to: nodeId("a"),
      term: term(1),
      granted: true,
    });
    cluster.step(answer("y"));
    cluster.step(answer("z"));
    expect(cluster.raft("a").role).toBe("preCandidate");
    cluster.step({ kind: "heartbeatResponse", from: nodeId("z"), to: nodeId("a"), term: term(99), context: 0 });
    expect(cluster.raft("a").term).toBe(0);
  });

  test("a message for somebody else is ignored", () => {
    const cluster = three();
    cluster.raft("b").step(campaign("vote", "a", "c", 5, [0, 0]));
    expect(cluster.raft("b").term).toBe(0);
  });
});
