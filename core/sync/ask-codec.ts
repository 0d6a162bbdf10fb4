/** Questions of a child and their answers, as tuples. */

import { fromHex, toHex } from "../bytes.ts";
import type { Encodable } from "../codec.ts";
import { limited, TupleReader } from "../codec.ts";
import { invariant, OpenClawError, unreachable } from "../errors.ts";
import { type ChangeHash, type ClusterId, isActorId, isClusterId, isLeaseId, isNonce, revision } from "../ids.ts";
import { lineageFields, readLineage } from "../ledger/epoch-codec.ts";
import {
  changeHashBytes,
  changeHashOf,
  documentChangeTuple,
  readDocumentChange,
  readHash,
} from "../ledger/record-codec.ts";
import { BATCH_ITEMS_MAX, EVENTS_MAX, RANGE_ROWS_MAX } from "../limits.ts";
import {
  keyValueTuple,
  rangeFields,
  rangeResponseFields,
  readKeyValue,
  readRange,
  readRangeResponse,
} from "../state-machine/operation-codec.ts";
import { outcomeTuple, readOutcome } from "../state-machine/outcome-codec.ts";
import type { CommandState, LeaseState, QueryAnswers } from "../state-machine/query.ts";
import type { ChildAnswer, ChildQuery } from "./message.ts";

const KIND = {
  get: 0,
  range: 1,
  document: 2,
  documents: 3,
  changes: 4,
  position: 5,
  lease: 6,
  command: 7,
} as const satisfies Record<ChildQuery["kind"], number>;

