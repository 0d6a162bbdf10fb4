import { index, term } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { describe, expect, test } from "vitest";
import { entry, logOf, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

/** a leads and has cut its log; c slept through it. */
function lagging(options: ConstructorParameters<typeof TestCluster>[1] = {}): TestCluster {
  const cluster = new TestCluster(["a", "b", "c"], options).start();
  cluster.elect("a");
  cluster.isolate("c");
  for (let count = 0; count < 20; count++) cluster.propose("a", `x${count}`);
  cluster.settle();
  cluster.compact("a");
  cluster.heal();
  return cluster;
}

const snapshot = (from: string, to: string, ofTerm: number, last: readonly [number, number]): RaftMessage => ({
  kind: "snapshot",
  from: nodeId(from),
  to: nodeId(to),
  term: term(ofTerm),
  meta: {
    index: index(last[0]),
    term: term(last[1]),
    membership: founding(["a", "b", "c"].map(nodeId)),
  },
});

describe("snapshot to a lagging follower", () => {
  test("a follower behind the log gets one snapshot, then entries (thesis §5.1)", () => {
    const cluster = lagging();
    cluster.tick(3);
    expect(cluster.node("a").snapshotsTo).toEqual(["c"]);
    expect(cluster.node("c").installs.map((meta) => meta.index)).toEqual([21]);
    cluster.propose("a", "after");
    cluster.settle();
    expect(cluster.node("c").applied.index).toBe(22);
    expect(cluster.node("c").disk.base.index).toBe(21);
  });

  test("it is listed once, however often it answers meanwhile", () => {
    const cluster = lagging({ snapshotsByHand: true });
    cluster.tick(8);
    expect(cluster.node("a").snapshotsTo).toEqual(["c"]);
    expect(cluster.leaders()).toEqual(["a"]);
  });

  test("a failed one is tried again when the follower answers", () => {
    const cluster = lagging({ snapshotsByHand: true });
    cluster.tick(2);
    cluster.raft("a").snapshotFailed(nodeId("c"));
    cluster.settle();
    expect(cluster.node("a").snapshotsTo).toEqual(["c"]);
    cluster.tick(2);
    expect(cluster.node("a").snapshotsTo).toEqual(["c", "c"]);
    cluster.sendSnapshot("a", "c");
    cluster.tick(2);
    expect(cluster.node("c").applied.index).toBe(21);
  });

  test("a follower that is down gets none until it answers", () => {
    const cluster = lagging();
    cluster.crash("c");
    cluster.tick(30);
    expect(cluster.node("a").snapshotsTo).toEqual([]);
    cluster.restart("c");
    cluster.tick(3);
    expect(cluster.node("c").applied.index).toBe(21);
  });

  test("a follower that is silent gets none, also when its window fills and the log is cut above it", () => {
    const cluster = new TestCluster(["a", "b", "c"], { raft: { maxInflight: 2, maxBatchBytes: 20 } }).start();
    cluster.elect("a");
    cluster.isolate("c");
    for (let count = 0; count < 20; count++) cluster.propose("a", `x${count}`);
    cluster.tick(25);
    cluster.compact("a");
    cluster.propose("a", "y");
    cluster.tick(5);
    expect(cluster.node("a").snapshotsTo).toEqual([]);
    cluster.heal();
    cluster.tick(4);
    expect(cluster.node("a").snapshotsTo).toEqual(["c"]);
    expect(cluster.node("c").applied.index).toBe(22);
  });

  test("pitfall 14: a second snapshot while one is on its way does no harm", () => {
    const cluster = lagging({ snapshotsByHand: true });
    cluster.tick(2);
    cluster.sendSnapshot("a", "c");
    cluster.propose("a", "more");
    cluster.settle(({ to, kind }) => to !== "c" && kind !== "snapshot");
    cluster.compact("a");
    cluster.sendSnapshot("a", "c");
    cluster.tick(3);
    expect(cluster.node("c").applied.index).toBe(22);
    cluster.propose("a", "after");
    cluster.tick(1);
    expect(cluster.nodes.map(({ applied }) => applied.index)).toEqual([23, 23, 23]);
  });

  test("a leader change in the middle: the next leader goes on", () => {
    const cluster = lagging({ snapshotsByHand: true });
    cluster.tick(2);
    cluster.crash("a");
    cluster.elect("b");
    cluster.tick(3);
    // b still has its whole log.
    expect(cluster.node("c").applied.index).toBe(22);
    expect(cluster.node("c").installs).toEqual([]);
  });
});

describe("a snapshot that arrives", () => {
  /** c follows a and has applied entries 1 to 4. */
  const following = (): TestCluster => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    for (const data of ["x", "y", "z"]) cluster.propose("a", data);
    cluster.settle();
    return cluster;
  };

  test("pitfall 12: an old or repeated one is answered with the commit, and truncates nothing (thesis §5.1)", () => {
    const cluster = following();
    for (const last of [1, 3, 4]) {
      cluster.step(snapshot("a", "c", 1, [last, 1]));
      expect(cluster.on("appendAccepted").map(({ match }) => match)).toEqual([4]);
      cluster.drop();
    }
    expect(cluster.node("c").installs).toEqual([]);
    expect(cluster.raft("c").status().lastIndex).toBe(4);
  });

  test("pitfall 12: old ones between appends change nothing", () => {
    const cluster = following();
    for (let count = 0; count < 5; count++) {
      cluster.propose("a", `more${count}`);
      cluster.step(snapshot("a", "c", 1, [3, 1]));
      cluster.settle();
    }
    expect(cluster.node("c").applied.index).toBe(9);
    expect(cluster.node("c").installs).toEqual([]);
  });

  test("one whose last entry is in the log moves the commit and keeps the log (thesis §5.1)", () => {
    const cluster = following();
    const entries = [entry(5, 1, "v"), entry(6, 1, "w")];
    cluster.propose("a", "v");
    cluster.propose("a", "w");
    cluster.drop();
    for (const to of ["b", "c"]) {
      cluster.step({
        kind: "append",
        from: nodeId("a"),
        to: nodeId(to),
        term: term(1),
        prevIndex: index(4),
        prevTerm: term(1),
        entries,
        commit: index(4),
      });
      cluster.completeWrite(to);
    }
    cluster.drop();
    cluster.step(snapshot("a", "c", 1, [5, 1]));
    expect(cluster.raft("c").status()).toMatchObject({ commit: 5, lastIndex: 6 });
    expect(cluster.node("c").installs).toEqual([]);
    expect(cluster.on("appendAccepted")).toMatchObject([{ match: 5 }]);
  });

  test("R8: nothing is acknowledged before it is installed; appends wait, votes and heartbeats do not", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const raft = cluster.raft("c");
    raft.step(snapshot("a", "c", 1, [50, 1]));
    const ready = raft.ready();
    expect(ready.snapshot).toMatchObject({ index: 50, term: 1 });
    expect(ready.hardState).toEqual({ term: 1, vote: null, commit: 0 });
    expect(ready.afterDurable).toEqual([]);
    raft.step({
      kind: "append",
      from: nodeId("a"),
      to: nodeId("c"),
      term: term(1),
      prevIndex: index(50),
      prevTerm: term(1),
      entries: [entry(51, 1, "x")],
      commit: index(51),
    });
    raft.step(snapshot("a", "c", 1, [60, 1]));
    raft.step(snapshot("a", "c", 1, [50, 1]));
    raft.step({
      kind: "heartbeat",
      from: nodeId("a"),
      to: nodeId("c"),
      term: term(1),
      match: index(0),
      matchTerm: term(0),
      commit: index(0),
      context: 3,
      mark: null,
    });
    if (ready.persisted === null) throw new Error("a term is written");
    raft.durable(ready.persisted);
    const later = raft.ready();
    expect(later).toMatchObject({ snapshot: null, entries: [], committed: [], hardState: null });
    expect(later.messages).toMatchObject([{ kind: "heartbeatResponse", context: 3 }]);
    raft.snapshotInstalled({ index: index(50), term: term(1), membership: founding(cluster.ids) });
    expect(raft.ready().messages).toMatchObject([{ kind: "appendAccepted", match: 50, to: "a" }]);
    expect(raft.status()).toMatchObject({ firstIndex: 51, lastIndex: 50, commit: 50, applied: 50 });
  });

  test("pitfall 14: a newer one replaces one that was not handed out yet", () => {
    const raft = new TestCluster(["a", "b", "c"]).start().raft("c");
    raft.step(snapshot("a", "c", 1, [50, 1]));
    raft.step(snapshot("a", "c", 1, [60, 1]));
    raft.step(snapshot("a", "c", 1, [40, 1]));
    const ready = raft.ready();
    expect(ready.snapshot).toMatchObject({ index: 60 });
    expect([...ready.messages, ...ready.afterDurable]).toEqual([]);
    expect(raft.ready().snapshot).toBeNull();
  });

  test("no campaign while one is being installed", () => {
    const raft = new TestCluster(["a", "b", "c"]).start().raft("c");
    raft.step(snapshot("a", "c", 1, [50, 1]));
    raft.ready();
    for (let ticks = 0; ticks < 50; ticks++) raft.tick();
    expect(raft.role).toBe("follower");
  });

  test("one that replaces a log of another history: older writes in flight vouch for nothing", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const node = cluster.node("c");
    node.diskHeld = true;
    cluster.step({
      kind: "append",
      from: nodeId("a"),
      to: nodeId("c"),
      term: term(1),
      prevIndex: index(0),
      prevTerm: term(0),
      entries: logOf(1, 1, 1, 1, 1, 1),
      commit: index(0),
    });
    cluster.step(snapshot("b", "c", 3, [4, 3]));
    expect(node.disk.base).toEqual({ index: 4, term: 3 });
    expect(node.up.status()).toMatchObject({ lastIndex: 4, commit: 4, applied: 4 });
    while (node.writes.length > 0) cluster.completeWrite("c");
    const accepted = cluster.on("appendAccepted").filter((message) => message.term === 3);
    expect(accepted.map(({ match }) => match)).toEqual([4]);
  });

  test("it names no leader: a node that led before may send it", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.step(snapshot("b", "c", 1, [50, 1]));
    expect(cluster.raft("c").leader).toBe("a");
    cluster.step(snapshot("b", "a", 1, [50, 1]));
    expect(cluster.raft("a").role).toBe("leader");
    expect(cluster.node("a").installs).toEqual([]);
  });

  test("R8: a crash after the install and before the log's reset", () => {
    const cluster = lagging();
    cluster.crash("c");
    const { disk } = cluster.node("c");
    disk.state = cluster.node("a").applied;
    cluster.restart("c");
    expect(cluster.raft("c").status()).toMatchObject({
      firstIndex: 22,
      lastIndex: 21,
      applied: 21,
      recoveringTo: null,
    });
    cluster.propose("a", "after");
    cluster.tick(2);
    expect(cluster.node("c").applied.index).toBe(22);
    expect(cluster.node("c").installs).toEqual([]);
  });
});

