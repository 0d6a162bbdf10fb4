/** The parts that have rules of their own, each alone. */

import { index, type NodeId, term } from "@openclaw/core/ids.ts";
import { Configurations } from "@openclaw/core/raft/configurations.ts";
import { Durability } from "@openclaw/core/raft/durability.ts";
import { Inflights } from "@openclaw/core/raft/inflights.ts";
import { RaftLog } from "@openclaw/core/raft/log.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { Progress } from "@openclaw/core/raft/progress.ts";
import { Quorum } from "@openclaw/core/raft/quorum.ts";
import { describe, expect, test } from "vitest";
import { entry, logOf, nodeId } from "../../simulation/raft/fixtures.ts";

const ZERO = { index: index(0), term: term(0) };
const end = (
  at: number,
  ofTerm: number,
): { readonly index: ReturnType<typeof index>; readonly term: ReturnType<typeof term> } => ({
  index: index(at),
  term: term(ofTerm),
});

describe("durability", () => {
  const accepted = (match: number): RaftMessage => ({
    kind: "appendAccepted",
    from: nodeId("a"),
    to: nodeId("b"),
    term: term(1),
    match: index(match),
  });

  test("pitfall 11: a truncation lowers what is durable, what was written, and what is in flight", () => {
    const durability = new Durability(nodeId("a"), index(0));
    durability.handOut(end(5, 1));
    durability.completed(end(5, 1));
    durability.handOut(end(8, 1));
    durability.truncated(index(3));
    expect([durability.durable, durability.written]).toEqual([2, 2]);
    durability.handOut(end(8, 2));
    // The first of the two says that entries up to 8 are on disk: not those that the log holds now.
    durability.completed(end(8, 1));
    expect(durability.durable).toBe(2);
    durability.completed(end(8, 2));
    expect(durability.durable).toBe(8);
  });

  test("after a snapshot, writes from before vouch for nothing, and unsent acknowledgements are gone", () => {
    const durability = new Durability(nodeId("a"), index(0));
    durability.handOut(end(80, 1));
    durability.answer(accepted(90));
    durability.reset(index(50));
    expect(durability.releaseIdle()).toEqual([]);
    expect(durability.completed(end(80, 1))).toEqual([]);
    expect(durability.durable).toBe(50);
  });

  test("this node's own vote is handed back on completion, and not to the network", () => {
    const durability = new Durability(nodeId("a"), index(0));
    const own: RaftMessage = { kind: "voteResponse", from: nodeId("a"), to: nodeId("a"), term: term(1), granted: true };
    durability.answer(own);
    durability.answer(accepted(1));
    expect(durability.handOut(end(0, 0))).toEqual([accepted(1)]);
    expect(durability.completed(end(0, 0))).toEqual([own]);
  });

  test("X1: answers that wait for one write are bounded", () => {
    const durability = new Durability(nodeId("a"), index(0));
    durability.handOut(end(1, 1));
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 3_000; count++) durability.answer(accepted(1));
      durability.releaseIdle();
    }
    expect(durability.completed(end(1, 1))).toHaveLength(4_096);
  });
});

describe("progress", () => {
  const replicating = (match: number, last: number): Progress => {
    const progress = new Progress(index(match + 1), 64, 1_000);
    progress.accepted(index(match), index(0));
    for (let at = match + 1; at <= last; at++) progress.sent(1, 1, index(0));
    return progress;
  };

  test("pitfall 20: match does not go back by an old answer, only by R5", () => {
    const progress = replicating(5, 9);
    progress.accepted(index(8), index(0));
    progress.accepted(index(6), index(0));
    expect([progress.match, progress.next]).toEqual([8, 10]);
    progress.uncounted(index(2), index(0), true);
    expect([progress.match, progress.countedMatch, progress.next, progress.state]).toEqual([2, 0, 3, "probe"]);
    progress.accepted(index(9), index(0));
    expect([progress.countedMatch, progress.state]).toEqual([9, "replicate"]);
  });

  test("an old rejection changes nothing, neither in replicate nor in probe", () => {
    const progress = replicating(5, 9);
    expect(progress.rejected(index(4), index(2))).toBe(false);
    expect([progress.state, progress.next]).toEqual(["replicate", 10]);
    expect(progress.rejected(index(9), index(7))).toBe(true);
    expect([progress.state, progress.next]).toEqual(["probe", 8]);
    expect(progress.rejected(index(9), index(5))).toBe(false);
    expect(progress.next).toBe(8);
    expect(progress.rejected(index(7), index(1))).toBe(true);
    expect(progress.next).toBe(6);
  });

  test("a probe waits for its answer; a sign of life lets an empty one follow", () => {
    const progress = new Progress(index(4), 64, 1_000);
    progress.sent(2, 2, index(0));
    expect([progress.paused, progress.next]).toEqual([true, 4]);
    progress.alive();
    expect([progress.paused, progress.probesEmpty]).toEqual([false, true]);
    progress.accepted(index(3), index(0));
    expect([progress.state, progress.paused, progress.probesEmpty]).toEqual(["replicate", false, false]);
  });

  test("X1: what is in flight is bounded in number and in bytes", () => {
    const byCount = new Inflights(2, 1_000);
    byCount.add(index(1), 1);
    byCount.add(index(2), 1);
    expect(byCount.full).toBe(true);
    byCount.freeUpTo(index(1));
    byCount.add(index(3), 1);
    byCount.freeUpTo(index(3));
    expect(byCount.count).toBe(0);
    const byBytes = new Inflights(100, 1_000);
    byBytes.add(index(1), 999);
    expect(byBytes.full).toBe(false);
    byBytes.add(index(2), 5_000);
    expect(byBytes.full).toBe(true);
    byBytes.freeUpTo(index(2));
    expect(byBytes.full).toBe(false);
  });
});

