/** A page takes what others changed in slices, so that typing never waits. How long its tasks are, `npm run bench -- typing` tells. */
import { SLICE_CHANGES_MAX } from "@openclaw/core/client/slices.ts";
import { expect, test } from "vitest";
import { typeWhileChangesArrive } from "./typing.ts";

const CHANGES = 1_000;

test("1,000 changes arrive while somebody types: in slices, others have a turn between two, and nothing is lost", async () => {
  const { seen, keys, texts, complaints } = await typeWhileChangesArrive(CHANGES);
  const changes = seen.pieces.map((piece) => piece.changes);
  expect(changes.reduce((sum, count) => sum + count, 0)).toBe(CHANGES);
  expect(Math.max(...changes)).toBeLessThanOrEqual(SLICE_CHANGES_MAX);
  // Before the first one the page had all the time.
  expect(seen.pieces.slice(1).filter(({ turns }) => turns === 0)).toEqual([]);
  expect(keys).toBeGreaterThan(0);
  expect(seen.keyDelays).toHaveLength(keys);
  expect(texts[0]).toBe(texts[1]);
  expect(complaints).toEqual([]);
});
