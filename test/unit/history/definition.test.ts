/** The checker agrees with the definition of linearizability, tried out on every order, on thousands of small histories. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkHistory } from "../../history/check.ts";
import type { Operation } from "../../history/history.ts";
import { checkKey } from "../../history/one-key.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { isLinearizable } from "./every-order.ts";
import { generatedHistory, type Shape, spoiled } from "./generated-history.ts";

const RUNS = 3_000;
const VALUES = [null, "0", "1", "2", "00", "01"];
const budget = { now: () => 0, milliseconds: 1, bytes: 100_000_000 };

const shapes: fc.Arbitrary<Shape> = fc.record({
  operations: fc.integer({ min: 1, max: 8 }),
  processes: fc.integer({ min: 1, max: 4 }),
  keys: fc.integer({ min: 1, max: 2 }),
  values: fc.option(fc.integer({ min: 1, max: 3 })),
  unknown: fc.constantFrom(0, 0.2, 0.5),
  kinds: fc.constantFrom<Shape["kinds"][]>(
    ["get", "put"],
    ["get", "put", "cas"],
    ["get", "put", "append", "delete"],
    ["get", "put", "cas", "delete", "append"],
  ),
});

test("it gives the verdict of a search through every order", () => {
  const seen = { linearizable: 0, "not linearizable": 0 };
  fc.assert(
    fc.property(shapes, fc.integer(), fc.integer({ min: 0, max: 2 }), (shape, seed, spoilings) => {
      const random = new SeededRandom(seed);
      let history = generatedHistory(random, shape);
      for (let i = 0; i < spoilings; i++) history = spoiled(random, history, VALUES);
      const expected = isLinearizable(history) ? "linearizable" : "not linearizable";
      seen[expected]++;
      expect(checkHistory(history, budget).verdict).toBe(expected);
    }),
    { numRuns: RUNS },
  );
  // The comparison is worth something only if both verdicts are common.
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(RUNS / 20);
});

const LARGE: readonly Shape[] = [
  { operations: 300, processes: 5, keys: 1, values: 5, unknown: 0.15, kinds: ["get", "put", "cas"] },
  { operations: 1_000, processes: 20, keys: 5, values: null, unknown: 0.05, kinds: ["get", "put", "cas", "delete"] },
  { operations: 1_000, processes: 50, keys: 10, values: null, unknown: 0.02, kinds: ["get", "append", "put"] },
];

test.each(LARGE)("a history of a correct store has an order: $operations operations, $processes processes", (shape) => {
  for (let seed = 1; seed <= 5; seed++) {
    const history = generatedHistory(new SeededRandom(seed), shape);
    expect(checkHistory(history, { ...budget, bytes: 1_000_000_000 }).verdict).toBe("linearizable");
  }
});

test.each(LARGE)("a value that nobody wrote is found: $operations operations, $processes processes", (shape) => {
  const history = generatedHistory(new SeededRandom(1), shape);
  // With many unknown outcomes before it, a search that has to rule out each of them is long: not at the end, then.
  const at = history.findIndex(({ outcome }, i) => outcome.kind === "saw" && i > 100);
  const invented = history.map(
    (operation, i): Operation => (i === at ? { ...operation, outcome: { kind: "saw", value: "invented" } } : operation),
  );
  expect(checkHistory(invented, budget).verdict).toBe("not linearizable");
});

test("the order that it finds is one: real time is kept, and each answer follows", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const shape: Shape = {
      operations: 60,
      processes: 6,
      keys: 1,
      values: 3,
      unknown: 0.2,
      kinds: ["get", "put", "cas"],
    };
    const history = generatedHistory(new SeededRandom(seed), shape);
    const result = checkKey(history, { now: () => 0, deadline: 1, bytes: 100_000_000 });
    if (result.kind !== "order") throw new Error(`seed ${seed}: ${result.kind}`);
    const { order } = result;
    expect(new Set(order).size).toBe(order.length);
    const answered = history.filter(({ outcome }) => outcome.kind !== "unknown");
    expect(answered.filter((operation) => !order.includes(operation))).toEqual([]);
    for (const [i, later] of order.entries()) {
      for (const earlier of order.slice(0, i)) {
        expect(later.returned === null || later.returned > earlier.invoked).toBe(true);
      }
    }
    // One after the other, with no overlap left, only this one order could explain the answers.
    const inOrder = order.map((operation, i): Operation => {
      const { call } = operation;
      const outcome =
        operation.outcome.kind === "unknown" && call.kind !== "get" ? ({ kind: "ok" } as const) : operation.outcome;
      return { ...operation, outcome, invoked: 2 * i, returned: 2 * i + 1 };
    });
    expect(isLinearizable(inOrder)).toBe(true);
  }
});
