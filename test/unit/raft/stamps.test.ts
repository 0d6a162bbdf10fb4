import { Stamps } from "@openclaw/core/raft/stamps.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { TestCluster } from "../../simulation/raft/harness.ts";

function stampsOf(readings: readonly number[]): readonly number[] {
  let at = 0;
  const stamps = new Stamps(() => readings[at++] ?? Number.NaN);
  stamps.restart();
  return readings.map(() => stamps.next());
}

const sum = (stamps: readonly number[]): number => stamps.reduce((total, stamp) => total + stamp, 0);

test("T1: a leader's first stamp is 0, whatever its clock says; then whole ms, and what is left over is kept", () => {
  expect(stampsOf([1_000.5, 1_001.2, 1_001.6, 1_004.49, 1_004.5])).toEqual([0, 0, 1, 2, 1]);
});

test("T1: a clock that stands still or goes back gives 0, and what it goes through again is counted once", () => {
  expect(stampsOf([100, 100, 40, 90, 100, 107])).toEqual([0, 0, 0, 0, 0, 7]);
});

test("T1: stamps are the time between the first and the last, to less than a ms, and never more", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { minLength: 1, maxLength: 50 }), (steps) => {
      let now = 12.345;
      const readings = steps.map((step) => {
        now += step;
        return now;
      });
      const passed = now - (readings[0] ?? 0);
      const counted = sum(stampsOf(readings));
      expect(counted).toBeLessThanOrEqual(passed + 1e-6);
      expect(counted).toBeGreaterThan(passed - 1 - 1e-6);
    }),
  );
});

/** A group whose nodes have a clock in common, and the stamps that `a` holds. */
function group(): { readonly cluster: TestCluster; readonly clock: { now: number }; stamps(name: string): number[] } {
  const clock = { now: 5_000 };
  const cluster = new TestCluster(["a", "b", "c"], { raft: { now: () => clock.now } }).start();
  const stamps = (name: string): number[] => cluster.node(name).disk.entries.map(({ stamp }) => stamp);
  return { cluster, clock, stamps };
}

test("T1: a new leader counts from its own first entry: not from its last one as an earlier leader, nor what lay between", () => {
  const { cluster, clock, stamps } = group();
  cluster.elect("a");
  clock.now += 30;
  cluster.propose("a", "x");
  cluster.settle();
  clock.now += 1_000;
  cluster.elect("b");
  clock.now += 7;
  cluster.propose("b", "y");
  cluster.settle();
  clock.now += 2_000;
  cluster.elect("a");
  clock.now += 9;
  cluster.propose("a", "z");
  cluster.settle();
  expect(stamps("a")).toEqual([0, 30, 0, 7, 0, 9]);
  expect(stamps("c")).toEqual(stamps("a"));
});

test("T1: what a leader appends by itself is stamped as well, and a follower keeps the leader's stamps", () => {
  const { cluster, clock, stamps } = group();
  cluster.elect("a");
  clock.now += 11;
  cluster.change("a", { kind: "remove", node: cluster.node("c").id });
  clock.now += 22;
  cluster.settle();
  expect(stamps("b")).toEqual(stamps("a"));
  expect(stamps("a").slice(0, 2)).toEqual([0, 11]);
  expect(sum(stamps("a"))).toBe(33);
});
