/**
 * Sync messages as bytes: one tuple a message, [kind, …fields]. Decoding is defensive (X1): what it returns has every
 * field checked. The records inside link items stay the bytes they arrived in: those are what Raft replicates (S2).
 */

import type { Encodable } from "../codec.ts";
import { decode, encodePooled, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, isClusterId, isLeaseId, isLinkId, isNonce, revision, seq } from "../ids.ts";
import {
  changeHashBytes,
  lineageFields,
  linkItemTuple,
  readHash,
  readLineage,
  readLinkItem,
} from "../ledger/record-codec.ts";
import { BATCH_ITEMS_MAX, SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import {
  outcomeTuple,
  readErrorCode,
  readOutcome,
  readUserCommand,
  userCommandTuple,
} from "../state-machine/command-codec.ts";
import { answerTuple, limited, queryTuple, readAnswer, readChangeHash, readQuery } from "./ask-codec.ts";
import {
  type ChildIdentity,
  type ChildMessage,
  type ParentMessage,
  type Subscription,
  SYNC_VERSION,
} from "./message.ts";
import { modeTuple, readMode, readSeen, seenTuple } from "./reading-codec.ts";

const CHILD = {
  hello: 0,
  pushLedger: 1,
  pushCommands: 2,
  taken: 3,
  ask: 4,
  keepAlive: 5,
  goodbye: 6,
} as const satisfies Record<ChildMessage["kind"], number>;
const PARENT = {
  welcome: 0,
  pushed: 1,
  refused: 2,
  events: 3,
  holds: 4,
  answer: 5,
  askFailed: 6,
  missing: 7,
  goodbye: 8,
  kept: 9,
} as const satisfies Record<ParentMessage["kind"], number>;

export function encodeChildMessage(message: ChildMessage): Uint8Array {
  switch (message.kind) {
    case "hello":
      return encodePooled([
        CHILD.hello,
        message.version,
        message.link,
        identityTuple(message.child),
        message.down === null
          ? null
          : [subscriptionTuple(message.down.subscription), message.down.cursor, message.down.epoch, message.down.hash],
      ]);
    case "pushLedger":
      return encodePooled([CHILD.pushLedger, message.items.map(linkItemTuple), message.hash, message.after]);
    case "pushCommands":
      return encodePooled([CHILD.pushCommands, message.from, message.lowWater, message.commands.map(userCommandTuple)]);
    case "taken":
      return encodePooled([CHILD.taken, message.cursor]);
    case "keepAlive":
      return encodePooled([CHILD.keepAlive, message.id, message.lease]);
    case "ask":
      return encodePooled([CHILD.ask, message.id, modeTuple(message.mode), queryTuple(message.query)]);
    case "goodbye":
      return encodePooled([CHILD.goodbye, message.code, message.details]);
    default:
      return unreachable(message);
  }
}

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION (of a hello: nothing after its version is read then) */
export function decodeChildMessage(bytes: Uint8Array): ChildMessage {
  const reader = new TupleReader(decode(bytes), "child message");
  const kind = reader.count();
  if (kind === CHILD.hello) requireVersion(reader);
  const message = readChildMessage(kind, reader);
  reader.end();
  return message;
}

function readChildMessage(kind: number, reader: TupleReader): ChildMessage {
  switch (kind) {
    case CHILD.hello:
      return {
        kind: "hello",
        version: SYNC_VERSION,
        link: reader.that(isLinkId, "a link"),
        child: readIdentity(reader.any()),
        down: reader.orNull((field) => {
          const down = new TupleReader(field.any(), "down");
          const subscription = readSubscription(down.any());
          const cursor = revision(down.count());
          const epoch = down.orNull((nonce) => nonce.that(isNonce, "a nonce"));
          const hash = down.orNull(readHash);
          down.end();
          return { subscription, cursor, epoch, hash };
        }),
      };
    case CHILD.pushLedger: {
      const items = limited(reader.list(), BATCH_ITEMS_MAX, "items").map(readLinkItem);
      return { kind: "pushLedger", items, hash: readHash(reader), after: reader.orNull(readHash) };
    }
    case CHILD.pushCommands:
      return {
        kind: "pushCommands",
        from: seq(reader.count()),
        lowWater: seq(reader.count()),
        commands: limited(reader.list(), BATCH_ITEMS_MAX, "commands").map(readUserCommand),
      };
    case CHILD.taken:
      return { kind: "taken", cursor: revision(reader.count()) };
    case CHILD.keepAlive:
      return { kind: "keepAlive", id: reader.count(), lease: reader.that(isLeaseId, "a lease") };
    case CHILD.ask: {
      const id = reader.count();
      const mode = readMode(reader.any());
      return { kind: "ask", id, mode, query: readQuery(reader.any()) };
    }
    case CHILD.goodbye:
      return { kind: "goodbye", code: readErrorCode(reader), details: reader.text() };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a child message of unknown kind ${kind}`);
  }
}

export function encodeParentMessage(message: ParentMessage): Uint8Array {
  switch (message.kind) {
    case "welcome":
      return encodePooled([
        PARENT.welcome,
        message.version,
        message.cluster,
        ...lineageFields(message),
        message.cursor,
        message.hash,
        outcomesTuple(message.outcomes),
        message.upstream,
        message.upstreamEpoch,
      ]);
    case "pushed":
      return encodePooled([PARENT.pushed, message.cursor, outcomesTuple(message.outcomes)]);
    case "refused":
      return encodePooled([PARENT.refused, message.code, message.details, message.cursor]);
    case "events":
      return encodePooled([PARENT.events, message.items.map(linkItemTuple), message.hash]);
    case "holds":
      return encodePooled([PARENT.holds, message.upstream, message.upstreamEpoch]);
    case "answer":
      return encodePooled([PARENT.answer, message.id, answerTuple(message.answer), seenTuple(message.seen)]);
    case "kept":
      return encodePooled([PARENT.kept, message.id]);
    case "askFailed":
      return encodePooled([PARENT.askFailed, message.id, message.code, message.details]);
    case "missing":
      return encodePooled([PARENT.missing, message.collection, message.document, message.hashes.map(changeHashBytes)]);
    case "goodbye":
      return encodePooled([PARENT.goodbye, message.code, message.details]);
    default:
      return unreachable(message);
  }
}

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION (of a welcome) */
export function decodeParentMessage(bytes: Uint8Array): ParentMessage {
  const reader = new TupleReader(decode(bytes), "parent message");
  const kind = reader.count();
  if (kind === PARENT.welcome) requireVersion(reader);
  const message = readParentMessage(kind, reader);
  reader.end();
  return message;
}

function readParentMessage(kind: number, reader: TupleReader): ParentMessage {
  switch (kind) {
    case PARENT.welcome:
      return {
        kind: "welcome",
        version: SYNC_VERSION,
        cluster: reader.that(isClusterId, "a cluster"),
        ...readLineage(reader),
        cursor: reader.count(),
        hash: reader.orNull(readHash),
        outcomes: readOutcomes(reader),
        upstream: revision(reader.count()),
        upstreamEpoch: readNonce(reader),
      };
    case PARENT.pushed:
      return { kind: "pushed", cursor: reader.count(), outcomes: readOutcomes(reader) };
    case PARENT.refused:
      return { kind: "refused", code: readErrorCode(reader), details: reader.text(), cursor: reader.count() };
    case PARENT.events: {
      const items = limited(reader.list(), BATCH_ITEMS_MAX, "items").map(readLinkItem);
      return { kind: "events", items, hash: readHash(reader) };
    }
    case PARENT.holds:
      return { kind: "holds", upstream: revision(reader.count()), upstreamEpoch: readNonce(reader) };
    case PARENT.answer:
      return {
        kind: "answer",
        id: reader.count(),
        answer: readAnswer(reader.any()),
        seen: readSeen(reader.any()),
      };
    case PARENT.kept:
      return { kind: "kept", id: reader.count() };
    case PARENT.askFailed:
      return { kind: "askFailed", id: reader.count(), code: readErrorCode(reader), details: reader.text() };
    case PARENT.missing: {
      const collection = reader.text();
      const document = reader.text();
      const hashes = limited(reader.list(), BATCH_ITEMS_MAX, "hashes").map(readChangeHash);
      return { kind: "missing", collection, document, hashes };
    }
    case PARENT.goodbye:
      return { kind: "goodbye", code: readErrorCode(reader), details: reader.text() };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a parent message of unknown kind ${kind}`);
  }
}

