import { toHex } from "@openclaw/core/bytes.ts";
import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isActorId, isChangeHash, isLeaseId, PARTITION, revision, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { compareAndSet } from "@openclaw/core/state-machine/compare-and-set.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import {
  decodeChildMessage,
  decodeParentMessage,
  encodeChildMessage,
  encodeParentMessage,
} from "@openclaw/core/sync/codec.ts";
import { type ChildMessage, type ParentMessage, SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clusterId, linkId } from "./world.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const hash32 = new Uint8Array(32).fill(7);
const hash = "ab".repeat(32);
const actor = "cd".repeat(16);
const nonce = "ef".repeat(16);
if (!isChangeHash(hash) || !isActorId(actor)) throw new Error("ids");
const change: DocumentChange = { hash, actor, seq: 3, deps: [hash], bytes: bytes(1, 2) };
const epoch = { counter: 2, nonce, parent: "00".repeat(16), departure: revision(9) };
const first = { counter: 1, nonce: "00".repeat(16), parent: null, departure: revision(0) };
const ancestors = [{ epoch: first, hash: hash32 }];
const row = {
  key: bytes(1),
  value: bytes(),
  createRevision: revision(1),
  modRevision: revision(2),
  version: 2,
  lease: null,
};

const LEASE = 7;
if (!isLeaseId(LEASE)) throw new Error("a lease");

const position = { cluster: clusterId("california"), partition: PARTITION, epoch: nonce, revision: revision(7) };
const seen = { position, staleMs: 12 };

const items = [
  { kind: "skip", from: revision(1), to: revision(4), hash: hash32 },
  { kind: "body", revision: revision(5), record: bytes(1, 2, 3) },
  { kind: "stub", revision: revision(6), leaf: hash32, reason: "private" },
] as const;

const head = {
  at: revision(7),
  hash: hash32,
  subscription: { prefixes: [bytes(1)], collections: ["log"], mirrors: true },
  kept: { prefixes: [], collections: [], mirrors: false },
  origins: [{ cluster: clusterId("alaska"), epoch: nonce }],
  homes: [{ prefix: bytes(7), owner: null, open: true }],
} as const;
const piece = {
  section: 1,
  from: bytes(3),
  to: null,
  rows: [{ key: bytes(3), value: bytes(), createRevision: revision(2), modRevision: revision(5), version: 3 }],
  documents: [{ collection: "log", document: "d", changes: [] }],
} as const;

const bare = {
  subscription: { prefixes: [], collections: ["log"], mirrors: false },
  cursor: revision(0),
  epoch: null,
  hash: null,
  held: { prefixes: [], collections: [], mirrors: false },
  snapshot: null,
  record: null,
};

