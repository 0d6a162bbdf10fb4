import { index, term } from "@openclaw/core/ids.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";
import { describe, expect, test } from "vitest";
import { entry, logOf, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

const append = (
  ofTerm: number,
  from: string,
  prev: readonly [number, number],
  entries: readonly Entry[],
): RaftMessage => ({
  kind: "append",
  from: nodeId(from),
  to: nodeId("c"),
  term: term(ofTerm),
  prevIndex: index(prev[0]),
  prevTerm: term(prev[1]),
  entries,
  commit: index(0),
});

describe("R2: what is said waits for the disk", () => {
  test("R2: a leader's append leaves before its own fsync, a follower's answer only after its own (thesis §10.2.1)", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    for (const node of cluster.nodes) node.diskHeld = true;
    cluster.propose("a", "x");
    expect(cluster.on("append")).toHaveLength(2);
    cluster.settle();
    expect(cluster.node("b").writes).toHaveLength(1);
    expect(cluster.on("appendAccepted")).toEqual([]);
    cluster.completeWrite("b");
    expect(cluster.on("appendAccepted")).toMatchObject([{ from: "b", match: 2 }]);
  });

  test("R2: a leader's own match moves with its own disk only", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const raft = cluster.elect("a");
    cluster.node("a").diskHeld = true;
    cluster.propose("a", "x");
    cluster.crash("c");
    cluster.settle();
    // b has it, a does not: no majority.
    expect(raft.status().commit).toBe(1);
    cluster.completeWrite("a");
    expect(raft.status().commit).toBe(2);
  });

  test("thesis §10.2.1: two followers commit while the leader's disk is slow", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const raft = cluster.elect("a");
    cluster.node("a").diskHeld = true;
    cluster.propose("a", "x");
    cluster.settle();
    expect(raft.status().commit).toBe(2);
  });

  test("pitfall 10: a single voter commits nothing that is not durable", () => {
    const cluster = new TestCluster(["a"]).start();
    cluster.tick(1);
    cluster.node("a").diskHeld = true;
    cluster.propose("a", "x");
    cluster.settle();
    expect(cluster.raft("a").status().commit).toBe(1);
    expect(cluster.checks.history).toEqual([]);
    cluster.crash("a");
    cluster.restart("a");
    cluster.tick(1);
    cluster.completeWrite("a");
    expect(cluster.leaders()).toEqual(["a"]);
    cluster.propose("a", "y");
    cluster.completeWrite("a");
    expect(cluster.checks.history).toEqual([]);
    while (cluster.node("a").writes.length > 0) cluster.completeWrite("a");
    expect(cluster.checks.history).toEqual(["y"]);
  });

  test("an answer without a write of its own waits for the writes in flight before it", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const node = cluster.node("c");
    node.diskHeld = true;
    cluster.step(append(1, "a", [0, 0], logOf(1, 1)));
    expect(node.writes).toHaveLength(1);
    // The same again: nothing to write, but nothing durable either.
    cluster.step(append(1, "a", [0, 0], logOf(1, 1)));
    expect(node.writes).toHaveLength(1);
    expect(cluster.on("appendAccepted")).toEqual([]);
    cluster.completeWrite("c");
    expect(cluster.on("appendAccepted").map(({ match }) => match)).toEqual([2, 2]);
    // With an idle disk it leaves at once.
    cluster.step(append(1, "a", [0, 0], logOf(1, 1)));
    expect(cluster.on("appendAccepted")).toHaveLength(3);
  });

  test("pitfall 11: a completion vouches for nothing that a later write in flight replaces", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const node = cluster.node("c");
    node.diskHeld = true;
    cluster.step(append(1, "a", [0, 0], logOf(1, 1, 1)));
    cluster.step(append(2, "b", [1, 1], [entry(2, 2, "2@2")]));
    // The very entries of the first write come back, in the log of a later leader.
    cluster.step(append(3, "a", [1, 1], [entry(2, 1, "2@1"), entry(3, 1, "3@1"), entry(4, 3, "4@3")]));
    expect(node.writes).toHaveLength(3);
    node.up.tick();
    cluster.completeWrite("c");
    // Disk: 1 1 1; to come: 1 2, then 1 1 1 3. (3, term 1) is in the log and on the disk, but will not stay there.
    const claims = [];
    for (const finish of [() => {}, () => cluster.completeWrite("c"), () => cluster.completeWrite("c")]) {
      finish();
      claims.push(cluster.on("appendAccepted").at(-1)?.match);
    }
    expect(claims).toEqual([3, 2, 4]);
    expect(node.disk.entries.map((item) => item.term)).toEqual([1, 1, 1, 3]);
  });

  test("pitfall 11: a new leader does not count its own entries by an old completion", () => {
    // c is to lead term 4 with writes of its follower days in flight; its own match may only follow the last of them.
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const node = cluster.node("c");
    node.diskHeld = true;
    cluster.step(append(1, "a", [0, 0], logOf(1, 1, 1)));
    cluster.step(append(2, "b", [1, 1], [entry(2, 2, "2@2")]));
    cluster.step(append(3, "a", [1, 1], [entry(2, 1, "2@1"), entry(3, 1, "3@1")]));
    cluster.crash("a");
    cluster.completeWrite("c");
    cluster.completeWrite("c");
    for (let ticks = 0; ticks < 40 && node.up.role !== "candidate"; ticks++) {
      node.up.tick();
      cluster.settle(({ from, to, kind }) => from !== "a" && to !== "a" && kind !== "append");
    }
    // The vote's write follows the third; both are needed before c leads, and then it has it all.
    while (node.writes.length > 0) cluster.completeWrite("c");
    cluster.settle(({ kind }) => kind === "voteResponse" || kind === "vote");
    expect(node.up.role).toBe("leader");
    expect(node.up.status().progress.find(({ id }) => id === "c")?.match).toBe(3);
  });

  test("completions out of order are a bug of the driver, and the node stops", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.node("c").diskHeld = true;
    cluster.step(append(1, "a", [0, 0], logOf(1)));
    cluster.step(append(1, "a", [1, 1], [entry(2, 1, "x")]));
    expect(() => cluster.raft("c").durable({ term: term(1), index: index(2) })).toThrow("in order");
  });

  test("pitfall 16: memory and disk hold the same entries after every truncation", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const node = cluster.node("c");
    const logs = [logOf(1, 1, 1), logOf(1, 2), logOf(1, 2, 3, 3), logOf(4)];
    for (const [at, log] of logs.entries()) {
      cluster.step(append(at + 1, "a", [0, 0], log));
      while (node.writes.length > 0) cluster.completeWrite("c");
      const memory = node.disk.entries.map((item) => node.up.termAt(item.index));
      expect(memory).toEqual(node.disk.entries.map((item) => item.term));
      expect(node.up.status().lastIndex).toBe(node.disk.lastIndex);
    }
  });
});

