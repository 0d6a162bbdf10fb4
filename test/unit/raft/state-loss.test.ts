/** C1: a node whose log is sound and whose state is wrong. */
import { index } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { nodeId } from "../../simulation/raft/fixtures.ts";
import { TestCluster } from "../../simulation/raft/harness.ts";

/** a leads, has applied 11 entries, and has cut its log after the eighth; the others keep all of it. */
function cluster(): TestCluster {
  const made = new TestCluster(["a", "b", "c"]).start();
  made.elect("a");
  for (let count = 0; count < 10; count++) made.propose("a", `x${count}`);
  made.tick(2);
  made.compact("a", 3);
  return made;
}

describe("C1: a follower whose state is wrong", () => {
  test("applies nothing more, acknowledges and votes as before, and goes on from a snapshot with its log as it was", () => {
    const group = cluster();
    group.raft("c").loseState(index(11));
    group.isolate("b");
    group.propose("a", "with c alone");
    group.tick(3);
    expect(group.raft("a").commit).toBe(12);
    expect(group.raft("c").commit).toBe(12);
    expect(group.node("c").applied.index).toBe(11);
    expect(group.raft("c").status()).toMatchObject({ stateNeeded: 11, recoveringTo: null });
    group.raft("c").askForState();
    group.tick(2);
    expect(group.node("c").installs.map((meta) => meta.index)).toEqual([12]);
    expect(group.raft("c").status()).toMatchObject({ stateNeeded: null, firstIndex: 1, lastIndex: 12 });
    group.propose("a", "after");
    group.tick(3);
    expect(group.node("c").applied.index).toBe(13);
  });

  test("takes a state that is older than its own, and applies the log from there again", () => {
    const group = cluster();
    const c = group.node("c");
    // Its leader's state is behind what it has applied itself.
    group.node("a").applyHeld = true;
    group.propose("a", "x");
    group.tick(3);
    group.node("a").applied = { ...group.node("a").applied, index: index(11) };
    expect(c.applied.index).toBe(12);
    group.raft("c").loseState(index(10));
    group.raft("c").askForState();
    group.settle();
    expect(c.installs.map((meta) => meta.index)).toEqual([11]);
    expect(c.applied.index).toBe(12);
    expect(group.raft("c").status()).toMatchObject({ applied: 12, lastIndex: 12 });
  });

  test("takes no state from before what told that its own is wrong", () => {
    const group = cluster();
    group.raft("c").loseState(index(12));
    group.sendSnapshot("a", "c");
    group.settle();
    expect(group.node("c").installs).toEqual([]);
    group.propose("a", "x");
    group.tick(3);
    group.sendSnapshot("a", "c");
    group.settle();
    expect(group.node("c").installs.map((meta) => meta.index)).toEqual([12]);
  });

  test("that is behind the log takes the snapshot as any follower does", () => {
    const group = cluster();
    group.raft("c").loseState(index(5));
    group.isolate("c");
    for (let count = 0; count < 5; count++) group.propose("a", `y${count}`);
    group.settle();
    group.compact("a");
    group.heal();
    group.tick(3);
    expect(group.node("c").installs.map((meta) => meta.index)).toEqual([16]);
    expect(group.raft("c").status()).toMatchObject({ stateNeeded: null, firstIndex: 17 });
  });

  test("that is elected, because nobody else has as much of the log, hands over", () => {
    const group = cluster();
    group.isolate("b");
    group.propose("a", "b has it not");
    group.settle();
    group.raft("c").loseState(index(11));
    group.heal();
    group.crash("a");
    group.tick(80);
    expect(group.leaders()).toEqual([nodeId("b")]);
    expect(group.node("b").applied.index).toBeGreaterThan(12);
  });
});

describe("C1: a leader whose state is wrong", () => {
  test("hands over to whoever it brings up to date, also when there is only one", () => {
    for (const down of [[], ["b"]]) {
      const group = cluster();
      for (const name of down) group.crash(name);
      group.propose("a", "not acknowledged yet");
      group.raft("a").loseState(index(11));
      // A voter that went down a moment ago is tried first, for one election timeout.
      group.tick(40, ["a", "c"]);
      expect(group.leaders()).not.toContain("a");
      expect(group.leaders()).toHaveLength(1);
      group.raft("a").askForState();
      group.tick(3);
      expect(group.raft("a").status()).toMatchObject({ stateNeeded: null });
      expect(group.node("a").applied.index).toBe(group.raft("a").commit);
    }
  });

  test("gives its state to nobody", () => {
    const group = cluster();
    group.isolate("c");
    for (let count = 0; count < 5; count++) group.propose("a", `y${count}`);
    group.settle();
    group.compact("a");
    group.crash("b");
    group.heal();
    group.raft("a").loseState(index(16));
    group.raft("c").loseState(index(5));
    group.raft("c").askForState();
    group.settle();
    expect(group.node("a").snapshotsTo).toEqual([]);
    expect(group.on("snapshot")).toEqual([]);
  });
});
