/** X1: what decodes bytes of a stranger gives an error with a code or a value, and takes no more memory than it was sent. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { decode, encode } from "@openclaw/core/codec.ts";
import { isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import { index, isLinkId, isNodeId, PARTITION, revision, seq, term } from "@openclaw/core/ids.ts";
import { decodeRecord, encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { decodeGossip, encodeEntry, encodeGossip } from "@openclaw/core/presence/presence.ts";
import { decodeEntries, encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { decodeMembership, encodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import { decodeMessages, encodeMessages } from "@openclaw/core/raft/message-codec.ts";
import type { Command } from "@openclaw/core/state-machine/command.ts";
import { decodeCommands, encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import {
  decodeChildMessage,
  decodeParentMessage,
  encodeChildMessage,
  encodeParentMessage,
} from "@openclaw/core/sync/codec.ts";
import { SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const hash = new Uint8Array(32).fill(7);
const node = "california-1";
const link = "ab".repeat(16);
if (!isNodeId(node) || !isLinkId(link)) throw new Error("names");
const key = utf8("some/key");
const value = utf8("some value, as long as most");
const txn = {
  kind: "txn",
  compares: [{ target: "version", keys: { kind: "key", key }, result: "equal", number: 0 }],
  success: [
    { kind: "put", key, value, lease: null, previous: true },
    { kind: "range", ...plainRange(key, null, 5) },
  ],
  failure: [],
} as const;
const header = {
  principal: "ana",
  time: 1_700_000_000_000,
  salt: hash.slice(16),
  request: 1,
  proposer: "00",
  session: null,
};
const commands: readonly Command[] = [
  { kind: "put", key, value, header },
  { ...txn, header },
  {
    kind: "importCommands",
    link,
    from: seq(1),
    lowWater: seq(1),
    commands: [txn, { kind: "put", key, value }],
    header,
  },
];
const entry = { term: term(2), index: index(7), kind: "commands", stamp: 1, data: encodeCommands(commands) } as const;
const record = {
  revision: revision(3),
  principal: "ana",
  time: 1_700_000_000_000,
  salt: hash.slice(16),
  partition: PARTITION,
  origin: null,
  link: null,
  home: "site",
  events: [{ kind: "put", key, value, lease: null, numbers: null, encryption: null }],
} as const;

const presence = {
  topic: { kind: "name", name: "lobby" },
  seq: 3,
  ttlMs: 10_000,
  value,
  link,
  principal: "ana",
} as const;

interface Decoder {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly valid: readonly Uint8Array[];
}

const DECODERS: readonly Decoder[] = [
  { name: "codec", decode, valid: [encode([1, "a", value, [null, true, [-1]]])] },
  { name: "commands", decode: decodeCommands, valid: [encodeCommands(commands)] },
  { name: "record", decode: decodeRecord, valid: [encodeRecord(record)] },
  { name: "entries", decode: decodeEntries, valid: [encodeEntries([entry, { ...entry, index: index(8) }])] },
  { name: "membership", decode: decodeMembership, valid: [encodeMembership(founding([node]))] },
  {
    name: "messages",
    decode: decodeMessages,
    valid: [
      encodeMessages([
        {
          kind: "append",
          from: node,
          to: node,
          term: term(2),
          prevIndex: index(6),
          prevTerm: term(2),
          commit: index(6),
          entries: [entry],
        },
        { kind: "vote", from: node, to: node, term: term(2), lastIndex: index(6), lastTerm: term(2), transfer: false },
      ]),
    ],
  },
  {
    name: "a child's messages",
    decode: decodeChildMessage,
    valid: [
      encodeChildMessage({
        kind: "hello",
        version: SYNC_VERSION,
        link,
        child: { kind: "client", token: "t" },
        down: null,
      }),
      encodeChildMessage({
        kind: "pushCommands",
        from: seq(1),
        lowWater: seq(1),
        commands: [txn, { kind: "put", key, value }],
      }),
      encodeChildMessage({
        kind: "pushLedger",
        items: [{ kind: "body", revision: revision(1), record: encodeRecord(record) }],
        hash,
        after: hash,
      }),
      encodeChildMessage({
        kind: "presence",
        entries: [{ topic: { kind: "document", collection: "log", id: "today" }, seq: 3, ttlMs: 10_000, value }],
      }),
      encodeChildMessage({ kind: "ask", id: 1, mode: { kind: "local" }, query: { kind: "get", origin: null, key } }),
    ],
  },
  {
    name: "a parent's messages",
    decode: decodeParentMessage,
    valid: [
      encodeParentMessage({
        kind: "pushed",
        cursor: 4,
        outcomes: [{ seq: seq(4), outcome: { ok: true, revision: revision(9), response: null } }],
      }),
      encodeParentMessage({
        kind: "events",
        items: [{ kind: "skip", from: revision(1), to: revision(4), hash }],
        hash,
      }),
      encodeParentMessage({
        kind: "present",
        entries: [{ topic: { kind: "name", name: "lobby" }, link, principal: "ana", value }],
      }),
    ],
  },
  { name: "gossip of presence", decode: decodeGossip, valid: [encodeGossip([encodeEntry(presence)])] },
];

/** What MessagePack says most with least: arrays, maps, texts, bytes and extensions of any length that follow nothing. */
const HEADS = [
  0x90, 0x9f, 0x80, 0x8f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9,
  0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff,
];

