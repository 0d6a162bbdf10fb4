import { compareBytes } from "@openclaw/core/bytes.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { isClusterId } from "@openclaw/core/ids.ts";
import { DocumentKeys, keyOfRow, keyRange, keyRowKey } from "@openclaw/core/state-machine/keyspace.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { actorId } from "./one-cluster.ts";

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,5}$/).filter((text): text is ClusterId => isClusterId(text));
const origin = fc.option(name);
const key = fc.uint8Array({ minLength: 1, maxLength: 6 });
/** Names that run into each other where they are put together carelessly. */
const part = fc
  .array(fc.constantFrom("a", "b", "\u0000", "\u0001", "é"), { minLength: 1, maxLength: 4 })
  .map((all) => all.join(""));

test("rows of keys sort as the keys do, and give them back", () => {
  fc.assert(
    fc.property(origin, key, key, (of, a, b) => {
      const order = compareBytes(keyRowKey(of, a), keyRowKey(of, b));
      expect(Math.sign(order)).toBe(Math.sign(compareBytes(a, b)));
      expect(keyOfRow(of, keyRowKey(of, a))).toEqual(a);
    }),
  );
});

test("two names never give one row, and a range holds its own origin's keys only", () => {
  fc.assert(
    fc.property(origin, key, origin, key, (of, a, other, b) => {
      const same = of === other && compareBytes(a, b) === 0;
      expect(compareBytes(keyRowKey(of, a), keyRowKey(other, b)) === 0).toBe(same);
      const { from, to } = keyRange(of, new Uint8Array(0), null);
      const row = keyRowKey(other, b);
      expect(compareBytes(from, row) <= 0 && compareBytes(row, to) < 0).toBe(of === other);
    }),
  );
});

test("two documents never share a row", () => {
  const rowsOf = (collection: string, document: string): string[] => {
    const keys = new DocumentKeys(collection, document);
    const hash = new Uint8Array(32).fill(7);
    const all = [
      keys.document,
      keys.change(hash),
      keys.accepted(1),
      keys.pending(hash),
      keys.quarantined(hash),
      keys.authored(actorId("a"), 1),
    ];
    return all.map((row) => row.join());
  };
  fc.assert(
    fc.property(part, part, part, part, (c1, d1, c2, d2) => {
      fc.pre(c1 !== c2 || d1 !== d2);
      const seen = new Set(rowsOf(c1, d1));
      expect(rowsOf(c2, d2).some((row) => seen.has(row))).toBe(false);
    }),
  );
});

test("positions sort as numbers", () => {
  const keys = new DocumentKeys("notes", "log");
  const positions = [1, 2, 255, 256, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 40];
  const rows = positions.map((position) => keys.accepted(position));
  expect([...rows].sort(compareBytes)).toEqual(rows);
  expect(keys.authored(actorId("a"), 2 ** 33)).not.toEqual(keys.authored(actorId("a"), 2 ** 33 + 1));
});
