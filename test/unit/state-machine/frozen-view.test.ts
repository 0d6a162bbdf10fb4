/** A read in steps sees one state, whatever is written between its steps. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { FrozenView } from "@openclaw/core/state-machine/frozen-view.ts";
import { pagesOf } from "@openclaw/core/state-machine/row-pages.ts";
import type { Row, Write } from "@openclaw/core/state-machine/view.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";

/** Few, so that writes meet what is read; many enough for several pages. */
const key = fc.nat(60).map((n) => utf8(`k${String(n).padStart(2, "0")}`));
const value = fc.uint8Array({ maxLength: 3 });
const writes: fc.Arbitrary<readonly Write[]> = fc.array(fc.record({ key, value: fc.option(value) }), { maxLength: 12 });

test("X1: between the pages of a read anything may be written: the rows are those of its beginning, forwards only", () => {
  fc.assert(
    fc.property(writes, writes, fc.array(writes, { maxLength: 12 }), fc.boolean(), (first, second, between, open) => {
      const present = new MemoryView();
      for (const some of [first, second]) present.write(some);
      const to = open ? null : utf8("k50");
      const expected = present.scan(utf8("k05"), to, 1_000);
      const frozen = new FrozenView(present, 1_000_000);
      const write = (some: readonly Write[] = []): void => {
        frozen.replaced(some);
        present.write(some);
      };
      write(between[0]);
      const seen: Row[] = [];
      let at = 1;
      for (const page of pagesOf(frozen, utf8("k05"), to)) {
        seen.push(...page);
        write(between[at++]);
      }
      expect(seen).toEqual(expected);
    }),
    { numRuns: 2_000 },
  );
});

test("X1: between the parts of a count anything may be written: it counts the rows of its beginning", () => {
  const limits = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(
      writes,
      writes,
      fc.array(writes, { maxLength: 12 }),
      fc.boolean(),
      limits,
      (a, b, between, open, limit) => {
        const present = new MemoryView();
        for (const some of [a, b]) present.write(some);
        const to = open ? null : utf8("k50");
        const expected = present.scan(utf8("k05"), to, 1_000).length;
        const frozen = new FrozenView(present, 1_000_000);
        let rows = 0;
        let at = 0;
        for (let next: Uint8Array | null = utf8("k05"); next !== null; ) {
          const some = between[at++] ?? [];
          frozen.replaced(some);
          present.write(some);
          const part = frozen.count(next, to, limit);
          rows += part.rows;
          next = part.next;
        }
        expect(rows).toBe(expected);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("a row that is asked for by its key is the one of the beginning", () => {
  const [a, b] = [utf8("a"), utf8("b")];
  const present = new MemoryView([{ key: a, value: utf8("1") }]);
  const frozen = new FrozenView(present, 1_000);
  for (const some of [[{ key: a, value: utf8("2") }], [{ key: a, value: null }], [{ key: b, value: utf8("new") }]]) {
    frozen.replaced(some);
    present.write(some);
  }
  expect(frozen.get(a)).toEqual(utf8("1"));
  expect(frozen.get(b)).toBeUndefined();
  expect(frozen.scan(utf8(""), null, 9)).toEqual([{ key: a, value: utf8("1") }]);
});

test("X1: where more is replaced than may be kept the read is refused OVERLOADED, and the writes go on", () => {
  const present = new MemoryView([{ key: utf8("a"), value: new Uint8Array(600) }]);
  const frozen = new FrozenView(present, 500);
  frozen.replaced([{ key: utf8("a"), value: null }]);
  frozen.replaced([{ key: utf8("b"), value: null }]);
  for (const ask of [() => frozen.get(utf8("a")), () => frozen.scan(utf8("a"), null, 1)])
    expect(ask).toThrow(expect.objectContaining({ code: "OVERLOADED" }));
});

test("X1: a row that is kept costs about the same however many are kept already", () => {
  const present = new MemoryView();
  const spread = (n: number): Uint8Array => utf8(((n * 2_654_435_761) % 4_294_967_296).toString(16).padStart(8, "0"));
  let next = 0;
  const keep = (frozen: FrozenView, rows: number): number => {
    const began = performance.now();
    for (const end = next + rows; next < end; next++) frozen.replaced([{ key: spread(next), value: null }]);
    return performance.now() - began;
  };
  const few = Math.min(...Array.from({ length: 5 }, () => keep(new FrozenView(present, 1e9), 2_000)));
  const frozen = new FrozenView(present, 1e9);
  keep(frozen, 100_000);
  const many = Math.min(...Array.from({ length: 5 }, () => keep(frozen, 2_000)));
  expect(many).toBeLessThan(few * 20 + 5);
});

test("many rows that were replaced, in any order, come in theirs", () => {
  const numbers = Array.from({ length: 5_000 }, (_, n) => (n * 7_919) % 5_000);
  const rows = numbers.map((n) => ({ key: utf8(String(n).padStart(5, "0")), value: utf8(String(n)) }));
  const present = new MemoryView();
  present.write(rows);
  const expected = present.scan(utf8(""), null, 10_000);
  const frozen = new FrozenView(present, 1e9);
  for (const { key } of rows) {
    frozen.replaced([{ key, value: null }]);
    present.write([{ key, value: null }]);
  }
  expect([...pagesOf(frozen, utf8(""), null)].flat()).toEqual(expected);
});
