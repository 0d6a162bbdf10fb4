/** From one membership to the next, and the majorities of each (thesis §4.3). */
import { index, type NodeId } from "@openclaw/core/ids.ts";
import {
  founding,
  type Membership,
  type MembershipStep,
  type Stepped,
  settled,
  stepped,
} from "@openclaw/core/raft/membership.ts";
import { Quorum } from "@openclaw/core/raft/quorum.ts";
import { describe, expect, test } from "vitest";
import { nodeId } from "../../simulation/raft/fixtures.ts";

const A = nodeId("a");
const B = nodeId("b");
const C = nodeId("c");
const D = nodeId("d");
const ABC = founding([A, B, C]);

function must(result: Stepped): Membership {
  if (!result.ok) throw new Error(result.details);
  return result.membership;
}

describe("one step", () => {
  const cases: readonly (readonly [string, Membership, MembershipStep, Partial<Membership> | string])[] = [
    ["a new node is a learner", ABC, { kind: "add", node: D, replaces: null }, { voters: [A, B, C] }],
    ["a member is not added again", ABC, { kind: "add", node: B, replaces: null }, ABC],
    ["nobody replaces a stranger", ABC, { kind: "add", node: D, replaces: nodeId("x") }, "no voter"],
    ["a stranger is removed already", ABC, { kind: "remove", node: D }, ABC],
    [
      "a voter leaves through a joint configuration",
      ABC,
      { kind: "remove", node: C },
      { voters: [A, B], outgoing: [A, B, C] },
    ],
    ["the last voter stays", founding([A]), { kind: "remove", node: A }, "last voter"],
    [
      "an eighth voter is refused",
      founding(["1", "2", "3", "4", "5", "6", "7"].map(nodeId)),
      { kind: "add", node: D, replaces: null },
      "at most 7",
    ],
  ];
  for (const [name, membership, step, expected] of cases) {
    test(name, () => {
      const result = stepped(membership, step);
      if (typeof expected === "string")
        expect(result).toMatchObject({ ok: false, details: expect.stringContaining(expected) });
      else expect(must(result)).toMatchObject(expected);
    });
  }

  test("a learner that replaces a voter takes its place in one joint configuration", () => {
    const adding = must(stepped(ABC, { kind: "add", node: D, replaces: C }));
    expect(adding).toEqual({ ...ABC, learners: [{ id: D, replaces: C }] });
    const joint = must(stepped(adding, { kind: "promote", node: D }));
    expect(joint).toEqual({ voters: [A, B, D], outgoing: [A, B, C], learners: [] });
    expect(settled(joint)).toEqual(founding([A, B, D]));
    expect(stepped(joint, { kind: "remove", node: A })).toMatchObject({ ok: false, code: "MEMBERSHIP_PENDING" });
  });

  test("seven voters, one of them being replaced: there is room for its successor and for nobody else", () => {
    const seven = founding(["a", "b", "c", "e", "f", "g", "h"].map(nodeId));
    const replacing = must(stepped(seven, { kind: "add", node: D, replaces: A }));
    expect(stepped(replacing, { kind: "add", node: nodeId("i"), replaces: null })).toMatchObject({ ok: false });
    expect(stepped(replacing, { kind: "add", node: nodeId("i"), replaces: A })).toMatchObject({ ok: false });
  });

  test("pitfall 1: each two memberships that follow one another have no two majorities without a common voter, up to five voters (thesis §4.1)", () => {
    const names = ["a", "b", "c", "d", "e"].map(nodeId);
    let pairs = 0;
    for (let size = 1; size <= names.length; size++) {
      const before = founding(names.slice(0, size));
      const steps: MembershipStep[] = [
        ...names.map((node): MembershipStep => ({ kind: "remove", node })),
        ...names.map((node): MembershipStep => ({ kind: "add", node, replaces: null })),
      ];
      for (const step of steps) {
        const next = stepped(before, step);
        if (!next.ok || next.membership === before) continue;
        expect(overlap(before, next.membership)).toBe(true);
        expect(overlap(next.membership, settled(next.membership))).toBe(true);
        for (const { id } of next.membership.learners) {
          const promoted = must(stepped(next.membership, { kind: "promote", node: id }));
          expect(overlap(next.membership, promoted)).toBe(true);
          expect(overlap(promoted, settled(promoted))).toBe(true);
        }
        pairs++;
      }
    }
    expect(pairs).toBeGreaterThan(20);
  });
});

/** Whether every majority of the one shares a voter with every majority of the other. */
function overlap(one: Membership, other: Membership): boolean {
  const all = [...new Set([...new Quorum(one).voters, ...new Quorum(other).voters])];
  for (let mask = 0; mask < 2 ** all.length; mask++) {
    const inside = (voter: NodeId): boolean => ((mask >> all.indexOf(voter)) & 1) === 1;
    if (new Quorum(one).reached(inside) && new Quorum(other).reached((voter) => !inside(voter))) return false;
  }
  return true;
}

describe("R1: joint majorities (thesis §4.3)", () => {
  const joint = new Quorum({ voters: [A, B, D], outgoing: [A, B, C], learners: [{ id: nodeId("l"), replaces: null }] });

  test("both groups have to agree", () => {
    const reached = (...names: string[]): boolean => joint.reached((voter) => names.includes(voter));
    expect(reached("a", "b")).toBe(true);
    expect(reached("a", "c")).toBe(false);
    expect(reached("a", "d")).toBe(false);
    expect(reached("a", "c", "d")).toBe(true);
    expect(reached("c", "d", "l")).toBe(false);
  });

  test("one group that refuses is enough to lose", () => {
    const votes = new Map([
      [A, true],
      [C, false],
      [B, false],
    ]);
    expect(joint.tally(votes)).toBe("lost");
    expect(
      joint.tally(
        new Map([
          [A, true],
          [B, true],
        ]),
      ),
    ).toBe("won");
    expect(
      joint.tally(
        new Map([
          [A, true],
          [C, true],
        ]),
      ),
    ).toBe("pending");
  });

  test("what is held is held by both", () => {
    const of: Record<string, number> = { a: 9, b: 5, c: 1, d: 7 };
    expect(joint.held((voter) => index(of[voter] ?? 0))).toBe(5);
    expect(joint.held((voter) => index(voter === "b" ? 0 : (of[voter] ?? 0)))).toBe(1);
  });
});
