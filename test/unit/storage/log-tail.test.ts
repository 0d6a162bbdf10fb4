/** R5: what a start makes of a log's tail, its copy, and the rows that are readable. */
import { type Index, index, type Term, term } from "@openclaw/core/ids.ts";
import {
  decodeTail,
  EMPTY_TAIL,
  encodeTail,
  type LogTail,
  movedTail,
  reconcile,
} from "@openclaw/edge-runtime/storage/log-tail.ts";
import { describe, expect, test } from "vitest";
import { base, hardState } from "../../contracts/log-store.ts";

const tail = (commit: number, last: number, lastTerm: number, more: Partial<LogTail> = {}): LogTail => ({
  ...EMPTY_TAIL,
  commit,
  hardState: hardState(lastTerm, "california-1", last),
  last: index(last),
  lastTerm: term(lastTerm),
  highWater: index(last),
  ...more,
});

/** Terms of entries 1, 2, … */
const terms =
  (...of: readonly number[]) =>
  (at: Index): Term =>
    term(of[at - 1] ?? 0);

test("a tail comes back from its bytes", () => {
  const whole = tail(7, 9, 3, { base: base(4, 2), highWater: index(12), hardState: hardState(5, null, 4) });
  expect(decodeTail(encodeTail(whole))).toEqual(whole);
});

describe("R5: the high water", () => {
  test("follows a whole log up and down", () => {
    const at10 = movedTail(tail(1, 8, 1), index(10), term(2));
    expect(at10.highWater).toBe(10);
    expect(movedTail(at10, index(6), term(3)).highWater).toBe(6);
  });

  test("stays while entries are missing", () => {
    const missing = tail(1, 5, 1, { highWater: index(10) });
    expect(movedTail(missing, index(7), term(2)).highWater).toBe(10);
    expect(movedTail(missing, index(3), term(2)).highWater).toBe(10);
    expect(movedTail(missing, index(11), term(2)).highWater).toBe(11);
  });
});

describe("R5: at a start", () => {
  test("a log that is whole stays as it is, whether its copy is as new or older", () => {
    const stored = tail(9, 3, 2);
    const found = { stored, validLast: index(3), termAt: terms(1, 2, 2) };
    expect(reconcile({ ...found, copy: stored })).toEqual(stored);
    expect(reconcile({ ...found, copy: tail(8, 2, 1) })).toEqual(stored);
    expect(reconcile({ ...found, copy: null })).toEqual(stored);
  });

  test("a row that fails its check ends the log, and the high water tells of it", () => {
    const stored = tail(9, 5, 2);
    const found = reconcile({ stored, copy: stored, validLast: index(3), termAt: terms(1, 1, 2) });
    expect(found).toMatchObject({ last: 3, lastTerm: 2, highWater: 5, hardState: hardState(2, "california-1", 3) });
  });

  test("a copy of a later commit brings back the term and the vote, but no commit hint", () => {
    const copy = tail(12, 6, 4, { hardState: hardState(5, "california-3", 6) });
    const found = reconcile({ stored: tail(9, 3, 2), copy, validLast: index(3), termAt: terms(1, 2, 2) });
    expect(found).toMatchObject({ commit: 12, last: 3, highWater: 6, hardState: hardState(5, "california-3", 3) });
  });

  test("a lost truncation: entries above the copy's last are gone, and one of another term does not count", () => {
    const stored = tail(9, 8, 2);
    const found = { stored, validLast: index(8), termAt: terms(1, 1, 1, 1, 2, 2, 2, 2) };
    expect(reconcile({ ...found, copy: tail(10, 4, 1) })).toMatchObject({ last: 4, highWater: 4 });
    // The copy's entry 6 is of term 3, the database's of term 2: it was replaced, and the replacement is lost.
    expect(reconcile({ ...found, copy: tail(10, 6, 3) })).toMatchObject({ last: 5, highWater: 6 });
  });

  test("a lost reset leaves a high water that the state must reach", () => {
    const copy = tail(10, 100, 7, { base: base(100, 7) });
    const found = reconcile({ stored: tail(9, 3, 1), copy, validLast: index(3), termAt: terms(1, 1, 1) });
    expect(found).toMatchObject({ base: base(0, 0), last: 3, highWater: 100 });
  });
});