const readNonce = (reader: TupleReader): string | null => reader.orNull((field) => field.that(isNonce, "a nonce"));

/** Refused by name, before any field is read that another version may have laid out differently. */
function requireVersion(reader: TupleReader): void {
  const version = reader.count();
  if (version !== SYNC_VERSION) {
    throw new OpenClawError("UNKNOWN_VERSION", `the peer speaks sync ${version}, this side ${SYNC_VERSION}`);
  }
}

function identityTuple(child: ChildIdentity): Encodable {
  switch (child.kind) {
    case "client":
      return [0, child.token];
    case "site":
      return [1, child.cluster, ...lineageFields(child), child.revision, child.credential];
    default:
      return unreachable(child);
  }
}

function readIdentity(value: Encodable): ChildIdentity {
  const reader = new TupleReader(value, "child");
  const site = reader.count();
  if (site > 1) throw new OpenClawError("MALFORMED_FRAME", "a child of unknown kind");
  let child: ChildIdentity;
  if (site === 1) {
    const cluster: ClusterId = reader.that(isClusterId, "a cluster");
    const lineage = readLineage(reader);
    const at = revision(reader.count());
    child = { kind: "site", cluster, ...lineage, revision: at, credential: reader.bytes() };
  } else {
    child = { kind: "client", token: reader.orNull((field) => field.text()) };
  }
  reader.end();
  return child;
}

const subscriptionTuple = (subscription: Subscription): Encodable => [
  subscription.prefixes,
  subscription.collections,
  subscription.mirrors,
];

function readSubscription(value: Encodable): Subscription {
  const reader = new TupleReader(value, "subscription");
  const prefixes = limited(reader.list(), SUBSCRIPTION_ITEMS_MAX, "prefixes").map((field) => {
    if (!(field instanceof Uint8Array)) throw new OpenClawError("MALFORMED_FRAME", "a prefix is bytes");
    return field;
  });
  const collections = limited(reader.list(), SUBSCRIPTION_ITEMS_MAX, "collections").map((field) => {
    if (typeof field !== "string") throw new OpenClawError("MALFORMED_FRAME", "a collection is a text");
    return field;
  });
  const subscription: Subscription = { prefixes, collections, mirrors: reader.flag() };
  reader.end();
  return subscription;
}

const outcomesTuple = (outcomes: Extract<ParentMessage, { kind: "pushed" }>["outcomes"]): Encodable =>
  outcomes.map((one) => [one.seq, outcomeTuple(one.outcome)]);

function readOutcomes(reader: TupleReader): Extract<ParentMessage, { kind: "pushed" }>["outcomes"] {
  return limited(reader.list(), BATCH_ITEMS_MAX, "outcomes").map((value) => {
    const one = new TupleReader(value, "outcome of a command");
    const read = { seq: seq(one.count()), outcome: readOutcome(one.any()) };
    one.end();
    return read;
  });
}