export function queryTuple(query: ChildQuery): Encodable {
  switch (query.kind) {
    case "get":
      return [KIND.get, query.origin, query.key];
    case "range":
      return [KIND.range, query.origin, ...rangeFields(query)];
    case "document":
      return [KIND.document, query.collection, query.document, query.after, query.limit];
    case "documents":
      return [KIND.documents, query.collection];
    case "changes":
      return [KIND.changes, query.collection, query.document, query.hashes.map(changeHashBytes)];
    case "lease":
      return [KIND.lease, query.lease];
    case "command":
      return [KIND.command, query.revision];
    case "position":
      return [KIND.position];
    default:
      return unreachable(query);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readQuery(value: Encodable): ChildQuery {
  const reader = new TupleReader(value, "question");
  const query = readQueryOfKind(reader.count(), reader);
  reader.end();
  return query;
}

function readQueryOfKind(kind: number, reader: TupleReader): ChildQuery {
  switch (kind) {
    case KIND.get:
      return { kind: "get", origin: readOriginCluster(reader), key: reader.bytes() };
    case KIND.range: {
      const origin = readOriginCluster(reader);
      const range = readRange(reader);
      atMost(range.limit, RANGE_ROWS_MAX);
      return { kind: "range", origin, ...range };
    }
    case KIND.document: {
      const collection = reader.text();
      const document = reader.text();
      return {
        kind: "document",
        collection,
        document,
        after: reader.count(),
        limit: atMost(reader.count(), RANGE_ROWS_MAX),
      };
    }
    case KIND.documents:
      return { kind: "documents", collection: reader.text() };
    case KIND.changes: {
      const collection = reader.text();
      const document = reader.text();
      const hashes = limited(reader.list(), BATCH_ITEMS_MAX, "hashes").map(readChangeHash);
      return { kind: "changes", collection, document, hashes };
    }
    case KIND.lease:
      return { kind: "lease", lease: reader.that(isLeaseId, "a lease") };
    case KIND.command:
      return { kind: "command", revision: revision(reader.count()) };
    case KIND.position:
      return { kind: "position" };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a question of unknown kind ${kind}`);
  }
}

export function answerTuple(answer: ChildAnswer): Encodable {
  switch (answer.kind) {
    case "get":
      return [
        KIND.get,
        answer.answer.row === null ? null : keyValueTuple(answer.answer.row),
        answer.answer.revision,
        answer.answer.origin,
      ];
    case "range":
      return [KIND.range, ...rangeResponseFields(answer.answer), answer.answer.revision, answer.answer.origin];
    case "document": {
      const { changes, position, more, heads, pending, quarantined } = answer.answer;
      return [
        KIND.document,
        changes.map(documentChangeTuple),
        position,
        more,
        heads.map(changeHashBytes),
        pending,
        quarantined.map(({ hash, actor }) => [changeHashBytes(hash), hexBytes(actor)]),
      ];
    }
    case "documents":
      return [KIND.documents, answer.answer.documents];
    case "changes":
      return [KIND.changes, answer.answer.changes.map(documentChangeTuple)];
    case "lease": {
      const { lease, revision: at } = answer.answer;
      return [KIND.lease, lease === null ? null : [lease.ttlMs, lease.remainingMs, lease.keys], at];
    }
    case "command":
      return [KIND.command, answer.answer.command === null ? null : commandTuple(answer.answer.command)];
    case "position": {
      const {
        cluster,
        revision: at,
        hash,
        logTime,
        applyVersion,
        parentHolds,
        parentEpoch,
        nextDue,
        compacted,
      } = answer.answer;
      return [
        KIND.position,
        cluster,
        ...lineageFields(answer.answer),
        at,
        hash,
        logTime,
        applyVersion,
        parentHolds,
        parentEpoch,
        nextDue,
        compacted,
      ];
    }
    default:
      return unreachable(answer);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readAnswer(value: Encodable): ChildAnswer {
  const reader = new TupleReader(value, "answer");
  const answer = readAnswerOfKind(reader.count(), reader);
  reader.end();
  return answer;
}

function readAnswerOfKind(kind: number, reader: TupleReader): ChildAnswer {
  switch (kind) {
    case KIND.get:
      return {
        kind: "get",
        answer: {
          row: reader.orNull((field) => readKeyValue(field.any())),
          revision: revision(reader.count()),
          origin: readOriginCluster(reader),
        },
      };
    case KIND.range: {
      const response = readRangeResponse(reader);
      limited(response.rows, RANGE_ROWS_MAX, "rows");
      const at = revision(reader.count());
      return { kind: "range", answer: { ...response, revision: at, origin: readOriginCluster(reader) } };
    }
    case KIND.document:
      return { kind: "document", answer: readDocumentAnswer(reader) };
    case KIND.documents: {
      const documents = reader.list().map((field) => {
        if (typeof field !== "string") throw new OpenClawError("MALFORMED_FRAME", "a document's id is a text");
        return field;
      });
      return { kind: "documents", answer: { documents } };
    }
    case KIND.changes:
      return { kind: "changes", answer: { changes: reader.list().map(readDocumentChange) } };
    case KIND.lease: {
      const lease = reader.orNull((field) => readLeaseState(field.any()));
      return { kind: "lease", answer: { lease, revision: revision(reader.count()) } };
    }
    case KIND.command:
      return { kind: "command", answer: { command: reader.orNull((field) => readCommandState(field.any())) } };
    case KIND.position: {
      const cluster = reader.that(isClusterId, "a cluster");
      const lineage = readLineage(reader);
      const at = revision(reader.count());
      const hash = readHash(reader);
      const logTime = reader.count();
      const applyVersion = reader.count();
      const parentHolds = revision(reader.count());
      const parentEpoch = reader.orNull((field) => field.that(isNonce, "a nonce"));
      const nextDue = reader.orNull((field) => field.count());
      const compacted = revision(reader.count());
      const holds = { parentHolds, parentEpoch };
      const answer = { cluster, ...lineage, revision: at, hash, logTime, applyVersion, ...holds, nextDue, compacted };
      return { kind: "position", answer };
    }
    default:
      throw new OpenClawError("MALFORMED_FRAME", `an answer of unknown kind ${kind}`);
  }
}

const commandTuple = ({ revision: at, principal, via, waitsMs, outcome }: CommandState): Encodable => [
  at,
  principal,
  via,
  waitsMs,
  outcome === null ? null : outcomeTuple(outcome),
];

function readCommandState(value: Encodable): CommandState {
  const reader = new TupleReader(value, "command");
  const command = {
    revision: revision(reader.count()),
    principal: reader.text(),
    via: readOriginCluster(reader),
    waitsMs: reader.orNull((field) => field.count()),
    outcome: reader.orNull((field) => readOutcome(field.any())),
  };
  reader.end();
  return command;
}

function readDocumentAnswer(reader: TupleReader): QueryAnswers["document"] {
  const changes = limited(reader.list(), RANGE_ROWS_MAX, "changes").map(readDocumentChange);
  const position = reader.count();
  const more = reader.flag();
  const heads = reader.list().map(readChangeHash);
  const pending = reader.count();
  const quarantined = reader.list().map((value) => {
    const one = new TupleReader(value, "quarantined change");
    const hash = changeHashOf(one.bytes());
    const actor = toHex(one.bytes());
    one.end();
    if (!isActorId(actor)) throw new OpenClawError("MALFORMED_FRAME", "not an actor");
    return { hash, actor };
  });
  return { changes, position, more, heads, pending, quarantined };
}

function readLeaseState(value: Encodable): LeaseState {
  const reader = new TupleReader(value, "lease");
  const ttlMs = reader.count();
  const remainingMs = reader.count();
  const keys = limited(reader.list(), EVENTS_MAX, "keys of a lease").map((key) => {
    if (!(key instanceof Uint8Array)) throw new OpenClawError("MALFORMED_FRAME", "a key is bytes");
    return key;
  });
  reader.end();
  return { ttlMs, remainingMs, keys };
}

const readOriginCluster = (reader: TupleReader): ClusterId | null =>
  reader.orNull((field) => field.that(isClusterId, "an origin"));

/** @throws OpenClawError MALFORMED_FRAME */
export function readChangeHash(value: Encodable): ChangeHash {
  if (!(value instanceof Uint8Array)) throw new OpenClawError("MALFORMED_FRAME", "a change hash is bytes");
  return changeHashOf(value);
}

function atMost(count: number, limit: number): number {
  if (count > limit) throw new OpenClawError("MALFORMED_FRAME", `${count} wanted; at most ${limit}`);
  return count;
}

function hexBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  invariant(bytes !== undefined, "an id in hex");
  return bytes;
}
