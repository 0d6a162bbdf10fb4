/**
 * Sync messages as bytes: one tuple a message, [kind, …fields]. Decoding is defensive (X1): what it returns has every
 * field checked. The records inside link items stay the bytes they arrived in: those are what Raft replicates (S2).
 */

import type { Encodable } from "../codec.ts";
import { decode, encodePooled, limited, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, isClusterId, isLeaseId, isLinkId, isNonce, revision, seq } from "../ids.ts";
import { lineageFields, readLineage } from "../ledger/epoch-codec.ts";
import { encodeRun, readRun } from "../ledger/link-run.ts";
import { changeHashBytes, readHash } from "../ledger/record-codec.ts";
import { progressTuple, readProgress, readSnapshotStep, snapshotStepTuple } from "../ledger/snapshot-codec.ts";
import { readSubscription, subscriptionTuple } from "../ledger/subscription-codec.ts";
import { readWitness, witnessTuple } from "../ledger/witness.ts";
import { BATCH_ITEMS_MAX, PRESENCE_TOPICS_MAX } from "../limits.ts";
import {
  ownPresenceTuple,
  PRESENT_ENTRIES_MAX,
  presentTuple,
  readOwnPresence,
  readPresent,
} from "../presence/presence.ts";
import { topicTuple } from "../presence/topic.ts";
import { readTopic } from "../presence/topic-codec.ts";
import { provisionalTuple, readProvisional } from "../provisional/message.ts";
import { outcomeTuple, readErrorCode, readOutcome } from "../state-machine/outcome-codec.ts";
import { readUserCommand, userCommandTuple } from "../state-machine/user-command-codec.ts";
import { answerTuple, queryTuple, readAnswer, readChangeHash, readQuery } from "./ask-codec.ts";
import { type ChildIdentity, type ChildMessage, type ParentMessage, SYNC_VERSION } from "./message.ts";
import { modeTuple, readMode, readSeen, seenTuple } from "./reading-codec.ts";

const CHILD = {
  hello: 0,
  pushLedger: 1,
  pushCommands: 2,
  taken: 3,
  ask: 4,
  keepAlive: 5,
  pushSnapshot: 6,
  snapshotTaken: 7,
  goodbye: 8,
  presence: 9,
  hear: 10,
  subscribe: 11,
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
  snapshot: 10,
  present: 11,
  presenceRefused: 12,
  provisional: 13,
} as const satisfies Record<ParentMessage["kind"], number>;

