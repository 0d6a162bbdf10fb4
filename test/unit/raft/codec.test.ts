import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { index, type NodeId, revision, term } from "@openclaw/core/ids.ts";
import {
  decodeEntries,
  decodeHardState,
  decodeSnapshotMeta,
  encodeEntries,
  encodeHardState,
  encodeSnapshotMeta,
} from "@openclaw/core/raft/entry-codec.ts";
import type { Membership, MembershipChange } from "@openclaw/core/raft/membership.ts";
import { decodeMembership, encodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";
import { decodeMessages, encodeMessages, FRAME_MESSAGES_MAX } from "@openclaw/core/raft/message-codec.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, entry, logOf, nodeId } from "../../simulation/raft/fixtures.ts";

const count = fc.oneof(fc.nat(300), fc.maxSafeNat());
const anIndex = count.map(index);
const aTerm = count.map(term);
const aNode = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/).map(nodeId);
const data = fc.uint8Array({ maxLength: 40 });
const voters = fc.uniqueArray(aNode, { maxLength: 7 });
const membership = fc
  .tuple(voters, voters, voters, fc.option(aNode))
  .map(([now, outgoing, others, replaces]): Membership => {
    const learners = others.filter((id) => !now.includes(id)).map((id) => ({ id, replaces }));
    return { voters: now, outgoing, learners };
  });
const meta = fc.record({ index: anIndex, term: aTerm, membership });
const change: fc.Arbitrary<MembershipChange> = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), node: aNode, replaces: fc.option(aNode) }),
  fc.record({ kind: fc.constant("remove" as const), node: aNode }),
);

/** Entries that follow (prevIndex, prevTerm). */
const run = fc
  .tuple(fc.nat(1_000_000), fc.nat(50), fc.array(fc.tuple(fc.nat(2), data), { maxLength: 20 }))
  .map(([prevIndex, prevTerm, steps]) => {
    let last = Math.max(prevTerm, 1);
    const entries = steps.map(([rise, value], at): Entry => {
      last += rise;
      const kind = value.length === 0 ? "noop" : "commands";
      return { term: term(last), index: index(prevIndex + 1 + at), kind, stamp: value.length, data: value };
    });
    return { prevIndex: index(prevIndex), prevTerm: term(prevTerm), entries, term: term(last) };
  });

const envelope = { from: aNode, to: aNode, term: aTerm };
const message: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc.record({ kind: fc.constant("preVote" as const), ...envelope, lastIndex: anIndex, lastTerm: aTerm }),
  fc.record({
    kind: fc.constant("vote" as const),
    ...envelope,
    lastIndex: anIndex,
    lastTerm: aTerm,
    transfer: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("commit" as const), ...envelope, match: anIndex, matchTerm: aTerm, commit: anIndex }),
  fc.record({ kind: fc.constant("changeMembership" as const), ...envelope, change }),
  fc.record({ kind: fc.constant("transferLeadership" as const), ...envelope, target: aNode }),
  fc.record({ kind: fc.constant("timeoutNow" as const), ...envelope }),
  fc.record({ kind: fc.constant("stateRequest" as const), ...envelope, atLeast: anIndex }),
  fc.record({ kind: fc.constant("removed" as const), ...envelope, configuration: anIndex, ofTerm: aTerm }),
  fc.record({
    kind: fc.constantFrom("preVoteResponse" as const, "voteResponse" as const),
    ...envelope,
    granted: fc.boolean(),
  }),
  fc
    .tuple(run, aNode, aNode, anIndex)
    .map(([fields, from, to, commit]) => ({ kind: "append" as const, from, to, commit, ...fields })),
  fc.record({
    kind: fc.constantFrom("appendAccepted" as const, "appendUncounted" as const),
    ...envelope,
    match: anIndex,
  }),
  fc.record({
    kind: fc.constant("appendRejected" as const),
    ...envelope,
    prevIndex: anIndex,
    hintIndex: anIndex,
    hintTerm: aTerm,
  }),
  fc.record({
    kind: fc.constant("heartbeat" as const),
    ...envelope,
    match: anIndex,
    matchTerm: aTerm,
    commit: anIndex,
    context: count,
    mark: fc.option(
      fc.record({ applied: anIndex, revision: count.map(revision), hash: fc.uint8Array({ maxLength: 8 }) }),
    ),
  }),
  fc.record({ kind: fc.constantFrom("heartbeatResponse" as const, "readIndex" as const), ...envelope, context: count }),
  fc.record({ kind: fc.constant("snapshot" as const), ...envelope, meta }),
  fc.record({ kind: fc.constant("readIndexResponse" as const), ...envelope, context: count, index: anIndex }),
  fc.record({ kind: fc.constant("forward" as const), ...envelope, data }),
);

const decoders: readonly ((input: Uint8Array) => unknown)[] = [
  decodeMessages,
  decodeEntries,
  decodeHardState,
  decodeMembership,
  decodeSnapshotMeta,
];