describe("compaction", () => {
  test("a term that only the state knew is entered at the start", () => {
    const cluster = new TestCluster(["a", "b", "c"]);
    const { disk } = cluster.node("c");
    disk.hardState = { term: term(1), vote: nodeId("b"), commit: index(0) };
    disk.state = { ...disk.state, index: index(50), term: term(3) };
    const raft = cluster.restart("c");
    expect(raft.term).toBe(3);
    expect(raft.ready().hardState).toEqual({ term: 3, vote: null, commit: 50 });
  });

  test("only what is applied is compacted", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const raft = cluster.elect("a");
    expect(() => raft.compact(index(2))).toThrow("applied");
    raft.compact(index(1));
    expect(raft.status()).toMatchObject({ firstIndex: 2, lastIndex: 1 });
    expect(raft.termAt(index(1))).toBe(1);
    raft.compact(index(0));
    expect(raft.status().firstIndex).toBe(2);
  });

  test("an entry whose write is still in flight stays", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    const raft = cluster.elect("a");
    cluster.node("a").diskHeld = true;
    cluster.propose("a", "x");
    cluster.settle();
    expect(raft.status().applied).toBe(2);
    raft.compact(index(2));
    expect(raft.status().firstIndex).toBe(2);
    cluster.completeWrite("a");
    raft.compact(index(2));
    expect(raft.status().firstIndex).toBe(3);
  });

  test("votes and appends at the very edge of a compacted log work (thesis §5.1)", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.propose("a", "x");
    cluster.settle();
    for (const id of cluster.ids) cluster.compact(id);
    cluster.crash("a");
    cluster.elect("b");
    cluster.restart("a");
    cluster.propose("b", "y");
    cluster.tick(2);
    expect(cluster.nodes.map(({ applied }) => applied.index)).toEqual([4, 4, 4]);
    expect(cluster.node("a").installs).toEqual([]);
  });
});
