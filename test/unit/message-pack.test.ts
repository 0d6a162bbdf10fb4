import { decode, type Encodable, encode, encodePooled } from "@openclaw/core/codec.ts";
import fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { expect, test } from "vitest";

const packr = new Packr({ useRecords: false });

const scalar = fc.oneof(
  fc.constantFrom(null, true, false),
  fc.maxSafeInteger(),
  fc.integer({ min: -70_000, max: 70_000 }),
  fc.constantFrom(0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -32, -33, -128, -129),
  fc.constantFrom(-(2 ** 15), -(2 ** 15) - 1, -(2 ** 31), -(2 ** 31) - 1),
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc.string({ unit: "binary-ascii", maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }),
);
const value: fc.Arbitrary<Encodable> = fc.letrec<{ value: Encodable }>((tie) => ({
  value: fc.oneof({ maxDepth: 5 }, scalar, fc.array(tie("value"), { maxLength: 20 })),
})).value;

const refused = (bytes: readonly number[] | Uint8Array) =>
  expect(() => decode(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: "MALFORMED_FRAME" }));

test("X1: what is encoded is MessagePack in its shortest form, byte for byte as another writes it, and reads back equal", () => {
  fc.assert(
    fc.property(value, (one) => {
      const bytes = encode(one);
      expect(Buffer.from(bytes).equals(packr.pack(one))).toBe(true);
      expect(decode(bytes)).toEqual(one);
    }),
    { numRuns: 2_000 },
  );
});

test("long texts, bytes and lists, at each width of their length", () => {
  for (const length of [15, 16, 31, 32, 40, 41, 255, 256, 65_535, 65_536, 200_000]) {
    for (const one of [
      "a".repeat(length),
      "é".repeat(length),
      new Uint8Array(length).fill(7),
      new Array(length).fill(1),
    ]) {
      const bytes = encode(one);
      expect(Buffer.from(bytes).equals(packr.pack(one))).toBe(true);
      expect(decode(bytes)).toEqual(one);
    }
  }
});

test("a text keeps its byte order mark; half of a surrogate pair becomes U+FFFD, short or long", () => {
  expect(decode(encode("\ufefftext"))).toBe("\ufefftext");
  expect(decode(encode("\ud800"))).toBe("\ufffd");
  expect(decode(encode(`${"a".repeat(100)}\udfff`))).toBe(`${"a".repeat(100)}\ufffd`);
});

test("nothing is written over what was encoded into the pool, nor over what is being written when it is full", () => {
  const kept = Array.from({ length: 3_000 }, (_, i) => ({ i, bytes: encodePooled([i, "x".repeat(i % 90)]) }));
  encode(["y".repeat(100_000)]);
  for (const { i, bytes } of kept) expect(decode(bytes)).toEqual([i, "x".repeat(i % 90)]);
});

test("X1: a value cut short, or with more behind it, is refused", () => {
  const bytes = encode([1, 300, -300, 2 ** 40, "text", "long".repeat(30), new Uint8Array(5), [null, true]]);
  for (let length = 0; length < bytes.length; length++) refused(bytes.subarray(0, length));
  refused([...bytes, 0xc0]);
});

test("X1: maps, extensions, long integers, fractions and deep nests are refused; a length that nothing follows costs nothing", () => {
  for (const head of [0x80, 0x81, 0xc1, 0xc7, 0xca, 0xcf, 0xd3, 0xd4, 0xd8, 0xde, 0xdf])
    refused([head, ...new Array(20).fill(0)]);
  refused(packr.pack(0.5));
  refused(packr.pack(2 ** 60));
  refused(packr.pack(Number.NaN));
  for (const head of [0xc6, 0xdb, 0xdd]) refused([head, 0xff, 0xff, 0xff, 0xff]);
  const nested = (depth: number): Encodable => (depth === 0 ? 1 : [nested(depth - 1)]);
  expect(decode(encode(nested(32)))).toEqual(nested(32));
  refused(encode(nested(33)));
  refused(new Array(100_000).fill(0x91));
});

test("X1: lists within lists that each claim all bytes behind them are refused at the second, before they take memory", () => {
  const bytes = new Uint8Array(1_000);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 200; at += 5) {
    bytes[at] = 0xdd;
    view.setUint32(at + 1, bytes.length - at - 5);
  }
  expect(() => decode(bytes)).toThrow(expect.objectContaining({ details: "it ends too early" }));
});
