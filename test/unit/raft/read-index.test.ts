import { term } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

const three = (): TestCluster => new TestCluster(["a", "b", "c"]).start();

function ask(cluster: TestCluster, name: string, context: number): void {
  cluster.checks.asksRead(cluster.node(name), context);
  cluster.raft(name).readIndex(context);
  cluster.pump();
}

describe("ReadIndex", () => {
  test("a leader's read is confirmed by a round of heartbeats, at the commit index when it was asked (thesis §6.4)", () => {
    const cluster = three();
    cluster.elect("a");
    ask(cluster, "a", 7);
    expect(cluster.node("a").readStates).toEqual([]);
    cluster.settle();
    expect(cluster.node("a").readStates).toEqual([{ context: 7, index: 1 }]);
  });

  test("a single voter confirms itself, after its no-op is durable", () => {
    const cluster = new TestCluster(["a"]).start();
    cluster.node("a").diskHeld = true;
    cluster.tick(1);
    cluster.completeWrite("a");
    ask(cluster, "a", 1);
    expect(cluster.node("a").readStates).toEqual([]);
    cluster.completeWrite("a");
    expect(cluster.node("a").readStates).toEqual([{ context: 1, index: 1 }]);
  });

  test("pitfall 2: no read before an entry of the leader's own term is committed (thesis §6.4)", () => {
    const cluster = three();
    const raft = cluster.raft("a");
    cluster.crash("b");
    while (raft.role !== "leader") {
      raft.tick();
      cluster.settle(({ kind }) => kind !== "append");
    }
    ask(cluster, "a", 1);
    raft.tick();
    cluster.settle(({ kind }) => kind !== "append");
    expect(cluster.node("a").readStates).toEqual([]);
    cluster.settle();
    cluster.tick(3);
    expect(cluster.node("a").readStates).toEqual([{ context: 1, index: 1 }]);
  });

  test("R1: one round is in flight; what is asked meanwhile shares the next one (thesis §6.4)", () => {
    const cluster = three();
    cluster.elect("a");
    for (const context of [1, 2, 3]) cluster.raft("a").readIndex(context);
    expect(cluster.on("heartbeat")).toHaveLength(2);
    ask(cluster, "a", 4);
    ask(cluster, "a", 5);
    expect(cluster.on("heartbeat")).toHaveLength(2);
    cluster.settle();
    expect(cluster.node("a").readStates.map(({ context }) => context)).toEqual([1, 2, 3, 4, 5]);
  });

  test("an answer to an earlier round confirms nothing of a later one", () => {
    const cluster = three();
    cluster.elect("a");
    ask(cluster, "a", 1);
    cluster.settle(({ kind }) => kind === "heartbeat");
    const [old, other] = cluster.drop(({ kind }) => kind === "heartbeatResponse");
    if (old === undefined || other === undefined) throw new Error("two followers answer");
    cluster.step(other);
    expect(cluster.node("a").readStates).toHaveLength(1);
    cluster.isolate("a");
    ask(cluster, "a", 2);
    cluster.drop();
    cluster.heal();
    cluster.step(old);
    cluster.step(old);
    expect(cluster.node("a").readStates).toHaveLength(1);
  });

  test("a lost round is repeated by the next heartbeat", () => {
    const cluster = three();
    cluster.elect("a");
    ask(cluster, "a", 1);
    cluster.drop();
    cluster.tick(1);
    expect(cluster.node("a").readStates).toHaveLength(1);
  });

  test("pitfall 3: a leader stopped in mid-read does not answer when another one has written meanwhile (thesis §6.4)", () => {
    const cluster = three();
    cluster.elect("a");
    ask(cluster, "a", 1);
    cluster.settle(({ kind }) => kind === "heartbeat");
    // The answers are on their way; a stands still, b is elected and writes.
    const answers = cluster.drop(({ kind }) => kind === "heartbeatResponse");
    cluster.isolate("a");
    cluster.elect("b");
    cluster.propose("b", "x");
    cluster.settle();
    cluster.heal();
    // Old answers still confirm what was asked before the election: the read was asked before the write.
    // A read that is asked now must not be confirmed by them.
    ask(cluster, "a", 2);
    const [first, second] = answers;
    if (first === undefined || second === undefined) throw new Error("two followers answer");
    cluster.step(first);
    cluster.step(second);
    expect(cluster.node("a").readStates.map(({ context }) => context)).toEqual([1]);
    cluster.tick(3);
    // Deposed, it dropped the read in its round; asked again, the new leader answers.
    expect(cluster.node("a").readsDropped).toEqual([2]);
    ask(cluster, "a", 2);
    cluster.tick(3);
    expect(cluster.node("a").readStates.at(-1)).toMatchObject({ context: 2 });
    expect(cluster.node("a").readStates.at(-1)?.index).toBeGreaterThanOrEqual(3);
  });

  test("a leader that loses its majority drops its reads", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.isolate("a");
    ask(cluster, "a", 1);
    cluster.tick(30, ["a"]);
    expect(cluster.node("a").readStates).toEqual([]);
    expect(cluster.node("a").readsDropped).toEqual([1]);
  });
});

