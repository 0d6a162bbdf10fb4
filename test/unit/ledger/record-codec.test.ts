import { type Encodable, encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isActorId, isChangeHash, isClusterId, isLeaseId, isLinkId, isNonce, revision } from "@openclaw/core/ids.ts";
import {
  type DocumentChange,
  HOMES,
  type LedgerEvent,
  type LedgerRecord,
  type LinkItem,
} from "@openclaw/core/ledger/record.ts";
import {
  decodeForeignRecord,
  decodeRecord,
  documentChangeTuple,
  encodeRecord,
  epochTuple,
  linkItemTuple,
  readDocumentChange,
  readEpoch,
  readLinkItem,
} from "@openclaw/core/ledger/record-codec.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checked, hexed } from "../state-machine/one-cluster.ts";

const hex = (bytes: number) =>
  fc
    .array(fc.constantFrom(..."0123456789abcdef"), { minLength: 2 * bytes, maxLength: 2 * bytes })
    .map((all) => all.join(""));
const hash = hex(32).map((text) => checked(text, isChangeHash));
const nonce = hex(16).filter(isNonce);
const bytes = fc.uint8Array({ maxLength: 300 });
const count = fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER));
const change: fc.Arbitrary<DocumentChange> = fc.record({
  hash,
  actor: hex(16).map((text) => checked(text, isActorId)),
  seq: count,
  deps: fc.array(hash, { maxLength: 3 }),
  bytes,
});
const withoutLease = (one: LedgerEvent): LedgerEvent => (one.kind === "put" ? { ...one, lease: null } : one);
const text = fc.string({ unit: "grapheme", maxLength: 40 });
const lease = fc.option(fc.oneof(fc.integer({ min: 1 }), fc.constant(Number.MAX_SAFE_INTEGER)).filter(isLeaseId));
const cluster = fc.option(fc.constant(checked("alaska", isClusterId)));
const step = fc.oneof(
  fc.record({
    kind: fc.constant("declare" as const),
    home: fc.constantFrom(...HOMES),
    owner: cluster,
    waiting: fc.array(fc.constant(checked("alaska", isClusterId)), { maxLength: 2 }),
  }),
  fc.constantFrom({ kind: "release" as const }, { kind: "open" as const }),
);
const event: fc.Arbitrary<LedgerEvent> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), key: bytes, value: bytes, lease, encryption: fc.constant(null) }),
  fc.record({ kind: fc.constant("delete" as const), key: bytes }),
  fc.record({
    kind: fc.constant("change" as const),
    collection: text,
    document: text,
    change,
    encryption: fc.constant(null),
  }),
  fc.record({ kind: fc.constant("home" as const), prefix: bytes, step }),
  fc.record({ kind: fc.constant("command" as const), via: cluster, to: cluster, command: bytes }),
  fc.record({
    kind: fc.constant("result" as const),
    to: cluster,
    epoch: nonce,
    revision: count.map(revision),
    outcome: bytes,
  }),
);
const from = fc.option(
  fc.record({ cluster: fc.constant(checked("alaska", isClusterId)), epoch: nonce, revision: count.map(revision) }),
);
const record: fc.Arbitrary<LedgerRecord> = fc
  .record({
    partition: fc.constant(0 as const),
    revision: count.map(revision),
    time: fc.maxSafeInteger(),
    principal: text,
    origin: from,
    salt: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    home: fc.constantFrom(...HOMES),
    events: fc.array(event, { minLength: 1, maxLength: 4 }),
  })
  .map((one) =>
    one.origin === null
      ? { ...one, link: null }
      : { ...one, link: checked("alaska", isLinkId), events: one.events.map(withoutLease) },
  );

test("X1: a record comes back as it was, and equal records have equal bytes", () => {
  fc.assert(
    fc.property(record, (one) => {
      const encoded = encodeRecord(one);
      const decoded = decodeRecord(encoded);
      expect(hexed(decoded)).toEqual(hexed(one));
      expect(hexed(encodeRecord(decoded))).toEqual(hexed(encoded));
      expect(hexed(decodeForeignRecord(encoded))).toEqual(hexed(decoded));
    }),
  );
});