export function encodeChildMessage(message: ChildMessage): Uint8Array {
  switch (message.kind) {
    case "hello":
      return encodePooled([
        CHILD.hello,
        message.version,
        message.link,
        identityTuple(message.child),
        message.down === null ? null : downTuple(message.down),
      ]);
    case "pushLedger":
      return encodePooled([CHILD.pushLedger, encodeRun(message.items), message.hash, message.after]);
    case "pushCommands":
      return encodePooled([CHILD.pushCommands, message.from, message.lowWater, message.commands.map(userCommandTuple)]);
    case "pushSnapshot":
      return encodePooled([CHILD.pushSnapshot, snapshotStepTuple(message.step)]);
    case "taken":
      return encodePooled([CHILD.taken, message.cursor]);
    case "snapshotTaken":
      return encodePooled([CHILD.snapshotTaken]);
    case "subscribe":
      return encodePooled([CHILD.subscribe, subscriptionTuple(message.subscription)]);
    case "keepAlive":
      return encodePooled([CHILD.keepAlive, message.id, message.lease]);
    case "ask":
      return encodePooled([CHILD.ask, message.id, modeTuple(message.mode), queryTuple(message.query)]);
    case "presence":
      return encodePooled([CHILD.presence, message.entries.map(ownPresenceTuple)]);
    case "hear":
      return encodePooled([CHILD.hear, message.topics.map(topicTuple)]);
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
        down: reader.orNull((field) => readDown(field.any())),
      };
    case CHILD.pushLedger: {
      const items = readRun(reader, BATCH_ITEMS_MAX);
      return { kind: "pushLedger", items, hash: readHash(reader), after: reader.orNull(readHash) };
    }
    case CHILD.pushCommands:
      return {
        kind: "pushCommands",
        from: seq(reader.count()),
        lowWater: seq(reader.count()),
        commands: limited(reader.list(), BATCH_ITEMS_MAX, "commands").map(readUserCommand),
      };
    case CHILD.pushSnapshot:
      return { kind: "pushSnapshot", step: readSnapshotStep(reader.any()) };
    case CHILD.taken:
      return { kind: "taken", cursor: revision(reader.count()) };
    case CHILD.snapshotTaken:
      return { kind: "snapshotTaken" };
    case CHILD.subscribe:
      return { kind: "subscribe", subscription: readSubscription(reader.any()) };
    case CHILD.keepAlive:
      return { kind: "keepAlive", id: reader.count(), lease: reader.that(isLeaseId, "a lease") };
    case CHILD.ask: {
      const id = reader.count();
      const mode = readMode(reader.any());
      return { kind: "ask", id, mode, query: readQuery(reader.any()) };
    }
    case CHILD.presence: {
      const entries = limited(reader.list(), PRESENCE_TOPICS_MAX, "topics").map(readOwnPresence);
      return { kind: "presence", entries };
    }
    case CHILD.hear:
      return { kind: "hear", topics: limited(reader.list(), PRESENCE_TOPICS_MAX, "topics").map(readTopic) };
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
        message.record === null ? null : witnessTuple(message.record),
        outcomesTuple(message.outcomes),
        message.upstream,
        message.upstreamEpoch,
        message.snapshot === null ? null : progressTuple(message.snapshot),
      ]);
    case "pushed":
      return encodePooled([PARENT.pushed, message.cursor, outcomesTuple(message.outcomes)]);
    case "refused":
      return encodePooled([PARENT.refused, message.code, message.details, message.cursor]);
    case "events":
      return encodePooled([PARENT.events, encodeRun(message.items), message.hash]);
    case "snapshot":
      return encodePooled([PARENT.snapshot, snapshotStepTuple(message.step)]);
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
    case "present":
      return encodePooled([PARENT.present, message.entries.map(presentTuple)]);
    case "presenceRefused":
      return encodePooled([PARENT.presenceRefused, topicTuple(message.topic), message.code, message.details]);
    case "provisional":
      return encodePooled([PARENT.provisional, provisionalTuple(message)]);
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
        record: reader.orNull((field) => readWitness(field.any())),
        outcomes: readOutcomes(reader),
        upstream: revision(reader.count()),
        upstreamEpoch: readNonce(reader),
        snapshot: reader.orNull((field) => readProgress(field.any())),
      };
    case PARENT.pushed:
      return { kind: "pushed", cursor: reader.count(), outcomes: readOutcomes(reader) };
    case PARENT.refused:
      return { kind: "refused", code: readErrorCode(reader), details: reader.text(), cursor: reader.count() };
    case PARENT.events: {
      const items = readRun(reader, BATCH_ITEMS_MAX);
      return { kind: "events", items, hash: readHash(reader) };
    }
    case PARENT.snapshot:
      return { kind: "snapshot", step: readSnapshotStep(reader.any()) };
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
    case PARENT.present: {
      const entries = limited(reader.list(), PRESENT_ENTRIES_MAX, "entries").map(readPresent);
      return { kind: "present", entries };
    }
    case PARENT.presenceRefused: {
      const topic = readTopic(reader.any());
      return { kind: "presenceRefused", topic, code: readErrorCode(reader), details: reader.text() };
    }
    case PARENT.provisional:
      return { kind: "provisional", ...readProvisional(reader.any()) };
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

type Down = NonNullable<Extract<ChildMessage, { kind: "hello" }>["down"]>;

const downTuple = ({ subscription, cursor, epoch, hash, held, snapshot, record, provisional }: Down): Encodable => [
  subscriptionTuple(subscription),
  cursor,
  epoch,
  hash,
  subscriptionTuple(held),
  snapshot === null ? null : progressTuple(snapshot),
  record === null ? null : witnessTuple(record),
  ...(provisional === undefined ? [] : [provisional]),
];

function readDown(value: Encodable): Down {
  const reader = new TupleReader(value, "down");
  const down = {
    subscription: readSubscription(reader.any()),
    cursor: revision(reader.count()),
    epoch: reader.orNull((nonce) => nonce.that(isNonce, "a nonce")),
    hash: reader.orNull(readHash),
    held: readSubscription(reader.any()),
    snapshot: reader.orNull((field) => readProgress(field.any())),
    record: reader.orNull((field) => readWitness(field.any())),
    ...(reader.more ? { provisional: reader.that(isTrue, "true") } : {}),
  };
  reader.end();
  return down;
}

const isTrue = (value: unknown): value is true => value === true;

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
