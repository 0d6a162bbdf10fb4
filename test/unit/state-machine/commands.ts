/** Arbitrary commands of every kind, few names each, so that they meet. */

import { utf8 } from "@openclaw/core/bytes.ts";
import { index, isLeaseId, isNodeId, isSessionId, revision } from "@openclaw/core/ids.ts";
import { chainHash, genesisHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import type { LedgerEvent, LinkItem } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type {
  Command,
  CommandHeader,
  IdempotentCommand,
  SystemCommand,
  UserCommand,
} from "@openclaw/core/state-machine/command.ts";
import {
  COMPARE_RESULTS,
  type Compare,
  type KeySelector,
  NUMBER_TARGETS,
  type Operation,
  RANGE_VIEWS,
  type RangeRequest,
  SORT_ORDERS,
  SORT_TARGETS,
  type Txn,
} from "@openclaw/core/state-machine/operation.ts";
import fc from "fast-check";
import { at, change, checked, clusterId, epoch, linkId, sessionId, sha256 } from "./one-cluster.ts";

const key = fc.constantFrom("a", "b", "ab", "").map(utf8);
const value = fc.constantFrom("x", "", "longer").map(utf8);

const documentChange = fc
  .record({
    number: fc.integer({ min: 1, max: 12 }),
    deps: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 2 }),
  })
  // Actor and sequence follow from the number, as they do from a hash; 1 and 7, 2 and 8, … are in conflict.
  .map(({ number, deps }) => change(number, "abc"[number % 3] ?? "a", (number % 6) + 1, deps));

const selector: fc.Arbitrary<KeySelector> = fc.oneof(
  key.map((one) => ({ kind: "key" as const, key: one })),
  fc.record({ kind: fc.constant("range" as const), from: key, to: fc.option(key) }),
);

const atRevision = fc.nat(5).map(revision);
const range: fc.Arbitrary<RangeRequest> = fc.record({
  keys: selector,
  limit: fc.nat(3),
  sort: fc.record({ target: fc.constantFrom(...SORT_TARGETS), order: fc.constantFrom(...SORT_ORDERS) }),
  view: fc.constantFrom(...RANGE_VIEWS),
  counted: fc.boolean(),
  bounds: fc.option(
    fc.record({
      minModRevision: atRevision,
      maxModRevision: atRevision,
      minCreateRevision: atRevision,
      maxCreateRevision: atRevision,
    }),
  ),
});

const result = fc.constantFrom(...COMPARE_RESULTS);
const compare: fc.Arbitrary<Compare> = fc.oneof(
  fc.record({ target: fc.constant("value" as const), keys: selector, result, value }),
  fc.record({ target: fc.constantFrom(...NUMBER_TARGETS), keys: selector, result, number: fc.nat(3) }),
);

const lease = fc.constantFrom(1, 2, Number.MAX_SAFE_INTEGER).map((number) => {
  if (!isLeaseId(number)) throw new Error("a lease");
  return number;
});
const leaseChoice = fc.option(fc.oneof(lease, fc.constant("keep" as const)));

const { txn } = fc.letrec<{ operation: Operation; txn: Txn }>((tie) => ({
  operation: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      kind: fc.constant("put" as const),
      key,
      value: fc.option(value),
      lease: leaseChoice,
      previous: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("deleteRange" as const), keys: selector, previous: fc.boolean() }),
    range.map((request) => ({ kind: "range" as const, ...request })),
    tie("txn"),
  ),
  txn: fc.record({
    kind: fc.constant("txn" as const),
    compares: fc.array(compare, { maxLength: 2 }),
    success: fc.array(tie("operation"), { maxLength: 3 }),
    failure: fc.array(tie("operation"), { maxLength: 3 }),
  }),
}));

const userCommand: fc.Arbitrary<UserCommand> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), key, value }),
  fc.record({ kind: fc.constant("deleteRange" as const), keys: selector }),
  txn,
  fc.record({ kind: fc.constant("leaseGrant" as const), lease, ttlMs: fc.constantFrom(0, 1, 20) }),
  fc.record({ kind: fc.constantFrom("leaseKeepAlive" as const, "leaseRevoke" as const), lease }),
  fc.record({
    kind: fc.constant("change" as const),
    collection: fc.constant("notes"),
    document: fc.constantFrom("log", "other"),
    changes: fc.array(documentChange, { maxLength: 3 }),
  }),
);

const event: fc.Arbitrary<LedgerEvent> = fc.oneof(
  fc.record({
    kind: fc.constant("put" as const),
    key,
    value,
    lease: fc.option(lease),
    numbers: fc.constant(null),
    encryption: fc.constant(null),
  }),
  fc.record({ kind: fc.constant("delete" as const), key }),
  documentChange.map((one) => ({
    kind: "change" as const,
    collection: "notes",
    document: "log",
    change: one,
    encryption: null,
  })),
);

/** A piece of one fixed ledger of alaska: pieces of several commands overlap, follow each other, or leave a gap. */
const ledgerEvents = fc.sample(fc.array(event, { minLength: 1, maxLength: 3 }), { seed: 7, numRuns: 12 });
const alaska = ledgerEvents.reduce<{ items: LinkItem[]; hashes: Uint8Array[] }>(
  ({ items, hashes }, events, i) => {
    const r = revision(i + 1);
    const salt = sha256(utf8(String(i))).subarray(0, 16);
    const record = encodeRecord({
      partition: 0,
      revision: r,
      time: i,
      principal: "bob",
      origin: null,
      link: null,
      salt,
      home: "site",
      events,
    });
    const hash = chainHash(sha256, hashes.at(-1) ?? new Uint8Array(), 0, r, leafHash(sha256, record));
    return { items: [...items, { kind: "body", revision: r, record }], hashes: [...hashes, hash] };
  },
  { items: [], hashes: [genesisHash(sha256, clusterId("alaska"), 0, epoch("b").nonce)] },
);