describe("restart from disk", () => {
  test("term, vote, log and applied state are what they were (thesis §3.8)", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    for (const data of ["x", "y", "z"]) cluster.propose("a", data);
    cluster.settle();
    cluster.compact("b", 2);
    cluster.crash("b");
    const raft = cluster.restart("b");
    expect(raft.status()).toMatchObject({ term: 1, lastIndex: 4, firstIndex: 3, recoveringTo: null, role: "follower" });
    cluster.tick(2);
    expect(cluster.node("b").applied.index).toBe(4);
    expect(cluster.leaders()).toEqual(["a"]);
  });

  test("all at once: nothing acknowledged is lost (thesis §3.8)", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.propose("a", "x");
    cluster.settle();
    for (const id of cluster.ids) cluster.crash(id);
    cluster.drop();
    cluster.start();
    cluster.tick(30);
    expect(cluster.leaders()).toHaveLength(1);
    expect(cluster.checks.history).toEqual(["x"]);
    expect(cluster.nodes.map(({ applied }) => applied.index)).toEqual([3, 3, 3]);
  });

  test("R8: a log behind the applied state is a bug of the driver", () => {
    const cluster = new TestCluster(["a"], { raft: { applied: index(5) } });
    expect(() => cluster.restart("a")).toThrow("R8");
  });
});
