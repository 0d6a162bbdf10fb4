import { OpenClawError } from "@openclaw/core/errors.ts";
import { index, term } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { describe, expect, test } from "vitest";
import { campaign, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

/** a leads; c has lost its last `count` entries, and is down. */
function damaged(count: number, options: ConstructorParameters<typeof TestCluster>[1] = {}): TestCluster {
  const cluster = new TestCluster(["a", "b", "c"], options).start();
  cluster.elect("a");
  for (let number = 0; number < 5; number++) cluster.propose("a", `x${number}`);
  cluster.settle();
  cluster.crash("c");
  cluster.node("c").disk.rot(count);
  return cluster;
}

describe("R5: a node that lost entries", () => {
  test("R5: knows it by the high-water mark, and is whole when the log is on disk again", () => {
    const cluster = damaged(3);
    cluster.restart("c");
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 3, recoveringTo: 6 });
    cluster.tick(3);
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 6, recoveringTo: null });
    expect(cluster.node("c").applied.index).toBe(6);
  });

  test("R5: knows it by the stored commit", () => {
    const cluster = damaged(3);
    cluster.node("c").disk.hardState = { term: term(1), vote: null, commit: index(5) };
    cluster.node("c").disk.highWater = cluster.node("c").disk.lastIndex;
    expect(cluster.restart("c").status().recoveringTo).toBe(5);
  });

  test("R5: knows it by its leader, who remembers what was acknowledged", () => {
    const cluster = damaged(3);
    const { disk } = cluster.node("c");
    disk.highWater = disk.lastIndex;
    disk.hardState = { ...disk.hardState, commit: index(0) };
    cluster.restart("c");
    expect(cluster.raft("c").status().recoveringTo).toBeNull();
    cluster.raft("a").tick();
    cluster.settle(({ kind }) => kind === "heartbeat");
    expect(cluster.raft("c").status().recoveringTo).toBe(6);
    cluster.tick(3);
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 6, recoveringTo: null });
  });

  test("R5: is told so again when it forgot what it was told", () => {
    const cluster = damaged(3, { raft: { maxBatchBytes: 18 } });
    const { disk } = cluster.node("c");
    const forget = (): void => {
      disk.highWater = disk.lastIndex;
      disk.hardState = { ...disk.hardState, commit: index(0) };
      cluster.restart("c");
      cluster.raft("a").tick();
      cluster.settle(({ kind }) => kind === "heartbeat");
    };
    forget();
    // Its leader hears that it recovers, and nothing that it sends arrives.
    cluster.settle(({ kind }) => kind === "appendUncounted");
    cluster.drop();
    cluster.crash("c");
    forget();
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 3, recoveringTo: 6 });
    cluster.tick(6);
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 6, recoveringTo: null });
  });

  test("R5: with more in its log than its state may lag behind, it learns what is committed, and is not flooded", () => {
    let full = 0;
    const cluster = new TestCluster(["a", "b", "c"], {
      raft: { maxUnappliedBytes: 130 },
      wire: (message) => {
        if (message.kind === "append" && message.to === "c" && message.entries.length > 0) full++;
        return message;
      },
    }).start();
    cluster.elect("a");
    cluster.node("c").applyHeld = true;
    for (let number = 0; number < 12; number++) cluster.raft("a").propose(new Uint8Array(3));
    cluster.tick(2);
    cluster.crash("c");
    cluster.node("c").disk.rot(2);
    cluster.restart("c");
    full = 0;
    cluster.tick(6);
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 11, recoveringTo: 13, commit: 11 });
    // One a heartbeat, which may have been lost; not one for each time that the follower says where it stands.
    expect(full).toBeLessThanOrEqual(7);
    cluster.node("c").applyHeld = false;
    cluster.tick(3);
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 13, recoveringTo: null });
  });

  test("R5: is told so by a leader whose log begins later", () => {
    const cluster = damaged(3);
    const { disk } = cluster.node("c");
    disk.highWater = disk.lastIndex;
    disk.hardState = { ...disk.hardState, commit: index(0) };
    // c acknowledged no more than 6; the leader has cut 7 away.
    cluster.propose("a", "seven");
    cluster.settle();
    for (const name of ["a", "b"]) cluster.compact(name);
    cluster.restart("c");
    cluster.raft("a").tick();
    cluster.settle(({ kind }) => kind === "heartbeat");
    expect(cluster.raft("c").status().recoveringTo).toBe(6);
  });

  test("R5: even when a lost truncation left other entries in their place", () => {
    // b led term 1 and wrote three entries that nobody else has; then a led term 2, and b took its entries instead.
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("b");
    cluster.isolate("b");
    for (let number = 0; number < 4; number++) cluster.propose("b", "never");
    cluster.settle();
    const orphaned = cluster.node("b").disk.entries.slice();
    cluster.crash("b");
    cluster.drop();
    cluster.heal();
    cluster.elect("a");
    cluster.restart("b");
    for (let number = 0; number < 3; number++) cluster.propose("a", `x${number}`);
    cluster.tick(3);
    expect(cluster.node("b").applied.index).toBe(5);
    // All that b wrote after its own term is gone from its disk, and with it every trace of it.
    cluster.crash("b");
    const rotten = cluster.node("b").disk;
    rotten.entries = orphaned;
    rotten.highWater = rotten.lastIndex;
    rotten.hardState = { ...rotten.hardState, commit: index(0) };
    cluster.restart("b");
    cluster.tick(3);
    expect(cluster.raft("b").status()).toMatchObject({ lastIndex: 5, commit: 5, recoveringTo: null });
    expect(rotten.entries.map((item) => item.term)).toEqual([1, 2, 2, 2, 2]);
  });

  test("R5: does not campaign, and grants votes and pre-votes only to a log that reaches as far as its own did", () => {
    const cluster = damaged(1);
    const raft = cluster.restart("c");
    for (let ticks = 0; ticks < 100; ticks++) raft.tick();
    expect(raft.role).toBe("follower");
    expect(raft.status().recoveringTo).toBe(6);
    // Entry 6 is of term 1: an end in a later term, or in this one at 6, is not before it; whatever c has left.
    const asked: [[number, number], boolean][] = [
      [[5, 1], false],
      [[99, 0], false],
      [[6, 1], true],
      [[3, 2], true],
    ];
    let term = 9;
    for (const [last, granted] of asked) {
      for (const kind of ["preVote", "vote"] as const) {
        cluster.step(campaign(kind, "b", "c", ++term, last));
        cluster.settle(() => false);
        expect(cluster.on(`${kind}Response`).at(-1), `${kind} ${last}`).toMatchObject({ granted });
        cluster.drop();
      }
    }
  });

  test("R5: that lost its term, too, votes for nobody", () => {
    const cluster = damaged(1);
    cluster.node("c").disk.hardState = { term: term(0), vote: null, commit: index(0) };
    cluster.restart("c");
    cluster.step(campaign("vote", "b", "c", 9, [99, 8]));
    cluster.settle(() => false);
    expect(cluster.on("voteResponse")).toMatchObject([{ granted: false }]);
  });

  test("R5: a group that changes to two voters goes on when one of them lost entries and the other has them", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.propose("a", "acknowledged");
    cluster.settle();
    // The change is in a's log alone when c loses what it acknowledged: a needs c's vote, and b a's, whose log is longer.
    cluster.isolate("a");
    expect(cluster.change("a", { kind: "remove", node: nodeId("b") })).toMatchObject({ ok: true });
    cluster.settle();
    cluster.crash("c");
    cluster.node("c").disk.rot(1);
    cluster.restart("c");
    cluster.crash("a");
    cluster.heal();
    cluster.restart("a");
    cluster.tick(120);
    expect(cluster.leaders()).toEqual(["a"]);
    expect(cluster.raft("a").status().membership).toEqual(founding([nodeId("a"), nodeId("c")]));
    expect(cluster.raft("c").status().recoveringTo).toBeNull();
    expect(cluster.checks.history).toEqual(["acknowledged"]);
  });

  test("R5: a lost entry that only this node and a dead leader had is not voted away", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.isolate("b");
    cluster.propose("a", "acknowledged");
    cluster.settle();
    expect(cluster.checks.history).toEqual(["acknowledged"]);
    cluster.crash("a");
    cluster.crash("c");
    cluster.node("c").disk.rot(1);
    cluster.heal();
    cluster.restart("c");
    // b and c are a majority, but neither has the entry. They wait for a rather than guess.
    cluster.tick(300);
    expect(cluster.leaders()).toEqual([]);
    expect(cluster.raft("c").status().recoveringTo).toBe(2);
    cluster.restart("a");
    cluster.tick(60);
    expect(cluster.leaders()).toEqual(["a"]);
    expect(cluster.checks.history).toEqual(["acknowledged"]);
    expect(cluster.raft("c").status().recoveringTo).toBeNull();
  });

  test("R5: is not counted towards a commit until it has caught up", () => {
    const cluster = damaged(3, { raft: { maxBatchBytes: 18 } });
    cluster.crash("b");
    cluster.restart("c");
    cluster.node("c").diskHeld = true;
    cluster.propose("a", "new");
    cluster.tick(2, ["a"]);
    const seen = [];
    while (cluster.raft("c").status().recoveringTo !== null) {
      seen.push([cluster.raft("c").status().lastIndex, cluster.raft("a").status().commit]);
      cluster.completeWrite("c");
      cluster.tick(2, ["a"]);
    }
    expect(seen).toEqual([
      [4, 6],
      [5, 6],
      [6, 6],
    ]);
    cluster.node("c").diskHeld = false;
    cluster.tick(2, ["a"]);
    expect(cluster.raft("a").status().commit).toBe(7);
  });

  test("R5: what it stores meanwhile is not committed by it, however often it says so", () => {
    const cluster = damaged(1);
    // It once had three entries more than anybody else remembers.
    cluster.node("c").disk.highWater = index(9);
    cluster.crash("b");
    cluster.restart("c");
    for (const data of ["seven", "eight"]) {
      cluster.propose("a", data);
      cluster.tick(3);
      expect(cluster.raft("a").status()).toMatchObject({ commit: 6, progress: [{}, {}, { id: "c", active: true }] });
    }
    expect(cluster.raft("c").status()).toMatchObject({ lastIndex: 8, recoveringTo: 9 });
    cluster.propose("a", "nine");
    cluster.tick(1);
    expect(cluster.raft("a").status().commit).toBe(9);
    expect(cluster.raft("c").status().recoveringTo).toBeNull();
  });

  test("R5: confirms no ReadIndex round", () => {
    const cluster = damaged(3, { raft: { maxBatchBytes: 18 } });
    cluster.crash("b");
    cluster.restart("c");
    cluster.raft("a").readIndex(1);
    cluster.settle(({ kind }) => kind === "heartbeat" || kind === "heartbeatResponse");
    expect(cluster.node("a").readStates).toEqual([]);
    cluster.tick(3, ["a"]);
    cluster.tick(3, ["a"]);
    expect(cluster.node("a").readStates).toHaveLength(1);
  });

  test("R5: catches up by a snapshot as well", () => {
    const cluster = damaged(5);
    for (const name of ["a", "b"]) cluster.compact(name);
    cluster.restart("c");
    cluster.tick(4);
    expect(cluster.node("c").installs.map((meta) => meta.index)).toEqual([6]);
    expect(cluster.raft("c").status().recoveringTo).toBeNull();
    cluster.propose("a", "after");
    cluster.tick(1);
    expect(cluster.node("c").applied.index).toBe(7);
  });

  test("R5: still recovers after a second crash half-way", () => {
    const cluster = damaged(3, { raft: { maxBatchBytes: 18 } });
    cluster.restart("c");
    cluster.node("c").diskHeld = true;
    cluster.tick(2);
    cluster.completeWrite("c");
    cluster.crash("c");
    expect(cluster.restart("c").status()).toMatchObject({ lastIndex: 4, recoveringTo: 6 });
  });

  test("R5: a group of one that lost entries stops and says so", () => {
    const cluster = new TestCluster(["a"]).start();
    cluster.tick(1);
    cluster.propose("a", "x");
    cluster.settle();
    cluster.crash("a");
    cluster.node("a").disk.rot(1);
    try {
      cluster.restart("a");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(OpenClawError);
      expect(error).toMatchObject({ code: "DATA_CORRUPT" });
    }
  });

  test("a log that is merely shorter than the leader's is whole", () => {
    const cluster = new TestCluster(["a", "b", "c"]).start();
    cluster.elect("a");
    cluster.isolate("c");
    cluster.propose("a", "x");
    cluster.settle();
    cluster.crash("c");
    cluster.heal();
    expect(cluster.restart("c").status().recoveringTo).toBeNull();
    cluster.tick(2);
    expect(cluster.node("c").applied.index).toBe(2);
  });
});