/** Decodes, or fails with an OpenClawError MALFORMED_FRAME. */
function refusedOrRead(input: Uint8Array): void {
  for (const decoder of decoders) {
    try {
      decoder(input);
    } catch (error) {
      if (!(error instanceof OpenClawError) || error.code !== "MALFORMED_FRAME") throw error;
    }
  }
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("round trips", () => {
  test("every message", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 10 }), (messages) => {
        expect(plain(decodeMessages(encodeMessages(messages)))).toEqual(plain(messages));
      }),
      { numRuns: 500 },
    );
  });

  test("entries, hard state, meta, membership", () => {
    fc.assert(
      fc.property(run, aTerm, fc.option(aNode), anIndex, meta, ({ entries }, ofTerm, vote, commit, snapshot) => {
        expect(plain(decodeEntries(encodeEntries(entries)))).toEqual(plain(entries));
        const hardState = { term: ofTerm, vote, commit };
        expect(decodeHardState(encodeHardState(hardState))).toEqual(hardState);
        expect(decodeSnapshotMeta(encodeSnapshotMeta(snapshot))).toEqual(snapshot);
        expect(decodeMembership(encodeMembership(snapshot.membership))).toEqual(snapshot.membership);
      }),
    );
  });

  test("X1: equal values give equal bytes", () => {
    expect(encodeEntries(logOf(1, 2, 2))).toEqual(encodeEntries(logOf(1, 2, 2)));
  });
});

describe("X1: what is malformed is refused, never worse", () => {
  test("garbage", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refusedOrRead), { numRuns: 3_000 });
  });

  test("frames with some bytes changed or cut off", () => {
    const damaged = fc.tuple(
      fc.array(message, { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(20),
    );
    fc.assert(
      fc.property(damaged, ([messages, changes, cut]) => {
        const input = encodeMessages(messages);
        for (const [at, value] of changes) input[at % input.length] = value;
        refusedOrRead(input.slice(0, Math.max(0, input.length - (cut > 10 ? cut - 10 : 0))));
      }),
      { numRuns: 1_000 },
    );
  });

  const vote = [2, "a", "b", 1, 0, 0] as const;
  test.each([
    ["not a list", "x"],
    ["an unknown kind", [[99, "a", "b", 1]]],
    ["a kind that is no number", [["vote", "a", "b", 1, 0, 0]]],
    ["a bad node id", [[2, "A b", "b", 1, 0, 0]]],
    ["__proto__ as a node id", [[2, "__proto__", "b", 1, 0, 0]]],
    ["a negative term", [[2, "a", "b", -1, 0, 0]]],
    ["a missing field", [[2, "a", "b", 1, 0]]],
    ["a field too many", [[...vote, 0]]],
    ["a granted that is no flag", [[3, "a", "b", 1, 1]]],
    ["a torn entry", [[4, "a", "b", 1, 0, 0, 0, [1, 0]]]],
    ["an entry of an unknown kind", [[4, "a", "b", 1, 0, 0, 0, [1, 7, bytes("")]]]],
    ["an entry of term 0", [[4, "a", "b", 1, 0, 0, 0, [0, 0, bytes("")]]]],
    ["entries whose terms go down", [[4, "a", "b", 3, 0, 0, 0, [2, 0, bytes(""), 1, 0, bytes("")]]]],
    ["an entry before prevTerm", [[4, "a", "b", 3, 1, 2, 0, [1, 0, bytes("")]]]],
    ["an entry after the leader's term", [[4, "a", "b", 3, 0, 0, 0, [4, 0, bytes("")]]]],
    ["an index past all numbers", [[4, "a", "b", 1, Number.MAX_SAFE_INTEGER, 1, 0, [1, 0, bytes("")]]]],
    ["a voter named twice", [[10, "a", "b", 1, [1, 1, [["a", "a"]]]]]],
    ["too many voters", [[10, "a", "b", 1, [1, 1, [Array.from({ length: 8 }, (_, at) => `n${at}`)]]]]],
    ["too many messages", Array.from({ length: FRAME_MESSAGES_MAX + 1 }, () => vote)],
    [
      "too many entries",
      [
        [
          4,
          "a",
          "b",
          1,
          0,
          0,
          0,
          Array.from({ length: 3 * 1_025 }, (_, at) => (at % 3 === 2 ? bytes("") : at % 3 === 0 ? 1 : 0)),
        ],
      ],
    ],
  ])("%s", (_, value) => {
    expect(() => decodeMessages(encode(value))).toThrow(OpenClawError);
  });

  test("entries without a first index", () => {
    expect(() => decodeEntries(encode([0, [1, 0, bytes("")]]))).toThrow(OpenClawError);
    expect(() => decodeEntries(encode([3, []]))).toThrow(OpenClawError);
    expect(decodeEntries(encodeEntries([]))).toEqual([]);
    expect(decodeEntries(encodeEntries([entry(9, 4)]))).toMatchObject([{ index: 9, term: 4, kind: "noop" }]);
  });

  test("a vote of nobody is null, not an empty name", () => {
    const nobody = { term: term(1), vote: null, commit: index(0) };
    expect(decodeHardState(encodeHardState(nobody))).toEqual(nobody);
    expect(() => decodeHardState(encode([1, "", 0]))).toThrow(OpenClawError);
    expect(encodeHardState({ ...nobody, vote: "" as NodeId })).not.toEqual(encodeHardState(nobody));
  });
});
