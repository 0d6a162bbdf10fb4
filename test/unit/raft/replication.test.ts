import { index, term } from "@openclaw/core/ids.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { PROPOSAL_BYTES_MAX } from "@openclaw/core/raft/raft.ts";
import { describe, expect, test } from "vitest";
import { bytes, entry, logOf, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

const three = (raft: ConstructorParameters<typeof TestCluster>[1] = {}): TestCluster =>
  new TestCluster(["a", "b", "c"], raft).start();

/** A group whose disks hold these logs, by terms. */
function grown(logs: Readonly<Record<string, readonly number[]>>, currentTerm: number): TestCluster {
  const cluster = new TestCluster(Object.keys(logs));
  for (const [name, terms] of Object.entries(logs)) {
    cluster.node(name).disk.append({ term: term(currentTerm), vote: null, commit: index(0) }, logOf(...terms));
  }
  return cluster;
}

const terms = (entries: readonly Entry[]): readonly number[] => entries.map((item) => item.term);

describe("replication", () => {
  test("what a leader takes is applied by all, in order (thesis §3.5)", () => {
    const cluster = three();
    cluster.elect("a");
    for (const data of ["x", "y", "z"]) cluster.propose("a", data);
    cluster.settle();
    expect(cluster.checks.history).toEqual(["x", "y", "z"]);
    expect(cluster.nodes.map(({ applied }) => applied.index)).toEqual([4, 4, 4]);
  });

  test("a follower refuses a proposal with NOT_LEADER, and forwards it (thesis §6.2)", () => {
    const cluster = three();
    expect(cluster.raft("b").forward(bytes("early"))).toBe(false);
    cluster.elect("a");
    expect(cluster.raft("b").propose(bytes("x"))).toEqual({ ok: false, code: "NOT_LEADER" });
    expect(cluster.raft("b").forward(bytes("x"))).toBe(true);
    cluster.settle();
    expect(cluster.node("a").forwarded).toEqual(["x"]);
    expect(cluster.raft("a").forward(bytes("y"))).toBe(false);
  });

  test("R3: what is proposed before a Ready leaves as one write and one append a follower", () => {
    const cluster = three();
    const raft = cluster.elect("a");
    for (let count = 0; count < 100; count++) raft.propose(bytes("x"));
    const ready = raft.ready();
    expect(ready.entries).toHaveLength(100);
    expect(ready.messages.map((message) => message.kind)).toEqual(["append", "append"]);
  });

  test("appends follow each other without waiting for answers, up to the window (thesis §10.2.1)", () => {
    const cluster = three({ raft: { maxInflight: 4, maxBatchBytes: 18 } });
    cluster.elect("a");
    for (let count = 0; count < 10; count++) cluster.propose("a", `x${count}`);
    expect(cluster.on("append").filter(({ to }) => to === "b")).toHaveLength(4);
    cluster.settle();
    expect(cluster.node("b").applied.index).toBe(11);
  });

  test("a lost append is found by the next heartbeat, a full window of them as well (thesis §3.5)", () => {
    const cluster = three({ raft: { maxInflight: 2, maxBatchBytes: 18 } });
    cluster.elect("a");
    for (let count = 0; count < 5; count++) cluster.propose("a", `x${count}`);
    cluster.drop();
    cluster.tick(4);
    expect(cluster.nodes.map(({ applied }) => applied.index)).toEqual([6, 6, 6]);
  });

  test("X1: more than maxUncommittedBytes is refused OVERLOADED, and taken cluster once it is committed", () => {
    const cluster = three({ raft: { maxUncommittedBytes: 100 } });
    const raft = cluster.elect("a");
    expect(raft.propose(bytes("x".repeat(90))).ok).toBe(true);
    expect(raft.propose(bytes("x"))).toEqual({ ok: false, code: "OVERLOADED" });
    cluster.settle();
    expect(raft.propose(bytes("x".repeat(500))).ok).toBe(true);
  });

  test("X1: what is committed by others but not on our disk counts as waiting, too", () => {
    const cluster = three({ raft: { maxUncommittedBytes: 100 } });
    const raft = cluster.elect("a");
    cluster.node("a").diskHeld = true;
    cluster.propose("a", "x".repeat(90));
    cluster.settle();
    expect(raft.status().commit).toBe(2);
    expect(raft.propose(bytes("x"))).toEqual({ ok: false, code: "OVERLOADED" });
    cluster.completeWrite("a");
    expect(raft.propose(bytes("x")).ok).toBe(true);
  });

  test("a proposal that no frame could carry is a bug of the caller", () => {
    const raft = three().elect("a");
    expect(() => raft.propose(new Uint8Array(PROPOSAL_BYTES_MAX + 1))).toThrow("fits a frame");
  });
});

describe("conflicts", () => {
  // Paper figure 7: the leader of term 8 and the six followers it may meet.
  const LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  test.each([
    ["misses one entry", [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ["misses many", [1, 1, 1, 4]],
    ["has one too many", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ["has two of a later term", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ["has a run of its own term 4", [1, 1, 1, 4, 4, 4, 4]],
    ["has terms 2 and 3", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
    ["is empty", []],
  ])("paper figure 7: a follower that %s ends with the leader's log (thesis §3.5)", (_, log) => {
    const cluster = grown({ a: LEADER, b: LEADER, f: log }, 7).start();
    cluster.elect("a");
    cluster.propose("a", "x");
    cluster.settle();
    cluster.tick(2);
    const expected = [...LEADER, 8, 8];
    expect(terms(cluster.node("f").disk.entries)).toEqual(expected);
    expect(terms(cluster.node("a").disk.entries)).toEqual(expected);
    expect(cluster.node("f").applied.index).toBe(12);
  });

  test("a conflict is found a term at a time, not an entry at a time (thesis §3.5)", () => {
    const long = (ofTerm: number): readonly number[] => Array.from({ length: 1_000 }, () => ofTerm);
    const cluster = grown({ a: [1, ...long(3)], b: [1, ...long(3)], f: [1, ...long(2)] }, 3).start();
    let rejections = 0;
    const step = cluster.raft("a").step.bind(cluster.raft("a"));
    cluster.raft("a").step = (message) => {
      if (message.kind === "appendRejected") rejections++;
      step(message);
    };
    cluster.elect("a");
    cluster.tick(2);
    expect(cluster.node("f").applied.index).toBe(1_002);
    expect(rejections).toBeLessThanOrEqual(3);
  });

  test("pitfall 20: an entry of an older term is not committed by counting (paper figure 8, thesis §3.6.2)", () => {
    // (c) of the figure, before s1's own entry of term 4 leaves: s1 leads, and brings (2, term 2) to a majority.
    const cluster = grown({ s1: [1, 2], s2: [1, 2], s3: [1], s4: [1], s5: [1, 3] }, 3).start();
    cluster.isolate("s4");
    cluster.isolate("s5");
    const raft = cluster.raft("s1");
    while (raft.role !== "leader") {
      raft.tick();
      cluster.settle(({ kind }) => kind !== "append");
    }
    cluster.drop();
    for (const to of ["s2", "s3"]) {
      cluster.step({
        kind: "append",
        from: nodeId("s1"),
        to: nodeId(to),
        term: raft.term,
        prevIndex: index(1),
        prevTerm: term(1),
        entries: [entry(2, 2, "2@2")],
        commit: index(0),
      });
    }
    cluster.settle(({ kind }) => kind === "appendAccepted");
    expect(raft.status().progress.filter(({ match }) => match >= 2)).toHaveLength(3);
    expect(raft.status().commit).toBe(0);
    // (d): s5 may still win and overwrite it. (e): an entry of term 4 on a majority ends that.
    cluster.tick(3, ["s1"]);
    expect(raft.status().commit).toBe(3);
  });

  test("a delayed append does not cut off what a later one brought (paper §5.3, thesis §3.5)", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.propose("a", "x");
    const [delayed] = cluster.on("append").filter(({ to }) => to === "b");
    cluster.propose("a", "y");
    cluster.settle();
    if (delayed === undefined) throw new Error("no append");
    cluster.step(delayed);
    cluster.settle();
    expect(cluster.raft("b").status().lastIndex).toBe(3);
    expect(cluster.node("b").disk.entries).toHaveLength(3);
  });

  test("a commit covers what the append has checked, not what happens to follow it (thesis §3.5)", () => {
    // c holds an old leader's entries above the one that the append brings.
    const cluster = grown({ a: [1, 3, 3], b: [1, 3, 3], c: [1, 2, 2, 2] }, 3).start();
    cluster.step({
      kind: "append",
      from: nodeId("a"),
      to: nodeId("c"),
      term: term(3),
      prevIndex: index(0),
      prevTerm: term(0),
      entries: logOf(1),
      commit: index(3),
    });
    expect(cluster.raft("c").status()).toMatchObject({ commit: 1, lastIndex: 4 });
  });

  test("pitfall 13: an append from prevIndex 0, or from below the base, appends nothing twice after compaction", () => {
    const cluster = three();
    cluster.elect("a");
    for (const data of ["x", "y", "z"]) cluster.propose("a", data);
    cluster.settle();
    const all = cluster.node("b").disk.entries.slice();
    cluster.compact("b", 1);
    expect(cluster.raft("b").status()).toMatchObject({ firstIndex: 4, lastIndex: 4 });
    for (const count of [1, 2, 4]) {
      cluster.step({
        kind: "append",
        from: nodeId("a"),
        to: nodeId("b"),
        term: term(1),
        prevIndex: index(0),
        prevTerm: term(0),
        entries: all.slice(0, count),
        commit: index(4),
      });
      expect(cluster.on("appendAccepted").map(({ match }) => match)).toEqual([4]);
      cluster.drop();
    }
    // With news at its end it brings the news only.
    cluster.propose("a", "w");
    cluster.drop();
    cluster.step({
      kind: "append",
      from: nodeId("a"),
      to: nodeId("b"),
      term: term(1),
      prevIndex: index(0),
      prevTerm: term(0),
      entries: [...all, entry(5, 1, "w")],
      commit: index(4),
    });
    cluster.settle(({ from }) => from === "b");
    expect(cluster.raft("b").status()).toMatchObject({ firstIndex: 4, lastIndex: 5 });
    expect(cluster.node("b").disk.entries.map((item) => item.index)).toEqual([4, 5]);
  });

  test("two leaders of one term are a bug, and the node stops", () => {
    const cluster = three();
    cluster.elect("a");
    expect(() =>
      cluster.step({
        kind: "append",
        from: nodeId("b"),
        to: nodeId("a"),
        term: term(1),
        prevIndex: index(0),
        prevTerm: term(0),
        entries: [],
        commit: index(0),
      }),
    ).toThrow("leads in term 1");
  });
});

describe("X1: a follower whose state is slow", () => {
  test("takes no more than its log may hold unapplied, and everything when it has caught up", () => {
    const cluster = new TestCluster(["a", "b", "c"], { raft: { maxUnappliedBytes: 1_000 } }).start();
    cluster.elect("a");
    cluster.node("c").applyHeld = true;
    for (let i = 0; i < 50; i++) {
      cluster.propose("a", `${i}`.padStart(100, "x"));
      cluster.settle();
    }
    cluster.tick(10);
    expect(cluster.raft("c").status().lastIndex).toBeLessThan(15);
    expect(cluster.raft("a").status().commit).toBe(51);
    cluster.node("c").applyHeld = false;
    for (let i = 0; i < 30; i++) cluster.tick();
    expect(cluster.node("c").applied.index).toBe(51);
  });
});