const fromChild: readonly ChildMessage[] = [
  { kind: "goodbye", code: "FORK", details: "another hash" },
  { kind: "hello", version: SYNC_VERSION, link: linkId(nonce), child: { kind: "client", token: "t" }, down: null },
  {
    kind: "hello",
    version: SYNC_VERSION,
    link: linkId("california"),
    child: {
      kind: "site",
      cluster: clusterId("california"),
      epoch,
      ancestors,
      revision: revision(9),
      credential: bytes(9),
    },
    down: {
      subscription: { prefixes: [bytes(1)], collections: ["log"], mirrors: true },
      cursor: revision(7),
      epoch: nonce,
      hash: hash32,
      held: { prefixes: [], collections: ["log"], mirrors: false },
      snapshot: { head, place: { section: 2, from: bytes(4) } },
      record: { epoch: nonce, revision: revision(8), leaf: hash32 },
    },
  },
  { kind: "subscribe", subscription: { prefixes: [bytes(1)], collections: ["log"], mirrors: true } },
  {
    kind: "subscribe",
    subscription: { prefixes: [], collections: [], mirrors: false, documents: [{ collection: "log", document: "d" }] },
  },
  {
    kind: "hello",
    version: SYNC_VERSION,
    link: linkId(nonce),
    child: { kind: "client", token: null },
    down: { ...bare, provisional: true },
  },
  { kind: "pushLedger", items, hash: hash32, after: null },
  { kind: "pushLedger", items, hash: hash32, after: hash32 },
  {
    kind: "pushCommands",
    from: seq(4),
    lowWater: seq(2),
    commands: [
      { kind: "put", key: bytes(1), value: bytes(2) },
      { kind: "deleteRange", keys: { kind: "range", from: bytes(1), to: null } },
      compareAndSet(bytes(1), revision(0), bytes(2)),
      { kind: "change", collection: "log", document: "today", changes: [change] },
    ],
  },
  { kind: "keepAlive", id: 8, lease: LEASE },
  { kind: "taken", cursor: revision(7) },
  { kind: "ask", id: 1, mode: { kind: "linearizable" }, query: { kind: "get", origin: null, key: bytes(1) } },
  { kind: "ask", id: 1, mode: { kind: "atLeast", position }, query: { kind: "get", origin: null, key: bytes(1) } },
  {
    kind: "ask",
    id: 2,
    mode: { kind: "local" },
    query: { kind: "range", origin: clusterId("alaska"), ...plainRange(bytes(1), null, 9) },
  },
  {
    kind: "ask",
    id: 3,
    mode: { kind: "local" },
    query: { kind: "document", collection: "log", document: "today", after: 2, limit: 9 },
  },
  { kind: "ask", id: 4, mode: { kind: "local" }, query: { kind: "documents", collection: "log" } },
  {
    kind: "ask",
    id: 5,
    mode: { kind: "local" },
    query: { kind: "changes", collection: "log", document: "today", hashes: [hash] },
  },
  { kind: "ask", id: 6, mode: { kind: "local" }, query: { kind: "position" } },
  { kind: "ask", id: 7, mode: { kind: "local" }, query: { kind: "lease", lease: LEASE } },
  { kind: "presence", entries: [] },
  {
    kind: "presence",
    entries: [
      { topic: { kind: "document", collection: "log", id: "today" }, seq: 3, ttlMs: 10_000, value: bytes(1, 2) },
      { topic: { kind: "name", name: "lobby" }, seq: 0, ttlMs: 1_000, value: null },
    ],
  },
  {
    kind: "hear",
    topics: [
      { kind: "name", name: "lobby" },
      { kind: "document", collection: "log", id: "today" },
    ],
  },
];

const outcomes = [
  { seq: seq(4), outcome: { ok: true, revision: revision(8), response: null } },
  {
    seq: seq(6),
    outcome: {
      ok: true,
      revision: revision(8),
      response: {
        kind: "txn",
        succeeded: false,
        responses: [{ kind: "range", rows: [row], more: false, count: null }],
      },
    },
  },
  { seq: seq(5), outcome: { ok: false, code: "MISSING", details: hash } },
] as const;

const lease = { ttlMs: 9, remainingMs: 4, keys: [bytes(1), bytes(2, 3)] };

