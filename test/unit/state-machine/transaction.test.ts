import { EMPTY_BYTES, utf8 } from "@openclaw/core/bytes.ts";
import type { RowCodec } from "@openclaw/core/state-machine/transaction.ts";
import { Transaction } from "@openclaw/core/state-machine/transaction.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { text } from "./one-cluster.ts";

const textRow: RowCodec<string> = { encode: utf8, decode: text };

test("a transaction reads its own writes, in scans too, and gives one write a changed row", () => {
  const key = fc.constantFrom("a", "aa", "b", "c", "ca", "d");
  const step = fc.tuple(key, fc.option(fc.constantFrom("1", "2")));
  fc.assert(
    fc.property(fc.array(step), fc.array(step), key, key, fc.nat(6), (before, steps, from, to, limit) => {
      const view = new MemoryView();
      const model = new Map<string, string>();
      for (const [k, v] of before) {
        view.write([{ key: utf8(k), value: v === null ? null : utf8(v) }]);
        if (v === null) model.delete(k);
        else model.set(k, v);
      }
      const tx = new Transaction(view);
      for (const [k, v] of steps) {
        if (v === null) tx.remove(utf8(k));
        else tx.write(utf8(k), textRow, v);
        if (v === null) model.delete(k);
        else model.set(k, v);
        expect(tx.read(utf8(k), textRow)).toBe(v ?? undefined);
      }
      const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      const inRange = expected.filter(([k]) => k >= from && k < to).slice(0, limit);
      const found = tx.scan(utf8(from), utf8(to), textRow, limit).map((row) => [text(row.key), row.value]);
      expect(found).toEqual(inRange);
      const writes = tx.writes();
      expect(writes).toHaveLength(new Set(steps.map(([k]) => k)).size);
      view.write(writes);
      expect(view.scan(EMPTY_BYTES, null, 100).map((row) => [text(row.key), text(row.value)])).toEqual(expected);
    }),
  );
});

test("a row is decoded and encoded once, however often it is touched", () => {
  const view = new MemoryView();
  view.write([{ key: utf8("a"), value: utf8("1") }]);
  let decoded = 0;
  let encoded = 0;
  const counting: RowCodec<string> = {
    encode(value) {
      encoded++;
      return utf8(value);
    },
    decode(bytes) {
      decoded++;
      return text(bytes);
    },
  };
  const tx = new Transaction(view);
  for (let i = 0; i < 10; i++) tx.write(utf8("a"), counting, `${tx.read(utf8("a"), counting)}!`);
  expect(tx.writes()).toHaveLength(1);
  expect([decoded, encoded]).toEqual([1, 1]);
});

test("long keys are told apart", () => {
  const tx = new Transaction(new MemoryView());
  const long = new Uint8Array(4_200).fill(255);
  const longer = new Uint8Array(4_201).fill(255);
  tx.write(long, textRow, "long");
  tx.write(longer, textRow, "longer");
  expect(tx.read(long, textRow)).toBe("long");
  expect(tx.writes()).toHaveLength(2);
});
