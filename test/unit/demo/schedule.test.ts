import { roundsOf } from "@openclaw/demo/check/schedule.ts";
import { loadTrace, parseTrace, type Transaction } from "@openclaw/demo/check/trace.ts";
import fc from "fast-check";
import { expect, test } from "vitest";

const TRACE = new URL("../../data/friendsforever.json.gz", import.meta.url).pathname;

const transaction = (agent: number, ...parents: number[]): Transaction => ({ agent, parents, patches: [[0, 0, "x"]] });

test("a run ends where the next transaction has a parent of the other's that was not exchanged", () => {
  // 0a ─ 1a ─ 3a ─ 5a(needs 4b)
  //   └─ 2b ─ 4b
  const trace = [
    transaction(0),
    transaction(0, 0),
    transaction(1, 0),
    transaction(0, 1),
    transaction(1, 2),
    transaction(0, 3, 4),
  ];
  expect(roundsOf(trace)).toEqual([
    [[0, 1, 3], []],
    [[], [2, 4]],
    [[5], []],
  ]);
});

test("both play in one round when neither needs the other", () => {
  const trace = [transaction(0), transaction(1), transaction(0, 0), transaction(1, 1)];
  expect(roundsOf(trace)).toEqual([
    [
      [0, 2],
      [1, 3],
    ],
  ]);
});

test("any trace: everything is played once, in its agent's order, after its parents, and no round is empty", () => {
  const traces = fc
    .array(fc.record({ agent: fc.integer({ min: 0, max: 1 }), back: fc.array(fc.nat(8), { maxLength: 3 }) }))
    .map((list) =>
      list.map(({ agent, back }, i) => transaction(agent, ...back.filter((b) => b < i).map((b) => i - 1 - b))),
    );
  fc.assert(
    fc.property(traces, (trace) => {
      const rounds = roundsOf(trace);
      const playedBefore = new Set<number>();
      for (const round of rounds) {
        expect(round.flat().length).toBeGreaterThan(0);
        for (const [agent, run] of round.entries()) {
          const own = new Set<number>();
          for (const i of run) {
            expect(trace[i]?.agent).toBe(agent);
            for (const parent of trace[i]?.parents ?? [])
              expect(playedBefore.has(parent) || own.has(parent)).toBe(true);
            own.add(i);
          }
        }
        for (const i of round.flat()) playedBefore.add(i);
      }
      for (const agent of [0, 1]) {
        const played = rounds.flatMap((round) => round[agent] ?? []);
        expect(played).toEqual(trace.flatMap((t, i) => (t.agent === agent ? [i] : [])));
      }
    }),
  );
});

test("the first 1,000 transactions of friendsforever take 47 rounds", async () => {
  const { transactions } = await loadTrace(TRACE);
  expect(transactions).toHaveLength(26_078);
  expect(roundsOf(transactions.slice(0, 1_000))).toHaveLength(47);
});

test("a file that is no trace is refused in words", async () => {
  const txns = (...list: unknown[]) => ({ endContent: "", txns: list });
  expect(() => parseTrace({ txns: [] }, "f")).toThrow(/f is no concurrent editing trace/);
  expect(() => parseTrace(txns({ parents: [0], agent: 0, patches: [] }), "f")).toThrow(/transaction 0 has a parent/);
  expect(() => parseTrace(txns({ parents: [], agent: 2, patches: [] }), "f")).toThrow(/agents 0 and 1/);
  await expect(loadTrace("no-such-file")).rejects.toThrow(/cannot be read/);
});
