/** S4: what was added to a subscription, and what was taken away, key by key. */
import { Buffer } from "node:buffer";
import { compareBytes, prefixEnd, utf8 } from "@openclaw/core/bytes.ts";
import { type DocumentName, DocumentNames } from "@openclaw/core/ledger/document-names.ts";
import {
  common,
  isNothing,
  isSame,
  type KeyInterval,
  type Scope,
  scopeOf,
  together,
  without,
} from "@openclaw/core/ledger/scope.ts";
import { bringsDocument, type Subscription } from "@openclaw/core/ledger/subscription.ts";
import fc from "fast-check";
import { expect, test } from "vitest";

const letter = fc.constantFrom(0, 1, 0xfe, 0xff);
const bytes = fc.array(letter, { maxLength: 3 }).map((list) => Uint8Array.from(list));
const subscription: fc.Arbitrary<Subscription> = fc.record({
  prefixes: fc.array(bytes, { maxLength: 4 }),
  collections: fc.uniqueArray(fc.constantFrom("a", "b", "c"), { maxLength: 3 }),
  mirrors: fc.boolean(),
  documents: fc.uniqueArray(
    fc.record({ collection: fc.constantFrom("a", "b", "c"), document: fc.constantFrom("x", "y", "é") }),
    { maxLength: 4, selector: ({ collection, document }) => `${collection}/${document}` },
  ),
});

const covers = ({ prefixes }: Subscription, key: Uint8Array): boolean =>
  prefixes.some((prefix) => compareBytes(prefix, key.subarray(0, prefix.length)) === 0);
const isIn = (intervals: readonly KeyInterval[], key: Uint8Array): boolean =>
  intervals.some(({ from, to }) => compareBytes(from, key) <= 0 && (to === null || compareBytes(key, to) < 0));

test("S4: every key is in the difference that the two subscriptions say it is in", () => {
  fc.assert(
    fc.property(subscription, subscription, fc.array(letter, { maxLength: 5 }), (a, b, list) => {
      const key = Uint8Array.from(list);
      const [inA, inB] = [covers(a, key), covers(b, key)];
      const added = without(scopeOf(a), scopeOf(b));
      expect(isIn(scopeOf(a).own, key)).toBe(inA);
      expect(isIn(added.own, key)).toBe(inA && !inB);
      expect(isIn(added.mirrored, key)).toBe(a.mirrors && inA && !(b.mirrors && inB));
      expect(isIn(together(scopeOf(a), scopeOf(b)).own, key)).toBe(inA || inB);
      expect(isIn(scopeOf(common(a, b)).own, key)).toBe(inA && inB);
      expect(added.collections).toEqual(a.collections.filter((one) => !b.collections.includes(one)).sort());
    }),
    { numRuns: 3_000 },
  );
});

test("S4: every document is in the difference that the two subscriptions say it is in", () => {
  const isNamed = ({ collections, documents }: Scope, one: DocumentName): boolean =>
    collections?.includes(one.collection) !== false || new DocumentNames(documents).has(one);
  const name = fc.record({ collection: fc.constantFrom("a", "b", "c"), document: fc.constantFrom("x", "y", "é", "z") });
  fc.assert(
    fc.property(subscription, subscription, name, (a, b, one) => {
      const [inA, inB] = [bringsDocument(a, one), bringsDocument(b, one)];
      expect(isNamed(scopeOf(a), one)).toBe(inA);
      expect(isNamed(together(scopeOf(a), scopeOf(b)), one)).toBe(inA || inB);
      expect(bringsDocument(common(a, b), one)).toBe(inA && inB);
      const added = without(scopeOf(a), scopeOf(b));
      // A collection that is added comes whole, with what of it was named before.
      const isWhole = a.collections.includes(one.collection) && !b.collections.includes(one.collection);
      expect(isNamed(added, one)).toBe(isWhole || (inA && !inB));
      for (const { documents, collections } of [scopeOf(a), added, together(scopeOf(a), scopeOf(b))])
        expect(documents.some(({ collection }) => collections?.includes(collection))).toBe(false);
    }),
    { numRuns: 3_000 },
  );
});

test("S4: intervals ascend, apart from one another: both ends of a link count the same sections", () => {
  fc.assert(
    fc.property(subscription, subscription, (a, b) => {
      const { own } = without(scopeOf(a), scopeOf(b));
      for (const [i, { from, to }] of own.entries()) {
        if (to !== null) expect(compareBytes(from, to)).toBeLessThan(0);
        const next = own[i + 1];
        if (next !== undefined) expect(to !== null && compareBytes(to, next.from) < 0).toBe(true);
      }
    }),
  );
});

test("S4: a subscription is the same as itself in other words", () => {
  fc.assert(
    fc.property(subscription, (one) => {
      const documents = [...(one.documents ?? [])].reverse();
      const twice = { ...one, prefixes: [...one.prefixes, ...one.prefixes].reverse(), documents };
      expect(isSame(one, twice)).toBe(true);
      expect(isSame(one, { ...one, documents: [...documents, { collection: "d", document: "x" }] })).toBe(false);
      expect(isNothing(without(scopeOf(one), scopeOf(null)))).toBe(true);
      expect(isSame(one, null)).toBe(false);
    }),
  );
});

test("X1: the end of a prefix leaves the prefix as it is, also where it is a piece of what was read", () => {
  const read = Buffer.from("config/");
  expect(prefixEnd(read)).toEqual(utf8("config0"));
  expect([...read]).toEqual([...utf8("config/")]);
});
