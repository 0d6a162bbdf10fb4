import { referenceText } from "@openclaw/demo/check/reference.ts";
import { loadTrace, parseTrace } from "@openclaw/demo/check/trace.ts";
import { expect, test } from "vitest";

const TRACE = new URL("../../data/friendsforever.json.gz", import.meta.url).pathname;

test("positions hold at the parents' heads, not at what is merged by then", () => {
  const { transactions } = parseTrace(
    {
      endContent: "XabcY",
      txns: [
        { agent: 0, parents: [], patches: [[0, 0, "abc"]] },
        { agent: 0, parents: [0], patches: [[0, 0, "X"]] },
        { agent: 1, parents: [0], patches: [[3, 0, "Y"]] },
        { agent: 0, parents: [1, 2], patches: [[2, 1, "B"]] },
      ],
    },
    "f",
  );
  expect(referenceText(transactions.slice(0, 3))).toBe("XabcY");
  expect(referenceText(transactions)).toBe("XaBcY");
});

test("the first 1,000 transactions of friendsforever come to a text that begins as they typed it", async () => {
  const { transactions } = await loadTrace(TRACE);
  expect(referenceText(transactions.slice(0, 1_000)).slice(0, 40)).toBe(
    "An epic synopsis of friends for the win.".slice(0, 40),
  );
});
