/** When a text had how many characters, as the benchmark of documents measures it. */
import { expect, test } from "vitest";
import { Growth } from "../../bench/harness/docs-growth.ts";

test("a length was reached when the text first had that many characters or more", async () => {
  const growth = new Growth();
  growth.shown(100, 1);
  growth.shown(104, 2);
  // A listener is called for other reasons, too.
  growth.shown(104, 3);
  growth.shown(112, 4);
  expect(await Promise.all([0, 100, 101, 104, 105, 108, 112].map((length) => growth.reached(length)))).toEqual([
    1, 1, 2, 2, 4, 4, 4,
  ]);
});

test("who waits for a length is told the moment at which it came, and nobody before", async () => {
  const growth = new Growth();
  const told: string[] = [];
  const both = [108, 104].map((length) => growth.reached(length).then((at) => told.push(`${length} at ${at}`)));
  growth.shown(100, 1);
  await Promise.resolve();
  expect(told).toEqual([]);
  growth.shown(104, 2);
  growth.shown(120, 3);
  await Promise.all(both);
  expect(told.toSorted()).toEqual(["104 at 2", "108 at 3"]);
});
