/** Within its budgets the checker decides, and beyond them it says "unknown" and of what there was not enough. */
import { expect, test } from "vitest";
import { checkHistory } from "../../history/check.ts";
import type { Operation } from "../../history/history.ts";
import { Visited } from "../../history/visited.ts";

/** Writes that are all open at once and all seen later in an order that none of them has: every order must be tried. */
function hard(key: string, width: number): readonly Operation[] {
  const writes = Array.from({ length: width }, (_, i): Operation => {
    const call = { kind: "put", value: `${i % (width / 2)}` } as const;
    return { process: i, key, call, invoked: i, returned: 1_000 + i, outcome: { kind: "ok" } };
  });
  const reads = Array.from({ length: width }, (_, i): Operation => {
    const value = `${(i * 7) % (width / 2)}`;
    const moment = 2_000 + 2 * i;
    return {
      process: i,
      key,
      call: { kind: "get" },
      invoked: moment,
      returned: moment + 1,
      outcome: { kind: "saw", value },
    };
  });
  return [...writes, ...reads];
}

const easy = (key: string, saw: string): readonly Operation[] => [
  { process: 0, key, call: { kind: "put", value: "1" }, invoked: 1, returned: 2, outcome: { kind: "ok" } },
  { process: 0, key, call: { kind: "get" }, invoked: 3, returned: 4, outcome: { kind: "saw", value: saw } },
];

/** A clock that every look at it moves by a millisecond. */
function ticking(): () => number {
  let now = 0;
  return () => now++;
}

test("too little time: unknown, because of time", () => {
  const result = checkHistory(hard("k", 24), { now: ticking(), milliseconds: 10, bytes: 1_000_000_000 });
  expect(result).toEqual({
    verdict: "unknown",
    undecided: [{ key: "k", operations: 48, because: "time" }],
  });
});

test("too little memory: unknown, because of memory", () => {
  const result = checkHistory(hard("k", 24), { now: () => 0, milliseconds: 1, bytes: 300_000 });
  expect(result).toEqual({
    verdict: "unknown",
    undecided: [{ key: "k", operations: 48, because: "memory" }],
  });
});

test("enough of both: the same history is decided", () => {
  expect(checkHistory(hard("k", 8), { now: () => 0, milliseconds: 1, bytes: 100_000_000 }).verdict).toBe(
    "not linearizable",
  );
});

test("a key that is too hard leaves time for the others, and one violation decides", () => {
  const budget = { now: ticking(), milliseconds: 40, bytes: 1_000_000_000 };
  const history = [...hard("hard", 24), ...hard("harder", 26), ...easy("fine", "1")];
  const result = checkHistory(history, budget);
  expect(result.verdict === "unknown" && result.undecided.map(({ key }) => key)).toEqual(["hard", "harder"]);
  expect(checkHistory([...history, ...easy("broken", "2")], { ...budget, now: ticking() }).verdict).toBe(
    "not linearizable",
  );
});

test("visited: covered is what has the same key and has used all that an earlier one has used", () => {
  const visited = new Visited(2, 2, 1_000_000);
  const visit = (...words: number[]) => visited.visit(Int32Array.from(words));
  expect(visit(1, 1, 0b0110, 0)).toBe("new");
  expect(visit(1, 1, 0b0110, 0)).toBe("covered");
  expect(visit(1, 1, 0b1110, 1)).toBe("covered");
  expect(visit(1, 1, 0b0010, 1)).toBe("new");
  expect(visit(1, 2, 0b0110, 0)).toBe("new");
  expect(visit(1, 1, 0, 0)).toBe("new");
  expect(visit(1, 1, 0b1001, 1 << 31)).toBe("covered");
});

test("visited: nothing is forgotten when it grows, and it never takes more than its bytes", () => {
  const visited = new Visited(1, 0, 600_000);
  const words = new Int32Array(1);
  const visit = (word: number) => {
    words[0] = word;
    return visited.visit(words);
  };
  let count = 0;
  while (visit(count) === "new") count++;
  expect(count).toBeGreaterThan(10_000);
  expect(visit(count)).toBe("full");
  expect(visited.bytes).toBeLessThanOrEqual(600_000);
  for (let word = 0; word < count; word++) if (visit(word) !== "covered") throw new Error(`${word} is forgotten`);
});