describe("ReadIndex at a follower", () => {
  test("it asks its leader, once for all its readers (thesis §6.4)", () => {
    const cluster = three();
    cluster.elect("a");
    for (const context of [1, 2, 3]) {
      cluster.checks.asksRead(cluster.node("b"), context);
      cluster.raft("b").readIndex(context);
    }
    expect(cluster.on("readIndex")).toHaveLength(1);
    cluster.settle();
    expect(cluster.node("b").readStates).toEqual([1, 2, 3].map((context) => ({ context, index: 1 })));
  });

  test("a lost question, or a lost answer, is repeated", () => {
    for (const kind of ["readIndex", "readIndexResponse"] as const) {
      const cluster = three();
      cluster.elect("a");
      ask(cluster, "b", 1);
      cluster.settle((message) => message.kind !== kind);
      cluster.drop();
      cluster.tick(4);
      expect(cluster.node("b").readStates).toHaveLength(1);
    }
  });

  test("without a leader it waits for one", () => {
    const cluster = three();
    ask(cluster, "b", 1);
    expect(cluster.node("b").readsDropped).toEqual([]);
    cluster.elect("a");
    cluster.tick(2);
    expect(cluster.node("b").readStates).toEqual([{ context: 1, index: 1 }]);
  });

  test("pitfall 3: a question to a leader that is gone is dropped, and its late answer ignored", () => {
    const cluster = three();
    cluster.elect("a");
    ask(cluster, "b", 1);
    cluster.settle(({ kind }) => kind !== "readIndexResponse");
    const late = cluster.drop(({ kind }) => kind === "readIndexResponse");
    expect(late).toHaveLength(1);
    cluster.isolate("a");
    cluster.elect("c");
    cluster.propose("c", "x");
    cluster.settle();
    cluster.heal();
    expect(cluster.node("b").readsDropped).toEqual([1]);
    ask(cluster, "b", 2);
    for (const message of late) cluster.step(message);
    expect(cluster.node("b").readStates).toEqual([]);
    cluster.settle();
    expect(cluster.node("b").readStates).toMatchObject([{ context: 2, index: 3 }]);
  });

  test("pitfall 3: an answer to a question from before a restart answers nothing", () => {
    let draws = 0;
    const random = (): number => {
      draws++;
      return (draws / 100) % 1;
    };
    const cluster = new TestCluster(["a", "b", "c"], { random }).start();
    cluster.elect("a");
    ask(cluster, "b", 1);
    cluster.settle(({ kind }) => kind !== "readIndexResponse");
    const late = cluster.drop(({ kind }) => kind === "readIndexResponse");
    cluster.crash("b");
    cluster.propose("a", "x");
    cluster.settle();
    cluster.restart("b");
    cluster.tick(1);
    ask(cluster, "b", 1);
    for (const message of late) cluster.step(message);
    expect(cluster.node("b").readStates).toEqual([]);
  });

  test("a stranger's question is ignored", () => {
    const cluster = three();
    cluster.elect("a");
    cluster.step({ kind: "readIndex", from: nodeId("z"), to: nodeId("a"), term: term(1), context: 1 });
    expect(cluster.drop()).toEqual([]);
  });

  test("X1: waiting readers are bounded, and the oldest is told", () => {
    const cluster = three();
    for (let context = 1; context <= 8_193; context++) cluster.raft("b").readIndex(context);
    cluster.pump();
    expect(cluster.node("b").readsDropped).toEqual([1]);
  });
});