const fromParent: readonly ParentMessage[] = [
  { kind: "answer", id: 3, seen, answer: { kind: "lease", answer: { lease, revision: revision(3) } } },
  { kind: "answer", id: 3, seen, answer: { kind: "lease", answer: { lease: null, revision: revision(3) } } },
  {
    kind: "welcome",
    version: SYNC_VERSION,
    cluster: clusterId("hub"),
    epoch,
    ancestors,
    cursor: 3,
    hash: hash32,
    record: { epoch: nonce, revision: revision(4), leaf: hash32 },
    outcomes,
    upstream: revision(2),
    upstreamEpoch: nonce,
    snapshot: { head: { ...head, subscription: null, kept: null }, place: { section: 0, from: bytes() } },
  },
  { kind: "snapshot", step: { kind: "begin", head } },
  { kind: "snapshot", step: { kind: "begin", head, extent: 40_000 } },
  { kind: "snapshot", step: { kind: "begin", head, extent: null } },
  { kind: "snapshot", step: { kind: "piece", at: revision(7), piece } },
  { kind: "snapshot", step: { kind: "end", at: revision(7) } },
  { kind: "pushed", cursor: 5, outcomes },
  { kind: "refused", code: "GAP", details: "no", cursor: 3 },
  { kind: "events", items, hash: hash32 },
  { kind: "holds", upstream: revision(4), upstreamEpoch: null },
  {
    kind: "answer",
    id: 1,
    seen,
    answer: { kind: "get", answer: { row, revision: revision(3), origin: clusterId("hub") } },
  },
  {
    kind: "answer",
    id: 1,
    seen: { position, staleMs: null },
    answer: { kind: "get", answer: { row: null, revision: revision(3), origin: null } },
  },
  {
    kind: "answer",
    id: 2,
    seen,
    answer: { kind: "range", answer: { rows: [row], more: true, count: 7, revision: revision(3), origin: null } },
  },
  {
    kind: "answer",
    id: 3,
    seen,
    answer: {
      kind: "document",
      answer: {
        changes: [change],
        position: 1,
        more: false,
        heads: [hash],
        pending: 2,
        quarantined: [{ hash, actor }],
      },
    },
  },
  { kind: "answer", id: 4, seen, answer: { kind: "documents", answer: { documents: ["today"] } } },
  { kind: "answer", id: 5, seen, answer: { kind: "changes", answer: { changes: [change] } } },
  {
    kind: "answer",
    id: 6,
    seen,
    answer: {
      kind: "position",
      answer: {
        cluster: clusterId("hub"),
        epoch,
        ancestors,
        revision: revision(3),
        hash: hash32,
        logTime: 77,
        applyVersion: 2,
        nextDue: 7,
        compacted: revision(3),
        parentHolds: revision(1),
        parentEpoch: nonce,
      },
    },
  },
  { kind: "askFailed", id: 7, code: "FORBIDDEN", details: "" },
  { kind: "kept", id: 8 },
  {
    kind: "present",
    entries: [
      { topic: { kind: "name", name: "lobby" }, link: linkId(nonce), principal: "ana", value: bytes() },
      {
        topic: { kind: "document", collection: "log", id: "today" },
        link: linkId(nonce),
        principal: "ben",
        value: null,
      },
    ],
  },
  { kind: "presenceRefused", topic: { kind: "name", name: "lobby" }, code: "FORBIDDEN", details: "" },
  { kind: "provisional", collection: "log", document: "today", changes: [change] },
  { kind: "missing", collection: "log", document: "today", hashes: [hash] },
  { kind: "goodbye", code: "STOPPED", details: "" },
];

function codeOf(decode: () => unknown): string {
  try {
    decode();
    return "ok";
  } catch (error) {
    if (error instanceof OpenClawError) return error.code;
    throw error;
  }
}

