import { type Encodable, encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import {
  isActorId,
  isChangeHash,
  isClusterId,
  isLeaseId,
  isLinkId,
  isNonce,
  type LinkId,
  type Revision,
  revision,
} from "@openclaw/core/ids.ts";
import { epochTuple, readEpoch } from "@openclaw/core/ledger/epoch-codec.ts";
import { linkItemTuple, readLinkItem } from "@openclaw/core/ledger/link-item-codec.ts";
import {
  type DocumentChange,
  HOMES,
  type LedgerEvent,
  type LedgerRecord,
  type LinkItem,
} from "@openclaw/core/ledger/record.ts";
import {
  decodeBody,
  decodeRecord,
  documentChangeTuple,
  encodeRecord,
  readDocumentChange,
} from "@openclaw/core/ledger/record-codec.ts";
import { RECORD_BYTES_MAX } from "@openclaw/core/limits.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checked, hexed, leaseId } from "../state-machine/one-cluster.ts";

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
const seen = fc.option(fc.record({ epoch: nonce, revision: count.map(revision) }));
const step = fc.oneof(
  fc.record({
    kind: fc.constant("declare" as const),
    home: fc.constantFrom(...HOMES),
    owner: cluster,
    waiting: fc.array(fc.constant(checked("alaska", isClusterId)), { maxLength: 2 }),
  }),
  fc.constantFrom({ kind: "release" as const, of: revision(7) }, { kind: "open" as const }),
);
const event: fc.Arbitrary<LedgerEvent> = fc.oneof(
  fc.record({
    kind: fc.constant("put" as const),
    key: bytes,
    value: bytes,
    lease,
    numbers: fc.option(
      fc.record({ createRevision: count.map(revision), modRevision: count.map(revision), version: count }),
    ),
    encryption: fc.constant(null),
  }),
  fc.record({ kind: fc.constant("delete" as const), key: bytes }),
  fc.record({
    kind: fc.constant("change" as const),
    collection: text,
    document: text,
    change,
    encryption: fc.constant(null),
  }),
  fc.record({ kind: fc.constant("home" as const), prefix: bytes, step }),
  fc.record({ kind: fc.constant("command" as const), via: cluster, to: cluster, seen, command: bytes }),
  fc.record({
    kind: fc.constant("result" as const),
    to: cluster,
    epoch: nonce,
    revision: count.map(revision),
    outcome: bytes,
  }),
);
const alaska = checked("alaska", isLinkId);
const salt = fc.uint8Array({ minLength: 16, maxLength: 16 });
const written: fc.Arbitrary<LedgerRecord> = fc.record({
  partition: fc.constant(0 as const),
  revision: count.map(revision),
  salt,
  origin: fc.constant(null),
  link: fc.constant(null),
  time: fc.maxSafeInteger(),
  principal: text,
  home: fc.constantFrom(...HOMES),
  snapshot: fc.constant(false),
  events: fc.array(event, { minLength: 1, maxLength: 4 }),
});

interface Wrap {
  readonly revision: Revision;
  readonly salt: Uint8Array;
  readonly home: LedgerRecord["home"];
  readonly epoch: string;
  readonly link: LinkId;
  /** Which events are left out, all but the first. */
  readonly without: number;
}

const wrap: fc.Arbitrary<Wrap> = fc.record({
  revision: count.map(revision),
  salt,
  home: fc.constantFrom(...HOMES),
  epoch: nonce,
  link: fc.constantFrom(alaska, checked("west", isLinkId)),
  without: fc.nat(3),
});

/** What importing a record makes of it. */
function imported(body: LedgerRecord, { without, epoch, link, ...head }: Wrap): LedgerRecord {
  const origin = body.origin ?? { cluster: checked(link, isClusterId), epoch, revision: body.revision };
  const places = body.events.map((_, place) => place).filter((place) => place === 0 || place !== without);
  const took = places.length === body.events.length ? null : places;
  const events = places.flatMap((place) => body.events[place] ?? []).map(withoutLease);
  const { time, principal, snapshot } = body;
  return { partition: 0, ...head, origin, link, body: encodeRecord(body), took, time, principal, snapshot, events };
}

/** What a snapshot makes of it (S4). */
const replaced = fc.tuple(written, wrap).map(
  ([one, { link, epoch }]): LedgerRecord => ({
    ...one,
    origin: { cluster: checked(link, isClusterId), epoch, revision: revision(7) },
    link,
    body: null,
    snapshot: true,
    events: one.events.map(withoutLease),
  }),
);

const record: fc.Arbitrary<LedgerRecord> = fc
  .tuple(fc.oneof(written, replaced), fc.array(wrap, { maxLength: 3 }))
  .map(([one, wraps]) => wraps.reduce(imported, one));

test("X1, L4: a record comes back as it was, also in others, and equal records have equal bytes", () => {
  fc.assert(
    fc.property(record, (one) => {
      const encoded = encodeRecord(one);
      const decoded = decodeRecord(encoded);
      expect(hexed(decoded)).toEqual(hexed(one));
      expect(hexed(encodeRecord(decoded))).toEqual(hexed(encoded));
      expect(hexed(decodeBody(encoded))).toEqual(hexed(decoded));
    }),
  );
});

test("L2: the salt stands in front, so that leaf = H(format, salt, the rest) is the hash of the bytes", () => {
  fc.assert(
    fc.property(record, (one) => {
      const encoded = encodeRecord(one);
      expect([...encoded.subarray(0, 17)]).toEqual([5, ...one.salt]);
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
        expect(hexed(encodeRecord(decodeBody(altered)))).toEqual(hexed(altered));
      } catch (error) {
        expect(error).toBeInstanceOf(OpenClawError);
      }
    }),
    { numRuns: 500 },
  );
});

