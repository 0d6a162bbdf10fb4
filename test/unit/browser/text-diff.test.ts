import fc from "fast-check";
import { expect, test } from "vitest";
import { diffTexts, shiftCaret } from "../../../demo/page/text-diff.ts";

test("the hunk turns one text into the other, and never cuts a character of two units", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\n", "😀", "😁", "é") });
  fc.assert(
    fc.property(text, text, (before, after) => {
      const hunk = diffTexts(before, after);
      if (hunk === null) return before === after;
      expect(before.slice(0, hunk.at) + hunk.inserted + before.slice(hunk.at + hunk.removed)).toBe(after);
      expect(hunk.inserted.isWellFormed()).toBe(true);
      return before.slice(hunk.at, hunk.at + hunk.removed).isWellFormed();
    }),
  );
});

test("one typed character is one inserted character", () => {
  expect(diffTexts("ab", "aab")).toEqual({ at: 1, removed: 0, inserted: "a" });
  expect(diffTexts("hello", "help")).toEqual({ at: 3, removed: 2, inserted: "p" });
  expect(diffTexts("😀", "😁")).toEqual({ at: 0, removed: 2, inserted: "😁" });
});

test("a caret stays with the character it stood before", () => {
  const insert = { at: 3, removed: 0, inserted: "xy" };
  expect([2, 3, 4].map((caret) => shiftCaret(caret, insert))).toEqual([2, 3, 6]);
  const remove = { at: 3, removed: 4, inserted: "" };
  expect([3, 5, 7, 9].map((caret) => shiftCaret(caret, remove))).toEqual([3, 3, 3, 5]);
});