describe("sync messages as bytes", () => {
  for (const message of fromChild) {
    test(`X1: a child's ${message.kind} comes back as it was, in equal bytes`, () => {
      const encoded = encodeChildMessage(message);
      expect(decodeChildMessage(encoded)).toEqual(message);
      expect(toHex(encodeChildMessage(decodeChildMessage(encoded)))).toBe(toHex(encoded));
    });
  }
  for (const message of fromParent) {
    test(`X1: a parent's ${message.kind} comes back as it was, in equal bytes`, () => {
      const encoded = encodeParentMessage(message);
      expect(decodeParentMessage(encoded)).toEqual(message);
      expect(toHex(encodeParentMessage(decodeParentMessage(encoded)))).toBe(toHex(encoded));
    });
  }

  test("X1: another version is refused by name, whatever else it says", () => {
    expect(codeOf(() => decodeChildMessage(encode([0, 9, "laid out", ["otherwise"]])))).toBe("UNKNOWN_VERSION");
    expect(codeOf(() => decodeParentMessage(encode([0, 9])))).toBe("UNKNOWN_VERSION");
  });

  test("X1: a message with a field more, a field less or of another kind is malformed", () => {
    for (const bad of [
      [3],
      [3, 1, 1],
      [3, -1],
      [3, "1"],
      [99],
      [],
      "hello",
      [0, SYNC_VERSION, "NOT A LINK", [0, null], null],
      [4, 1, true, [77]],
      [9, [[["a", "b", "c"], 1, 10_000, null]]],
      [9, [[[""], 1, 10_000, null]]],
      [9, [[["a"], 1, 999, null]]],
      [9, [[["a"], 1, 60_001, null]]],
      [9, [[["a"], 1, 10_000, new Uint8Array(1_025)]]],
      [9, [[["a"], -1, 10_000, null]]],
      [10, ["a"]],
      [10, [["a".repeat(256)]]],
      [11, [[], [], false, []]],
      [11, [[], [], false, [["log"]]]],
      [11, [[], [], false, [["log", "d"]], null]],
      [11, [[], [], false, Array.from({ length: 1_025 }, (_, i) => ["log", `${i}`])]],
    ] as const) {
      expect(codeOf(() => decodeChildMessage(encode(bad)))).toBe("MALFORMED_FRAME");
    }
    for (const bad of [
      [4],
      [2, "NO_SUCH_CODE", "", 1],
      [5, 1, [0, null]],
      [99, 1],
      [11, [[["a"], "NO LINK", "", null]]],
      [11, [[["a"], nonce, "a".repeat(257), null]]],
      [11, [[["a"], nonce, "", new Uint8Array(1_025)]]],
      [13, ["log", "", []]],
      [13, ["log", "today", [[1]]]],
    ] as const) {
      expect(codeOf(() => decodeParentMessage(encode(bad)))).toBe("MALFORMED_FRAME");
    }
  });

  test("X1: lists have limits", () => {
    const many = Array.from({ length: 1_025 }, () => [1, bytes(1)] as const);
    expect(codeOf(() => decodeChildMessage(encode([2, 1, 1, many])))).toBe("MALFORMED_FRAME");
    expect(codeOf(() => decodeChildMessage(encode([4, 1, false, [1, null, bytes(), null, 10_001]])))).toBe(
      "MALFORMED_FRAME",
    );
    const topics = Array.from({ length: 17 }, (_, i) => [`t${i}`]);
    expect(codeOf(() => decodeChildMessage(encode([10, topics])))).toBe("MALFORMED_FRAME");
    const own = topics.map((topic) => [topic, 1, 10_000, null]);
    expect(codeOf(() => decodeChildMessage(encode([9, own])))).toBe("MALFORMED_FRAME");
    const present = Array.from({ length: 65 }, () => [["a"], nonce, "", null]);
    expect(codeOf(() => decodeParentMessage(encode([11, present])))).toBe("MALFORMED_FRAME");
    const prefixes = Array.from({ length: 257 }, () => bytes(1));
    expect(
      codeOf(() => decodeChildMessage(encode([0, SYNC_VERSION, nonce, [0, null], [[prefixes, [], false], 0, null]]))),
    ).toBe("MALFORMED_FRAME");
  });

  test("X1: bytes of a stranger are malformed and nothing worse", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(["ok", "MALFORMED_FRAME", "UNKNOWN_VERSION"]).toContain(codeOf(() => decodeChildMessage(noise)));
        expect(["ok", "MALFORMED_FRAME", "UNKNOWN_VERSION"]).toContain(codeOf(() => decodeParentMessage(noise)));
      }),
      { seed: 7, numRuns: 2_000 },
    );
    const good = encodeChildMessage(fromChild[3] ?? { kind: "taken", cursor: revision(1) });
    for (let at = 0; at < good.length; at++) {
      const cut = good.slice(0, at);
      const flipped = good.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 0x81;
      expect(codeOf(() => decodeChildMessage(cut))).toBe("MALFORMED_FRAME");
      expect(["ok", "MALFORMED_FRAME", "UNKNOWN_VERSION"]).toContain(codeOf(() => decodeChildMessage(flipped)));
    }
  });
});