type Change = (bytes: Uint8Array, other: Uint8Array) => Uint8Array;
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const cut = (bytes: Uint8Array, at: number): number => Math.floor(at * bytes.length);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(place, fc.nat(255)).map(
    ([at, to]): Change =>
      (bytes) =>
        bytes.with(cut(bytes, at), to),
  ),
  fc.tuple(place, fc.constantFrom(...HEADS)).map(
    ([at, to]): Change =>
      (bytes) =>
        bytes.with(cut(bytes, at), to),
  ),
  fc.tuple(place, place).map(
    ([a, b]): Change =>
      (bytes) =>
        bytes.slice(Math.min(cut(bytes, a), cut(bytes, b)), Math.max(cut(bytes, a), cut(bytes, b))),
  ),
  fc.tuple(place, fc.uint8Array({ maxLength: 9 })).map(
    ([at, some]): Change =>
      (bytes) =>
        spliced(bytes, cut(bytes, at), some),
  ),
  fc.tuple(place, place).map(
    ([at, from]): Change =>
      (bytes, other) =>
        spliced(bytes, cut(bytes, at), other.slice(cut(other, from))),
  ),
);

function spliced(bytes: Uint8Array, at: number, some: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes.length + some.length);
  whole.set(bytes.subarray(0, at));
  whole.set(some, at);
  whole.set(bytes.subarray(at), at + some.length);
  return whole;
}

/** The code that it was refused with; "ok" for a value. Anything else that is thrown is a defect. */
function outcomeOf(decoder: Decoder, bytes: Uint8Array): string {
  try {
    decoder.decode(bytes);
    return "ok";
  } catch (error) {
    if (error instanceof OpenClawError && isErrorCode(error.code) && error.code !== "INTERNAL") return error.code;
    throw error;
  }
}

const ALL_VALID = DECODERS.flatMap(({ valid }) => valid);

for (const decoder of DECODERS) {
  describe(`X1: ${decoder.name}`, () => {
    test("what is valid is a value", () => {
      for (const bytes of decoder.valid) expect(outcomeOf(decoder, bytes)).toBe("ok");
    });

    test("altered, cut, and mixed with other frames it is a value or refused with a code", () => {
      const seen = new Set<string>();
      fc.assert(
        fc.property(
          fc.constantFrom(...decoder.valid),
          fc.constantFrom(...ALL_VALID),
          fc.array(change, { minLength: 1, maxLength: 6 }),
          (valid, other, many) => {
            const bytes = many.reduce((now, one) => (now.length === 0 ? now : one(now, other)), valid);
            seen.add(outcomeOf(decoder, bytes));
          },
        ),
        { numRuns: 3_000 },
      );
      expect(seen).toContain("MALFORMED_FRAME");
    });

    test("a frame that promises more than it has takes no more memory than a multiple of its size", () => {
      const bombs = [
        ...[0xdc, 0xdd, 0xde, 0xdf, 0xc6, 0xdb, 0xc9].map((head) => Uint8Array.of(head, 0x7f, 0xff, 0xff, 0xff)),
        repeated([0xdd, 0x01, 0xff, 0xff, 0xff], 2_000),
        repeated([0xdc, 0xff, 0xff], 20_000),
        repeated([0x91], 1_000_000),
        repeated([0x90], 1_000_000, [0xdd, 0x00, 0x0f, 0x42, 0x40]),
        repeated([0x80], 1_000_000, [0xdd, 0x00, 0x0f, 0x42, 0x40]),
        repeated([0xa0], 1_000_000, [0xdd, 0x00, 0x0f, 0x42, 0x40]),
        repeated([0xc4, 0x00], 500_000, [0xdd, 0x00, 0x07, 0xa1, 0x20]),
      ];
      for (const bytes of bombs) {
        const before = used();
        outcomeOf(decoder, bytes);
        expect(used() - before).toBeLessThan(MEMORY_FACTOR * bytes.length + 8_388_608);
      }
    });
  });
}

/** Bytes that V8 takes for the emptiest object, by the byte that says it. */
const MEMORY_FACTOR = 100;

const used = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

function repeated(unit: readonly number[], times: number, head: readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(head.length + unit.length * times);
  bytes.set(head);
  for (let at = head.length; at < bytes.length; at += unit.length) bytes.set(unit, at);
  return bytes;
}
