/** Snapshots as they travel and are kept: their steps, and how far one was taken. */
import { decode, type Encodable, encode, limited, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { isClusterId, isNonce, revision } from "../ids.ts";
import { HOME_PREFIX_BYTES_MAX, HOMES_KNOWN_MAX, SNAPSHOT_ORIGINS_MAX, SNAPSHOT_ROWS_MAX } from "../limits.ts";
import {
  documentChangeTuple,
  keyNumbersTuple,
  readCluster,
  readDocumentChange,
  readHash,
  readKeyNumbers,
} from "./record-codec.ts";
import type {
  DocumentPart,
  SnapshotHead,
  SnapshotHome,
  SnapshotProgress,
  SnapshotRow,
  SnapshotStep,
  StreamState,
} from "./snapshot.ts";
import { readSubscription, subscriptionTuple } from "./subscription-codec.ts";

const STEP = { begin: 0, piece: 1, end: 2 } as const satisfies Record<SnapshotStep["kind"], number>;

export function snapshotStepTuple(step: SnapshotStep): Encodable {
  switch (step.kind) {
    case "begin":
      // A cluster's is a command as well, which is as it was before there were any.
      return [STEP.begin, headTuple(step.head), ...(step.extent === undefined ? [] : [step.extent])];
    case "piece": {
      const { section, from, to, rows, documents } = step.piece;
      return [STEP.piece, step.at, section, from, to, rows.map(rowTuple), documents.map(partTuple)];
    }
    case "end":
      return [STEP.end, step.at];
    default:
      return unreachable(step);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readSnapshotStep(value: Encodable): SnapshotStep {
  const reader = new TupleReader(value, "snapshot step");
  const step = readStep(reader);
  reader.end();
  return step;
}

function readStep(reader: TupleReader): SnapshotStep {
  const kind = reader.count();
  switch (kind) {
    case STEP.begin: {
      const head = readHead(reader.any());
      return reader.more
        ? { kind: "begin", head, extent: reader.orNull((field) => field.count()) }
        : { kind: "begin", head };
    }
    case STEP.piece: {
      const at = revision(reader.count());
      const place = { section: reader.count(), from: reader.bytes(), to: reader.orNull((field) => field.bytes()) };
      const rows = bounded(reader.list(), "rows").map(readRow);
      return {
        kind: "piece",
        at,
        piece: { ...place, rows, documents: bounded(reader.list(), "documents").map(readPart) },
      };
    }
    case STEP.end:
      return { kind: "end", at: revision(reader.count()) };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a snapshot step of unknown kind ${kind}`);
  }
}

export const streamTuple = ({ held, snapshot }: StreamState): Encodable => [
  subscriptionTuple(held),
  snapshot === null ? null : progressTuple(snapshot),
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readStream(value: Encodable): StreamState {
  const reader = new TupleReader(value, "stream");
  const stream = {
    held: readSubscription(reader.any()),
    snapshot: reader.orNull((field) => readProgress(field.any())),
  };
  reader.end();
  return stream;
}

export const progressTuple = ({ head, place }: SnapshotProgress): Encodable => [
  headTuple(head),
  place.section,
  place.from,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readProgress(value: Encodable): SnapshotProgress {
  const reader = new TupleReader(value, "snapshot progress");
  const head = readHead(reader.any());
  const progress = { head, place: { section: reader.count(), from: reader.bytes() } };
  reader.end();
  return progress;
}

const headTuple = ({ at, hash, subscription, kept, origins, homes }: SnapshotHead): Encodable => [
  at,
  hash,
  subscription === null ? null : subscriptionTuple(subscription),
  kept === null ? null : subscriptionTuple(kept),
  origins.map(({ cluster, epoch }) => [cluster, epoch]),
  homes.map(({ prefix, owner, open }) => [prefix, owner, open]),
];

function readHead(value: Encodable): SnapshotHead {
  const reader = new TupleReader(value, "snapshot head");
  const at = revision(reader.count());
  const hash = readHash(reader);
  const subscription = reader.orNull((field) => readSubscription(field.any()));
  const kept = reader.orNull((field) => readSubscription(field.any()));
  const origins = limited(reader.list(), SNAPSHOT_ORIGINS_MAX, "origins").map(readOrigin);
  const homes = limited(reader.list(), HOMES_KNOWN_MAX, "homes").map(readSnapshotHome);
  reader.end();
  return { at, hash, subscription, kept, origins, homes };
}

function readSnapshotHome(value: Encodable): SnapshotHome {
  const reader = new TupleReader(value, "snapshot home");
  const home = { prefix: reader.bytes(), owner: readCluster(reader), open: reader.flag() };
  reader.end();
  if (home.prefix.length > HOME_PREFIX_BYTES_MAX) throw new OpenClawError("MALFORMED_FRAME", "a home's prefix");
  return home;
}

function readOrigin(value: Encodable): SnapshotHead["origins"][number] {
  const reader = new TupleReader(value, "snapshot origin");
  const origin = { cluster: reader.that(isClusterId, "a cluster"), epoch: reader.that(isNonce, "a nonce") };
  reader.end();
  return origin;
}

const rowTuple = (row: SnapshotRow): Encodable => [row.key, row.value, keyNumbersTuple(row)];

function readRow(value: Encodable): SnapshotRow {
  const reader = new TupleReader(value, "snapshot row");
  const row = { key: reader.bytes(), value: reader.bytes(), ...readKeyNumbers(reader.any()) };
  reader.end();
  return row;
}

const partTuple = ({ collection, document, changes }: DocumentPart): Encodable => [
  collection,
  document,
  changes.map(documentChangeTuple),
];

function readPart(value: Encodable): DocumentPart {
  const reader = new TupleReader(value, "snapshot document");
  const part = {
    collection: reader.text(),
    document: reader.text(),
    changes: bounded(reader.list(), "changes").map(readDocumentChange),
  };
  reader.end();
  return part;
}

const bounded = (list: readonly Encodable[], what: string): readonly Encodable[] =>
  limited(list, SNAPSHOT_ROWS_MAX, what);

/** A place among documents: how many changes of a document come before it. */
export interface DocumentPlace {
  readonly collection: string;
  readonly document: string;
  readonly after: number;
}

export const encodeDocumentPlace = ({ collection, document, after }: DocumentPlace): Uint8Array =>
  encode([collection, document, after]);

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeDocumentPlace(bytes: Uint8Array): DocumentPlace | null {
  if (bytes.length === 0) return null;
  const reader = new TupleReader(decode(bytes), "document place");
  const place = { collection: reader.text(), document: reader.text(), after: reader.count() };
  reader.end();
  return place;
}