const nobody = (): Configurations => new Configurations(nodeId("a"), founding([]), index(0));

describe("log", () => {
  test("a gap, a term that goes down, and a cut below the commit are bugs", () => {
    const log = new RaftLog(ZERO, logOf(1, 2, 2), index(2), nobody());
    expect(() => log.append(entry(5, 2))).toThrow("does not follow");
    expect(() => log.append(entry(4, 1))).toThrow("older term");
    expect(() => log.truncate(index(2))).toThrow("is committed");
    expect(() => log.merge([entry(2, 3)])).toThrow("is committed");
    expect(() => log.commitTo(index(4))).toThrow("past the last entry");
    expect(() => log.reset({ index: index(2), term: term(2) }, founding([]))).toThrow("pitfall 12");
  });

  test("where two logs may meet: the last entry of at most a term", () => {
    const log = new RaftLog(
      { index: index(2), term: term(1) },
      [entry(3, 1), entry(4, 4), entry(5, 4), entry(6, 7)],
      index(2),
      nobody(),
    );
    const cases = [
      [9, 6, 6],
      [7, 99, 6],
      [6, 6, 5],
      [4, 4, 4],
      [3, 6, 3],
      [0, 6, 2],
      [4, 1, 2],
    ] as const;
    for (const [limit, upTo, expected] of cases) {
      expect(log.lastWithTermAtMost(term(limit), index(upTo))).toBe(expected);
    }
  });

  test("a slice holds one entry at least, and no more than its limits", () => {
    const log = new RaftLog(ZERO, logOf(1, 1, 1, 1, 1), index(0), nobody());
    const lengths = [
      [1, 99],
      [39, 99],
      [40, 99],
      [1_000, 2],
      [1_000, 99],
    ].map(([bytes = 0, items = 0]) => log.slice(index(2), index(5), bytes, items).length);
    expect(lengths).toEqual([1, 2, 2, 2, 4]);
  });
});

describe("quorum", () => {
  const quorum = (size: number): Quorum => new Quorum(founding(["a", "b", "c", "d", "e"].slice(0, size).map(nodeId)));
  const held = (...matches: readonly number[]): number => {
    const of = new Map(quorum(5).voters.map((voter, at) => [voter, matches[at] ?? 0]));
    return quorum(matches.length).held((voter) => index(of.get(voter) ?? 0));
  };

  test("pitfall 34: a majority of two is two", () => {
    const needed = (size: number): number => {
      for (let count = 0; ; count++) {
        const agree = new Set(quorum(size).voters.slice(0, count));
        if (quorum(size).reached((voter) => agree.has(voter))) return count;
      }
    };
    expect([1, 2, 3, 4, 5].map(needed)).toEqual([1, 2, 2, 3, 3]);
  });

  test("what a majority holds", () => {
    expect([held(7), held(7, 3), held(7, 3, 5), held(1, 2, 3, 4), held(9, 9, 1, 1, 5)]).toEqual([7, 3, 5, 2, 5]);
  });

  test("a vote is won, lost or open", () => {
    const votes = (...given: readonly (boolean | null)[]): string => {
      const map = new Map<NodeId, boolean>();
      for (const [at, vote] of given.entries()) if (vote !== null) map.set(quorum(5).voters[at] ?? nodeId("a"), vote);
      return quorum(given.length).tally(map);
    };
    expect(votes(true, null, null)).toBe("pending");
    expect(votes(true, true, null)).toBe("won");
    expect(votes(true, false, false)).toBe("lost");
    expect(votes(true, false, null, null)).toBe("pending");
    expect(votes(true, true, false, false)).toBe("lost");
  });
});