test("L2: the salt stands in front, so that leaf = H(format, salt, the rest) is the hash of the bytes", () => {
  fc.assert(
    fc.property(record, (one) => {
      const encoded = encodeRecord(one);
      expect([...encoded.subarray(0, 17)]).toEqual([1, ...one.salt]);
    }),
  );
});

test("X1: altered bytes are refused, or are another record", () => {
  fc.assert(
    fc.property(record, fc.nat(), fc.nat(255), (one, position, byte) => {
      const encoded = encodeRecord(one);
      const at = position % encoded.length;
      const altered = encoded.map((old, i) => (i === at ? byte : old));
      try {
        expect(hexed(encodeRecord(decodeForeignRecord(altered)))).toEqual(hexed(altered));
      } catch (error) {
        expect(error).toBeInstanceOf(OpenClawError);
      }
    }),
    { numRuns: 500 },
  );
});

test("X1: the same value in other bytes is no record of another cluster", () => {
  const salt = new Uint8Array(16);
  const one: LedgerRecord = {
    partition: 0,
    revision: revision(1),
    time: 5,
    principal: "ada",
    origin: null,
    link: null,
    salt,
    home: "site",
    events: [{ kind: "delete", key: new Uint8Array([1]) }],
  };
  const encoded = encodeRecord(one);
  // The revision as a 16-bit number: the same to a decoder.
  const odd = new Uint8Array([...encoded.subarray(0, 19), 0xcd, 0, 1, ...encoded.subarray(20)]);
  expect(decodeRecord(odd).revision).toBe(1);
  expect(() => decodeForeignRecord(odd)).toThrow(expect.objectContaining({ code: "MALFORMED_FRAME" }));
});

test("L4: an origin without its link, or no event at all, is no record; nor is a mirror with a lease (K6)", () => {
  const inner = (origin: null | [string, string, number], link: string | null, events: Encodable[]) =>
    new Uint8Array([1, ...new Uint8Array(16), ...encode([0, 1, 5, "ada", origin, link, 0, events])]);
  const event: [number, Uint8Array] = [1, new Uint8Array([1])];
  expect(decodeRecord(inner(null, null, [event])).revision).toBe(1);
  const mirrored: Encodable = [0, new Uint8Array(1), new Uint8Array(1), null, null];
  expect(decodeRecord(inner(["alaska", "b".repeat(32), 1], "alaska", [mirrored])).revision).toBe(1);
  for (const bad of [
    inner(["alaska", "b".repeat(32), 1], null, [event]),
    inner(null, "alaska", [event]),
    inner(["alaska", "b".repeat(32), 1], "alaska", [[0, new Uint8Array(1), new Uint8Array(1), 7, null]]),
    inner(null, null, [[0, new Uint8Array(1), new Uint8Array(1), 0, null]]),
    inner(null, null, []),
    inner(null, null, [[9, new Uint8Array(1)]]),
    new Uint8Array([2, ...inner(null, null, [event]).subarray(1)]),
  ]) {
    expect(() => decodeRecord(bad)).toThrow(OpenClawError);
  }
});

test("link items, changes and epochs are tuples of their own", () => {
  const hash32 = new Uint8Array(32).fill(3);
  const items: readonly LinkItem[] = [
    { kind: "body", revision: revision(1), record: new Uint8Array([1]) },
    { kind: "stub", revision: revision(2), leaf: hash32, reason: "shed" },
    { kind: "skip", from: revision(3), to: revision(9), hash: hash32 },
  ];
  for (const item of items) expect(hexed(readLinkItem(linkItemTuple(item)))).toEqual(hexed(item));
  expect(() => readLinkItem([1, 2, hash32, 4])).toThrow(OpenClawError);
  expect(() => readLinkItem([2, 3, 9, new Uint8Array(31)])).toThrow(OpenClawError);
  fc.assert(
    fc.property(change, (one) => {
      expect(hexed(readDocumentChange(documentChangeTuple(one)))).toEqual(hexed(one));
    }),
  );
  const epoch = { counter: 3, nonce: "a".repeat(32), parent: "b".repeat(32), departure: revision(7) };
  expect(readEpoch(epochTuple(epoch))).toEqual(epoch);
  expect(() => readEpoch([1, "short", null, 0])).toThrow(OpenClawError);
});
