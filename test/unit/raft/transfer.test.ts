/** Handing leadership over (thesis §3.10). */
import { describe, expect, test } from "vitest";
import { bytes, nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

function three(): TestCluster {
  const cluster = new TestCluster(["a", "b", "c"]).start();
  cluster.elect("a");
  cluster.tick(2);
  return cluster;
}

describe("the leader hands over", () => {
  test("to a follower that has everything, at once and in one term (thesis §3.10)", () => {
    const cluster = three();
    const { term } = cluster.raft("a");
    expect(cluster.raft("a").transferLeadership(nodeId("b"))).toEqual({ ok: true });
    cluster.settle();
    expect(cluster.leaders()).toEqual(["b"]);
    expect(cluster.raft("b").term).toBe(term + 1);
    expect(cluster.raft("c").leader).toBe("b");
  });

  test("to one that lags, when it has caught up, and takes no proposal meanwhile (thesis §3.10)", () => {
    const cluster = three();
    cluster.node("c").diskHeld = true;
    cluster.propose("a", "news");
    cluster.settle();
    cluster.raft("a").transferLeadership(nodeId("c"));
    expect(cluster.raft("a").propose(bytes("meanwhile"))).toEqual({ ok: false, code: "OVERLOADED" });
    cluster.settle();
    expect(cluster.leaders()).toEqual(["a"]);
    cluster.node("c").diskHeld = false;
    cluster.settle();
    expect(cluster.leaders()).toEqual(["c"]);
    expect(cluster.checks.history).toEqual(["news"]);
  });

  test("a follower passes the wish on", () => {
    const cluster = three();
    expect(cluster.raft("c").transferLeadership(nodeId("b"))).toMatchObject({ ok: false, code: "NOT_LEADER" });
    cluster.settle();
    expect(cluster.leaders()).toEqual(["b"]);
  });

  test("pitfall 19: not to a stranger, a learner, or somebody who is not there; to itself nothing happens", () => {
    const cluster = new TestCluster(["a", "b", "c", "d"], { founders: ["a", "b", "c"] }).start();
    cluster.elect("a");
    cluster.isolate("d");
    cluster.change("a", { kind: "add", node: nodeId("d"), replaces: null });
    cluster.crash("c");
    cluster.tick(25);
    const raft = cluster.raft("a");
    expect(raft.transferLeadership(nodeId("x"))).toMatchObject({ code: "TRANSFER_REFUSED" });
    expect(raft.transferLeadership(nodeId("d"))).toMatchObject({ code: "TRANSFER_REFUSED" });
    expect(raft.transferLeadership(nodeId("c"))).toMatchObject({ code: "TRANSFER_REFUSED" });
    expect(raft.transferLeadership(nodeId("a"))).toEqual({ ok: true });
    expect(raft.transferring).toBe(false);
  });

  test("one at a time", () => {
    const cluster = three();
    cluster.node("b").diskHeld = true;
    cluster.propose("a", "news");
    cluster.settle();
    expect(cluster.raft("a").transferLeadership(nodeId("b"))).toEqual({ ok: true });
    expect(cluster.raft("a").transferLeadership(nodeId("c"))).toMatchObject({ code: "TRANSFER_REFUSED" });
    expect(cluster.raft("a").transferLeadership(nodeId("b"))).toEqual({ ok: true });
  });

  test("a target that does not take over within an election timeout: the leader goes on (thesis §3.10)", () => {
    const cluster = three();
    cluster.raft("a").transferLeadership(nodeId("b"));
    cluster.drop(({ kind }) => kind === "timeoutNow");
    cluster.tick(9);
    expect(cluster.raft("a").transferring).toBe(true);
    cluster.tick(1);
    expect(cluster.raft("a").transferring).toBe(false);
    cluster.propose("a", "goes on");
    cluster.settle();
    expect(cluster.checks.history).toEqual(["goes on"]);
  });

  test("the election that it asked for is not stopped by hearing the leader (thesis §4.2.3)", () => {
    const cluster = three();
    cluster.raft("a").transferLeadership(nodeId("b"));
    cluster.settle(({ kind }) => kind === "timeoutNow");
    expect(cluster.on("preVote")).toEqual([]);
    expect(cluster.on("vote")).toMatchObject([{ transfer: true }, { transfer: true }]);
    cluster.settle();
    expect(cluster.leaders()).toEqual(["b"]);
  });

  test("a word to campaign from a term that is over does nothing", () => {
    const cluster = three();
    cluster.raft("a").transferLeadership(nodeId("b"));
    const late = cluster.drop(({ kind }) => kind === "timeoutNow");
    cluster.elect("c");
    for (const message of late) cluster.step(message);
    cluster.settle();
    expect(cluster.leaders()).toEqual(["c"]);
  });
});