const importLedger: fc.Arbitrary<SystemCommand> = fc
  .tuple(fc.nat(9), fc.integer({ min: 1, max: 6 }))
  .map(([from, length]) => {
    const items = alaska.items.slice(from, from + length);
    const hash = alaska.hashes[from + items.length] ?? new Uint8Array(32);
    return {
      kind: "importLedger",
      side: "child",
      link: linkId("alaska"),
      cluster: clusterId("alaska"),
      epoch: epoch("b"),
      items,
      hash,
      after: length % 2 === 0 ? null : (alaska.hashes[from] ?? null),
    };
  });

const systemCommand: fc.Arbitrary<SystemCommand> = fc.oneof(
  fc.constantFrom("1", "2").map((digit) => ({ kind: "openSession" as const, session: sessionId(digit) })),
  importLedger,
  fc.record({
    kind: fc.constant("importCommands" as const),
    link: fc.constantFrom("c", "d").map((digit) => linkId(digit.repeat(32))),
    from: fc.integer({ min: 1, max: 4 }).map(at),
    lowWater: fc.integer({ min: 1, max: 4 }).map(at),
    commands: fc.array(
      fc.oneof(userCommand, fc.constant({ kind: "refused" as const, code: "FORBIDDEN" as const, details: "a" })),
      { maxLength: 4 },
    ),
  }),
  fc.record({
    kind: fc.constant("parentHolds" as const),
    parent: fc.constant(clusterId("hub")),
    epoch: fc.constantFrom("a", "b").map((digit) => digit.repeat(32)),
    revision: fc.nat(8).map(revision),
  }),
  fc.constant({ kind: "stamp" as const }),
  fc.record({
    kind: fc.constantFrom("uplinkUsed" as const, "allowUplink" as const),
    day: fc.nat(2),
    bytes: fc.nat(1_000),
  }),
  fc.record({
    kind: fc.constant("enrolSite" as const),
    site: fc.record({
      cluster: fc.constantFrom("alaska", "till").map(clusterId),
      clusterKey: fc.constantFrom("a", "b").map((digit) => digit.repeat(64)),
      token: fc.constantFrom("1", "2", "3").map((digit) => digit.repeat(64)),
      state: fc.constantFrom("pending" as const, "approved" as const),
    }),
  }),
  fc.record({
    kind: fc.constant("decideSite" as const),
    cluster: fc.constantFrom("alaska", "till").map(clusterId),
    decision: fc.constantFrom("approved" as const, "revoked" as const),
  }),
  fc.record({
    kind: fc.constant("noteMember" as const),
    node: fc.constantFrom("shop-1", "shop-2").map((name) => checked(name, isNodeId)),
    place: fc.record({
      peer: fc.constantFrom("p1", "p2"),
      addresses: fc.array(fc.constantFrom("/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/2"), { maxLength: 3 }),
      http: fc.constant("http://10.0.0.1:1"),
    }),
    supports: fc.nat(2),
  }),
  fc.record({
    kind: fc.constant("compareStates" as const),
    voters: fc.array(fc.constantFrom("shop-1", "shop-2").map((name) => checked(name, isNodeId))),
  }),
  fc.record({
    kind: fc.constant("reportState" as const),
    round: fc.nat(4).map((i) => index(1 + i * 400)),
    node: fc.constantFrom("shop-1", "shop-2").map((name) => checked(name, isNodeId)),
    finding: fc.oneof(
      fc.record({ kind: fc.constant("hash" as const), hash: fc.nat(2).map((byte) => new Uint8Array(32).fill(byte)) }),
      fc.constantFrom({ kind: "gaveUp" as const }, { kind: "rebuilt" as const }),
    ),
  }),
  fc.record({
    kind: fc.constant("raiseVersion" as const),
    to: fc.constant(1),
    members: fc.array(fc.constantFrom("shop-1", "shop-2").map((name) => checked(name, isNodeId))),
  }),
);

const header: fc.Arbitrary<CommandHeader> = fc.record({
  principal: fc.constantFrom("ada", "größe"),
  time: fc.integer(),
  salt: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  request: fc.nat(),
  proposer: fc.constant("00112233aabbccdd"),
  session: fc.option(
    fc.record({
      id: fc.constantFrom("1", "2").map((digit) => checked(digit.repeat(32), isSessionId)),
      seq: fc.integer({ min: 1, max: 8 }).map(at),
      lowWater: fc.integer({ min: 1, max: 4 }).map(at),
    }),
  ),
});

const idempotent: fc.Arbitrary<IdempotentCommand> = fc.record({
  kind: fc.constant("idempotent" as const),
  idempotency: fc.record({
    key: fc.constantFrom("k1", "k2"),
    request: fc.constantFrom(1, 2).map((byte) => new Uint8Array(32).fill(byte)),
    note: fc.constantFrom("", "7"),
  }),
  command: userCommand,
});

export const anyCommand: fc.Arbitrary<Command> = fc
  .tuple(
    header,
    fc.oneof(
      { arbitrary: userCommand, weight: 4 },
      { arbitrary: idempotent, weight: 1 },
      { arbitrary: systemCommand, weight: 2 },
    ),
  )
  .map(([head, body]) => ({ header: head, ...body }));
