import { expect, test } from "vitest";
import { showSync } from "../../../demo/page/sync-view.ts";

const view = () => ({
  row: { hidden: true },
  bar: {
    max: 1,
    value: 0,
    isIndeterminate: false,
    removeAttribute(name: string) {
      this.isIndeterminate = name === "value";
    },
  },
  text: { textContent: "" },
});

test("the bar is there while a copy of some size comes, and tells how far it is", () => {
  const shown = view();
  showSync(shown, { sync: { kind: "waiting" } });
  expect(shown.row.hidden).toBe(true);
  showSync(shown, { sync: { kind: "snapshot", received: 12, expected: 1_999 } });
  expect(shown.row.hidden).toBe(true);
  showSync(shown, { sync: { kind: "snapshot", received: 1_536, expected: 40_000 } });
  expect(shown).toMatchObject({ row: { hidden: false }, bar: { max: 40_000, value: 1_536 } });
  expect(shown.text.textContent).toBe("1,536 of 40,000");
  // What was counted was of a little later.
  showSync(shown, { sync: { kind: "snapshot", received: 40_001, expected: 40_000 } });
  expect(shown.bar).toMatchObject({ max: 40_001, value: 40_001 });
  showSync(shown, { sync: { kind: "streaming" } });
  expect(shown.row.hidden).toBe(true);
});

test("where nobody knows how much there is the bar is indeterminate, and the count goes on", () => {
  const shown = view();
  showSync(shown, { sync: { kind: "snapshot", received: 500_000, expected: null } });
  expect(shown).toMatchObject({
    row: { hidden: false },
    bar: { isIndeterminate: true },
    text: { textContent: "500,000 so far" },
  });
});
