import { type Index, index, type NodeId } from "@openclaw/core/ids.ts";
import type { CommandResult } from "@openclaw/core/state-machine/command.ts";
import { type Comparison, type Finding, isUndecided, verdictOf } from "@openclaw/core/state-machine/finding.ts";
import { expect, test } from "vitest";
import { OneCluster, put } from "./one-cluster.ts";

const [A, B, C, D] = ["a", "b", "c", "d"].map((name) => name as NodeId) as [NodeId, NodeId, NodeId, NodeId];
const hash = (fill: number): Finding => ({ kind: "hash", hash: new Uint8Array(32).fill(fill) });
const GAVE_UP: Finding = { kind: "gaveUp" };
const REBUILT: Finding = { kind: "rebuilt" };

const comparisonIn = (result: CommandResult): Comparison => {
  if (result.kind !== "compared") throw new Error(result.kind);
  return result.comparison;
};

class Rounds {
  readonly cluster = new OneCluster("shop");
  begin(...voters: NodeId[]): Index {
    const result = this.cluster.system({ kind: "compareStates", voters });
    expect(result).toMatchObject({ begun: true });
    return comparisonIn(result).round;
  }
  report(round: Index, node: NodeId, finding: Finding): Comparison {
    const result = this.cluster.system({ kind: "reportState", round, node, finding });
    expect(result).toMatchObject({ begun: false });
    return comparisonIn(result);
  }
  get known(): Comparison {
    return this.cluster.query({ kind: "comparison" });
  }
}

test("L1: rounds and reports take no revision", () => {
  const rounds = new Rounds();
  rounds.cluster.run(put("a", "x"));
  const round = rounds.begin(A, B, C);
  rounds.report(round, A, hash(1));
  expect(rounds.cluster.position.revision).toBe(1);
  expect(rounds.known).toMatchObject({ round, revision: 1, voters: [A, B, C], reports: [{ node: A }] });
});

test("C1: a replica that has another hash than a majority of the voters has diverged, a learner too", () => {
  const rounds = new Rounds();
  const round = rounds.begin(A, B, C);
  expect(verdictOf(rounds.report(round, C, hash(2)))).toEqual({ kind: "open" });
  expect(verdictOf(rounds.report(round, A, hash(1)))).toEqual({ kind: "open" });
  expect(verdictOf(rounds.report(round, D, hash(3)))).toEqual({ kind: "open" });
  expect(verdictOf(rounds.report(round, B, hash(1)))).toMatchObject({ kind: "agreed", diverged: [C, D] });
  // It took its state from a peer.
  expect(verdictOf(rounds.report(round, C, REBUILT))).toMatchObject({ kind: "agreed", diverged: [D] });
});

test("C1: learners do not outvote voters", () => {
  const rounds = new Rounds();
  const round = rounds.begin(A);
  rounds.report(round, B, hash(2));
  rounds.report(round, C, hash(2));
  expect(verdictOf(rounds.report(round, A, hash(1)))).toMatchObject({ kind: "agreed", diverged: [B, C] });
});

test("C2: when every voter has reported and no majority agrees, nobody is right, until a later round agrees", () => {
  const rounds = new Rounds();
  const two = rounds.begin(A, B);
  rounds.report(two, A, hash(1));
  expect(rounds.known.splitAt).toBe(0);
  expect(verdictOf(rounds.report(two, B, hash(2)))).toEqual({ kind: "split" });
  expect(rounds.known.splitAt).toBe(two);
  const three = rounds.begin(A, B, C);
  for (const [node, fill] of [
    [A, 1],
    [B, 2],
    [C, 3],
  ] as const)
    rounds.report(three, node, hash(fill));
  expect(rounds.known.splitAt).toBe(three);
  const one = rounds.begin(A);
  expect(rounds.known.splitAt).toBe(three);
  rounds.report(one, A, hash(1));
  expect(rounds.known.splitAt).toBe(0);
});

test("who gave up counts for nobody, and a round that they leave open decides nothing", () => {
  const rounds = new Rounds();
  const round = rounds.begin(A, B, C);
  rounds.report(round, A, hash(1));
  rounds.report(round, B, hash(2));
  expect(verdictOf(rounds.report(round, C, GAVE_UP))).toEqual({ kind: "open" });
  expect(rounds.known.splitAt).toBe(0);
});

test("C1: a round is undecided when all voters have reported, some differ, and no majority tells who is right", () => {
  const rounds = new Rounds();
  const round = rounds.begin(A, B, C);
  const undecided = (node: NodeId, finding: Finding): boolean => isUndecided(rounds.report(round, node, finding));
  expect(isUndecided(rounds.known)).toBe(false);
  expect(undecided(A, hash(1))).toBe(false);
  expect(undecided(C, GAVE_UP)).toBe(false);
  // A learner's word is no voter's.
  expect(undecided(D, hash(2))).toBe(false);
  expect(undecided(B, hash(2))).toBe(true);
  for (const [said, is] of [
    [[hash(1), hash(1), GAVE_UP], false],
    [[hash(1), GAVE_UP, GAVE_UP], false],
    [[GAVE_UP, GAVE_UP, GAVE_UP], false],
    [[hash(1), hash(2), hash(2)], false],
    [[hash(1), hash(2), hash(3)], false],
    [[hash(1), GAVE_UP, hash(2)], true],
  ] as const) {
    const next = rounds.begin(A, B, C);
    for (const [i, node] of [A, B, C].entries()) rounds.report(next, node, said[i] ?? GAVE_UP);
    expect(isUndecided(rounds.known)).toBe(is);
  }
  const learns = rounds.begin(A, B);
  rounds.report(learns, A, GAVE_UP);
  rounds.report(learns, B, hash(1));
  expect(isUndecided(rounds.report(learns, D, hash(2)))).toBe(true);
});

test("a replica's first word stands, and what is said of another round is late", () => {
  const rounds = new Rounds();
  const old = rounds.begin(A, B, C);
  const round = rounds.begin(A, B, C);
  rounds.report(old, A, hash(9));
  rounds.report(round, A, hash(1));
  rounds.report(round, A, hash(2));
  rounds.report(round, B, hash(1));
  expect(rounds.known.reports).toEqual([
    { node: A, finding: hash(1) },
    { node: B, finding: hash(1) },
  ]);
});

test("X1: of one round at most as many report as a group has members", () => {
  const rounds = new Rounds();
  const round = rounds.begin(A);
  for (let i = 0; i < 20; i++) rounds.report(round, `x${i}` as NodeId, hash(i));
  expect(rounds.known.reports).toHaveLength(14);
  expect(rounds.known.round).toBe(index(round));
});
