/**
 * A snapshot in a stream (S4): what stood in a scope at exactly one of the sender's revisions, in the place of the records
 * that led there. It goes in pieces along the sections of the scope, in one order that both ends derive from its head, so
 * that a transfer that was cut goes on at any place, from any node of the sender.
 */
import { decode, type Encodable, encode, limited, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, isClusterId, isNonce, type Revision, revision } from "../ids.ts";
import { HOME_PREFIX_BYTES_MAX, HOMES_KNOWN_MAX, SNAPSHOT_ORIGINS_MAX, SNAPSHOT_ROWS_MAX } from "../limits.ts";
import type { DocumentName } from "./document-names.ts";
import type { DocumentChange, KeyNumbers } from "./record.ts";
import {
  documentChangeTuple,
  keyNumbersTuple,
  readCluster,
  readDocumentChange,
  readHash,
  readKeyNumbers,
} from "./record-codec.ts";
import { type Scope, scopeOf, without } from "./scope.ts";
import { NOTHING, readSubscription, type Subscription, subscriptionTuple } from "./subscription.ts";

export interface SnapshotHead {
  /** The sender's revision that it is of, and the sender's ledger hash there. */
  readonly at: Revision;
  readonly hash: Uint8Array;
  /** What the receiver holds when it is taken. Null: everything, as a ledger goes up. */
  readonly subscription: Subscription | null;
  /** What the receiver held before and keeps; null: all of the scope is replaced, and the cursor moves to `at`. */
  readonly kept: Subscription | null;
  /** Whose mirrors are in it, with the epoch that each was seen in last. Ascending by cluster. */
  readonly origins: readonly { readonly cluster: ClusterId; readonly epoch: string }[];
  /** Prefixes whose home is the sender, or above it: every child has their keys, whatever it subscribes to (Q3). Of a whole one. */
  readonly homes: readonly SnapshotHome[];
}

export interface SnapshotHome {
  readonly prefix: Uint8Array;
  /** Whose keys they are; null: the sender's. */
  readonly owner: ClusterId | null;
  /** Every old home has released it. */
  readonly open: boolean;
}

export type SnapshotSection =
  /** `origin` null: the sender's own keys. `home`: of their records at the receiver. */
  | {
      readonly kind: "keys";
      readonly origin: ClusterId | null;
      readonly home: "site" | "hub";
      readonly from: Uint8Array;
      readonly to: Uint8Array | null;
    }
  /** Null: of every collection. */
  | { readonly kind: "documents"; readonly collection: string | null }
  /** These, of collections that are not in it whole. One section: many small ones come in one piece. */
  | { readonly kind: "named"; readonly documents: readonly DocumentName[] };

/** Everything before it is taken. `from` is a key, or a place among documents; empty at the beginning of a section. */
export interface SnapshotPlace {
  readonly section: number;
  readonly from: Uint8Array;
}

export interface SnapshotRow extends KeyNumbers {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface DocumentPart {
  readonly collection: string;
  readonly document: string;
  readonly changes: readonly DocumentChange[];
}

export interface SnapshotPiece {
  readonly section: number;
  readonly from: Uint8Array;
  /** Where the next piece begins; null: the section ends here. */
  readonly to: Uint8Array | null;
  /** All there is from `from` on, before `to`, in the order of the keys. */
  readonly rows: readonly SnapshotRow[];
  readonly documents: readonly DocumentPart[];
}

export type SnapshotStep =
  /**
   * A snapshot begins; one that was under way is given up. `extent`: about how many keys and changes are in it, null where
   * that is not known; told to a client alone.
   */
  | { readonly kind: "begin"; readonly head: SnapshotHead; readonly extent?: number | null }
  | { readonly kind: "piece"; readonly at: Revision; readonly piece: SnapshotPiece }
  /** Every piece was sent. */
  | { readonly kind: "end"; readonly at: Revision };

/** A snapshot that is being taken. */
export interface SnapshotProgress {
  readonly head: SnapshotHead;
  readonly place: SnapshotPlace;
}

/** What a link's stream is of, as far as it was taken. */
export interface StreamState {
  /** What the cursor was reached with. */
  readonly held: Subscription;
  readonly snapshot: SnapshotProgress | null;
}

/** True if it replaces all of its scope, so that only a whole one can be put in its place once it is begun. */
export const isWhole = (head: SnapshotHead): boolean => head.kept === null;

/** What is in it. */
export const snapshotScope = ({ subscription, kept }: SnapshotHead): Scope =>
  without(scopeOf(subscription), scopeOf(kept ?? NOTHING));

/** The keys of one owner that every child has, as `own`. @param owner null: the sender */
export const scopeOfHomes = (
  homes: readonly Pick<SnapshotHome, "prefix" | "owner">[],
  owner: ClusterId | null,
): Scope => scopeOf({ ...NOTHING, prefixes: homes.filter((home) => home.owner === owner).map(({ prefix }) => prefix) });

export function sectionsOf(head: SnapshotHead): readonly SnapshotSection[] {
  const { own, mirrored, collections, documents } = snapshotScope(head);
  const others = [null, ...head.origins.map(({ cluster }) => cluster)];
  return [
    ...others.flatMap((origin) => {
      const homes = scopeOfHomes(head.homes, origin);
      const rest = without({ ...homes, own: origin === null ? own : mirrored }, homes);
      return [
        ...homes.own.map((interval) => ({ kind: "keys", origin, home: "hub", ...interval }) as const),
        ...rest.own.map((interval) => ({ kind: "keys", origin, home: "site", ...interval }) as const),
      ];
    }),
    ...(collections ?? [null]).map((collection) => ({ kind: "documents", collection }) as const),
    ...(documents.length === 0 ? [] : [{ kind: "named", documents } as const]),
  ];
}

/** Where a section is begun at. */
const beginningOf = (section: SnapshotSection | undefined): Uint8Array =>
  section?.kind === "keys" ? section.from : new Uint8Array(0);

export const placeAt = (sections: readonly SnapshotSection[], section: number): SnapshotPlace => ({
  section,
  from: beginningOf(sections[section]),
});

/** What follows a piece. */
export const placeAfter = (sections: readonly SnapshotSection[], { section, to }: SnapshotPiece): SnapshotPlace =>
  to === null ? placeAt(sections, section + 1) : { section, from: to };

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

/** Keys, and changes of documents. */
export const itemsIn = ({ rows, documents }: SnapshotPiece): number =>
  documents.reduce((sum, { changes }) => sum + changes.length, rows.length);

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
