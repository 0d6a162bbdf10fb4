/** The hash of all rows as of one moment, taken while rows are written (D6). */
import { compareBytes } from "@openclaw/core/bytes.ts";
import { StateScan } from "@openclaw/core/state-machine/state-scan.ts";
import type { Write } from "@openclaw/core/state-machine/view.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { hashOfRows, sha256 } from "./one-cluster.ts";

const key = fc.uint8Array({ minLength: 1, maxLength: 2 }).map((bytes) => bytes.map((byte) => byte % 24));
const value = fc.oneof(fc.uint8Array({ maxLength: 6 }), fc.constant(new Uint8Array(30_000)));
const write: fc.Arbitrary<Write> = fc.record({ key, value: fc.option(value, { freq: 4 }) });
const writes = fc
  .array(write, { maxLength: 12 })
  .map((all) => all.filter((one, i) => all.findIndex((other) => compareBytes(one.key, other.key) === 0) === i));

test("the hash is that of the rows when the scan began, whatever is written between its slices", () => {
  let hidden = 0;
  fc.assert(
    fc.property(fc.array(write, { minLength: 100, maxLength: 500, size: "max" }), fc.array(writes), (rows, later) => {
      const view = new MemoryView();
      view.write(rows);
      const expected = hashOfRows(new MemoryView(view.rows()));
      const scan = new StateScan(view, sha256);
      for (let slice = 0; ; slice++) {
        const batch = later[slice] ?? [];
        scan.before(batch);
        view.write(batch);
        const step = scan.advance();
        if (step.kind === "more") continue;
        expect(step).toEqual({ kind: "done", sum: expected });
        if (slice > 0 && later.length > 0 && hashOfRows(view).rows !== expected.rows) hidden++;
        return;
      }
    }),
    { numRuns: 300 },
  );
  // Runs of more than one slice, in which something was written that must not be seen.
  expect(hidden).toBeGreaterThan(100);
});

test("X1: a scan under which more is written than it may keep is given up", () => {
  const view = new MemoryView();
  const row = (at: number, fill: number): Write => ({
    key: Uint8Array.of(at >> 8, at % 256),
    value: new Uint8Array(1_000).fill(fill),
  });
  for (let at = 0; at < 400; at++) view.write([row(at, 1)]);
  const scan = new StateScan(view, sha256, 20_000);
  for (let step = 0; step < 3; step++) expect(scan.advance()).toEqual({ kind: "more" });
  // Of what was hashed nothing is kept, however often it is written.
  for (let at = 0; at < 8; at++) scan.before([row(at, 2)]);
  for (let at = 0; at < 40; at++) scan.before([row(at % 8, 3)]);
  expect(scan.advance().kind).toBe("more");
  for (let at = 300; at < 320; at++) scan.before([row(at, 2)]);
  expect(scan.advance()).toEqual({ kind: "gaveUp" });
  expect(scan.advance()).toEqual({ kind: "gaveUp" });
});
