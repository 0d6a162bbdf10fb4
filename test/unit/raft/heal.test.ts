/**
 * Liveness: whatever the network did, once a majority hears each other again there is a leader, and writes go through.
 */
import { describe, expect, test } from "vitest";
import { TestCluster } from "../../simulation/raft/harness.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const NAMES = ["a", "b", "c", "d", "e"];

function group(size: number, seed: number): TestCluster {
  const random = new SeededRandom(seed);
  return new TestCluster(NAMES.slice(0, size), { random: () => random.unit() }).start();
}

function goesOn(cluster: TestCluster): void {
  for (let ticks = 0; ticks < 200 && cluster.leaders().length !== 1; ticks++) cluster.tick();
  const [leader] = cluster.leaders();
  if (leader === undefined) throw new Error("no leader");
  cluster.tick(20);
  const [still] = cluster.leaders();
  if (still === undefined) throw new Error("no leader stays");
  const at = cluster.propose(still, "after");
  cluster.tick(3);
  expect(cluster.nodes.map(({ applied }) => applied.index)).toEqual(cluster.nodes.map(() => at));
}

describe("healing", () => {
  test.each([1, 3, 5])("a group of %i goes on after every node was alone for a while", (size) => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = group(size, seed);
      cluster.tick(20);
      for (const id of cluster.ids) cluster.isolate(id);
      cluster.tick(60);
      expect(cluster.leaders()).toEqual(size === 1 ? ["a"] : []);
      cluster.heal();
      goesOn(cluster);
    }
  });

  test.each([3, 5])("a group of %i works on in its majority, and is whole again after the cut", (size) => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = group(size, seed);
      cluster.tick(40);
      const [leader] = cluster.leaders();
      if (leader === undefined) throw new Error("no leader");
      cluster.isolate(leader);
      cluster.raft(leader).propose(new Uint8Array([1]));
      cluster.tick(60);
      const [second] = cluster.leaders();
      expect(second).toBeDefined();
      expect(second).not.toBe(leader);
      cluster.propose(second ?? "", "meanwhile");
      cluster.settle();
      cluster.heal();
      goesOn(cluster);
      expect(cluster.checks.history).toEqual(["meanwhile", "after"]);
    }
  });

  test("a group of five goes on after two of it crash, one of them the leader, again and again", () => {
    const cluster = group(5, 7);
    for (let round = 0; round < 10; round++) {
      goesOn(cluster);
      const [leader] = cluster.leaders();
      const other = cluster.ids.find((id) => id !== leader);
      for (const id of [leader, other]) if (id !== undefined) cluster.crash(id);
      cluster.tick(60);
      expect(cluster.leaders()).toHaveLength(1);
      cluster.start();
    }
    goesOn(cluster);
  });
});

describe("pitfall 8: partial partitions", () => {
  const LINKS = [
    ["a", "b"],
    ["a", "c"],
    ["b", "a"],
    ["b", "c"],
    ["c", "a"],
    ["c", "b"],
  ] as const;
  /**
   * The 27 graphs of the 64 in which nobody can lead: a leader needs a follower that it hears and that hears it, so that
   * their answers count to a majority of three, and here no two nodes hear each other.
   */
  const LEADERLESS = [
    "",
    ...["ab", "ac", "ba", "bc", "ca", "cb"],
    ...["ab ac", "ab bc", "ab ca", "ab cb", "ac ba", "ac bc", "ac cb", "ba bc", "ba ca", "ba cb", "bc ca", "ca cb"],
    ...["ab ac bc", "ab ac cb", "ab bc ca", "ab ca cb", "ac ba bc", "ac ba cb", "ba bc ca", "ba ca cb"],
  ];

  test("all 64 directed link graphs of three nodes: a leader serves but in those that cannot have one", () => {
    const without: string[] = [];
    for (let graph = 0; graph < 64; graph++) {
      const open = LINKS.filter((_, bit) => (graph & (1 << bit)) !== 0);
      const cluster = group(3, graph + 1);
      cluster.tick(40);
      for (const link of LINKS) if (!open.includes(link)) cluster.cutFrom(link[0], link[1]);
      cluster.tick(100);
      const before = cluster.checks.lastCommitted;
      for (let ticks = 0; ticks < 100; ticks++) {
        for (const id of cluster.leaders()) cluster.raft(id).propose(new Uint8Array([graph]));
        cluster.tick();
      }
      if (cluster.checks.lastCommitted === before) without.push(open.map(([from, to]) => from + to).join(" "));
      cluster.heal();
      goesOn(cluster);
    }
    expect(without.sort()).toEqual([...LEADERLESS].sort());
  });
});