const plain = (key = 1): LedgerRecord => ({
  partition: 0,
  revision: revision(1),
  salt: new Uint8Array(16),
  origin: null,
  link: null,
  time: 5,
  principal: "ada",
  home: "site",
  snapshot: false,
  events: [
    {
      kind: "put",
      key: new Uint8Array([key]),
      value: new Uint8Array([7]),
      lease: leaseId(4),
      numbers: null,
      encryption: null,
    },
    { kind: "delete", key: new Uint8Array([2]) },
  ],
});
const plainWrap: Wrap = {
  revision: revision(1),
  salt: new Uint8Array(16),
  home: "site",
  epoch: "b".repeat(32),
  link: alaska,
  without: 0,
};
/** One in so many others. */
const nested = (depth: number): LedgerRecord =>
  Array.from({ length: depth }).reduce<LedgerRecord>((one) => imported(one, plainWrap), plain());
const malformed = expect.objectContaining({ code: "MALFORMED_FRAME" });

test("X1: the same value in other bytes is no record of another cluster, however deep it is", () => {
  // The revision as a 16-bit number: the same to a decoder.
  const oddly = (bytes: Uint8Array): Uint8Array =>
    new Uint8Array([...bytes.subarray(0, 20), 0xcd, 0, 1, ...bytes.subarray(21)]);
  const odd = oddly(encodeRecord(plain()));
  expect(decodeRecord(odd).revision).toBe(1);
  expect(() => decodeBody(odd)).toThrow(malformed);
  const around = { ...nested(1), body: odd } as LedgerRecord;
  expect(decodeRecord(encodeRecord(around)).revision).toBe(1);
  expect(() => decodeBody(encodeRecord(around))).toThrow(malformed);
});

test("X1: a record in more others than links may be is refused, a body one earlier: it is still to be put in one", () => {
  expect(decodeRecord(encodeRecord(nested(8))).events).toHaveLength(2);
  expect(decodeBody(encodeRecord(nested(7))).events).toHaveLength(2);
  expect(() => decodeBody(encodeRecord(nested(8)))).toThrow(malformed);
  expect(() => decodeRecord(encodeRecord(nested(9)))).toThrow(malformed);
});

test("X1: a body that its next record could not be sent with is refused", () => {
  const large = (bytes: number): LedgerRecord => {
    const value = new Uint8Array(bytes);
    return {
      ...plain(),
      events: [{ kind: "put", key: new Uint8Array([1]), value, lease: null, numbers: null, encryption: null }],
    } as LedgerRecord;
  };
  expect(decodeBody(encodeRecord(large(RECORD_BYTES_MAX))).events).toHaveLength(1);
  expect(() => decodeBody(encodeRecord(large(RECORD_BYTES_MAX + 32_768)))).toThrow(malformed);
});

test("L4, K6: events of an imported record are its body's that took effect here, and have no lease", () => {
  const whole = nested(1);
  expect(whole.events[0]).toMatchObject({ kind: "put", lease: null });
  expect(decodeRecord(encodeRecord(whole)).events).toHaveLength(2);
  const part = { ...whole, took: [1] } as LedgerRecord;
  expect(decodeRecord(encodeRecord(part)).events).toMatchObject([{ kind: "delete" }]);
  expect(decodeRecord(encodeRecord(part))).toMatchObject({ time: 5, principal: "ada" });
});

test("X1, L4: what no cluster writes is no record", () => {
  const bytes = (tuple: Encodable) => new Uint8Array([5, ...new Uint8Array(16), ...encode(tuple)]);
  const events: Encodable = [[1, new Uint8Array([1])]];
  const body = encodeRecord(plain());
  const origin: Encodable = ["alaska", "b".repeat(32), 1];
  expect(decodeRecord(bytes([0, 0, 1, 5, "ada", 0, events])).revision).toBe(1);
  expect(decodeRecord(bytes([1, 0, 9, origin, "alaska", 0, [0], body])).revision).toBe(9);
  for (const bad of [
    bytes([0, 0, 1, 5, "ada", 0, []]),
    bytes([0, 0, 1, 5, "ada", 0, [[9, new Uint8Array(1)]]]),
    bytes([0, 0, 1, 5, "ada", 0, [[0, new Uint8Array(1), new Uint8Array(1), 0, null, null]]]),
    // A snapshot with a lease, or of nowhere.
    bytes([2, 0, 1, origin, "alaska", 0, 5, "ada", [[0, new Uint8Array(1), new Uint8Array(1), 7, null, null]]]),
    bytes([2, 0, 1, null, "alaska", 0, 5, "ada", events]),
    bytes([0, 1, 1, 5, "ada", 0, events]),
    bytes([3, 0, 1, 5, "ada", 0, events]),
    bytes([1, 0, 9, origin, "alaska", 0, null, new Uint8Array(40)]),
    // Of another revision, or from elsewhere, than its body.
    bytes([1, 0, 9, ["alaska", "b".repeat(32), 2], "alaska", 0, null, body]),
    bytes([1, 0, 9, ["west", "b".repeat(32), 1], "alaska", 0, null, body]),
    // Events that are all of them, none, not there, or out of order.
    bytes([1, 0, 9, origin, "alaska", 0, [0, 1], body]),
    bytes([1, 0, 9, origin, "alaska", 0, [], body]),
    bytes([1, 0, 9, origin, "alaska", 0, [2], body]),
    bytes([1, 0, 9, origin, "alaska", 0, [-1], body]),
    new Uint8Array([1, ...bytes([0, 0, 1, 5, "ada", 0, events]).subarray(1)]),
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
