/**
 * Liveness: whatever the network did, once a majority hears each other again there is a leader, and writes go through.
 */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { TestCluster } from "./harness.ts";

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
  /** A leader needs one follower with which it shares a link in both directions. */
  const mutual = (open: ReadonlySet<string>): boolean =>
    LINKS.some(([from, to]) => open.has(`${from}>${to}`) && open.has(`${to}>${from}`));

  test("all 64 directed link graphs of three nodes: a leader serves in each one that has a mutual link", () => {
    const without: string[] = [];
    for (let graph = 0; graph < 64; graph++) {
      const open = new Set(LINKS.filter((_, bit) => (graph & (1 << bit)) !== 0).map(([from, to]) => `${from}>${to}`));
      const cluster = group(3, graph + 1);
      cluster.tick(40);
      for (const [from, to] of LINKS) if (!open.has(`${from}>${to}`)) cluster.cutFrom(from, to);
      cluster.tick(100);
      const before = cluster.checks.lastCommitted;
      for (let ticks = 0; ticks < 100; ticks++) {
        for (const id of cluster.leaders()) cluster.raft(id).propose(new Uint8Array([graph]));
        cluster.tick();
      }
      const serves = cluster.checks.lastCommitted > before;
      if (mutual(open) !== serves) without.push([...open].join(" "));
      cluster.heal();
      goesOn(cluster);
    }
    expect(without).toEqual([]);
  });
});
