import { expect, test } from "vitest";
import type { EditBadge, ShownChange } from "../../../demo/page/edit-groups.ts";
import { groupEdits, summaryOf } from "../../../demo/page/edit-groups.ts";
import { unsafeChanges } from "../../../demo/page/unsafe-changes.ts";

const typed = (badge: EditBadge, time: number, inserted: string): ShownChange => ({
  badge,
  time,
  inserted,
  removed: 0,
});

test("what is typed without a pause is one edit, as safe as its least safe change", () => {
  const newestFirst = [typed("device", 14, "!"), typed("hub", 12, "b"), typed("site", 10, "a"), typed("hub", 5, "x")];
  expect(groupEdits(newestFirst, 10)).toEqual([typed("device", 10, "ab!"), typed("hub", 5, "x")]);
  expect(groupEdits(newestFirst, 1)).toEqual([typed("device", 10, "ab!")]);
  expect(summaryOf({ badge: "hub", time: 0, inserted: "", removed: 1 })).toBe("− 1 character");
});

test("what is not yet at the hub is told by where it is, the least safe first, since the oldest of it", () => {
  const changes = [
    typed("site", 100, "a"),
    typed("site", 101, "b"),
    typed("device", 110, "c"),
    typed("refused", 120, "d"),
    typed("device", 130, "e"),
  ];
  expect(unsafeChanges(changes, 2)).toEqual([
    { badge: "refused", count: 1, since: 120, isOlder: false, summary: "+ d" },
    { badge: "device", count: 2, since: 110, isOlder: false, summary: "+ c" },
    { badge: "site", count: 2, since: 100, isOlder: false, summary: "+ ab" },
  ]);
  expect(unsafeChanges([], 0)).toEqual([]);
});

test("what a client counts and does not tell of is not left out", () => {
  expect(unsafeChanges([typed("device", 110, "c")], 5)).toEqual([
    { badge: "device", count: 5, since: 110, isOlder: true, summary: "+ c" },
  ]);
  expect(unsafeChanges([], 3)).toEqual([{ badge: "device", count: 3, since: 0, isOlder: true, summary: "" }]);
  // On its way into the device's storage, it is counted as waiting for the site, too.
  expect(unsafeChanges([typed("saving", 110, "c")], 1)).toMatchObject([{ badge: "saving", count: 1, isOlder: false }]);
});

test("the beginning of a log has no time, and is the oldest only where there is nothing else", () => {
  const beginning = typed("device", 0, "");
  expect(unsafeChanges([beginning, typed("device", 110, "c")], 2)).toMatchObject([{ since: 110, summary: "+ c" }]);
  expect(unsafeChanges([beginning], 1)).toMatchObject([{ since: 0, summary: "began the log" }]);
});
