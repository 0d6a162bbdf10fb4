/**
 * The bytes of a ledger record: format byte, 16 bytes of salt, then one tuple. So the leaf of a record is simply the
 * hash of its bytes (rule L2), and the format byte keeps a record from being read as a link of the chain.
 */
import { concatBytes, equalBytes, fromHex, toHex } from "../bytes.ts";
import type { Encodable } from "../codec.ts";
import { decode, encodePooled, TupleReader } from "../codec.ts";
import { invariant, OpenClawError, unreachable } from "../errors.ts";
import type { ActorId, ChangeHash, Epoch, LeaseId, Origin } from "../ids.ts";
import { isActorId, isClusterId, isLeaseId, isLinkId, isNonce, PARTITION, revision } from "../ids.ts";
import { EVENTS_MAX } from "../limits.ts";
import { ANCESTORS_MAX, type Ancestor, type Lineage } from "./lineage.ts";
import type { DocumentChange, LedgerEvent, LedgerRecord, LinkItem, StubReason } from "./record.ts";

/** First byte of every record. Chain inputs begin with other bytes (chain.ts). */
const RECORD_FORMAT = 0x01;
export const SALT_BYTES = 16;
export const HASH_BYTES = 32;

const EVENT = { put: 0, delete: 1, change: 2 } as const satisfies Record<LedgerEvent["kind"], number>;
const ITEM = { body: 0, stub: 1, skip: 2 } as const satisfies Record<LinkItem["kind"], number>;
const REASONS: readonly StubReason[] = ["private", "echo", "shed", "filtered"];

export function encodeRecord(record: LedgerRecord): Uint8Array<ArrayBuffer> {
  invariant(record.salt.length === SALT_BYTES, "a record's salt has 16 bytes");
  const inner = encodePooled([
    record.partition,
    record.revision,
    record.time,
    record.principal,
    record.origin === null ? null : originTuple(record.origin),
    record.link,
    record.events.map(eventTuple),
  ]);
  const bytes = new Uint8Array(1 + SALT_BYTES + inner.length);
  bytes[0] = RECORD_FORMAT;
  bytes.set(record.salt, 1);
  bytes.set(inner, 1 + SALT_BYTES);
  return bytes;
}

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeRecord(bytes: Uint8Array): LedgerRecord {
  if (bytes.length <= 1 + SALT_BYTES || bytes[0] !== RECORD_FORMAT) {
    throw new OpenClawError("MALFORMED_FRAME", "not a ledger record of a known format");
  }
  const reader = new TupleReader(decode(bytes.subarray(1 + SALT_BYTES)), "record");
  if (reader.count() !== PARTITION) throw new OpenClawError("MALFORMED_FRAME", "a record of another partition");
  const record: LedgerRecord = {
    partition: PARTITION,
    revision: revision(reader.count()),
    time: reader.integer(),
    principal: reader.text(),
    origin: reader.orNull((field) => readOrigin(field.any())),
    link: reader.orNull((field) => field.that(isLinkId, "a link")),
    salt: bytes.slice(1, 1 + SALT_BYTES),
    events: reader.list().map(readEvent),
  };
  reader.end();
  if (!isWritten(record)) throw new OpenClawError("MALFORMED_FRAME", "a record that no cluster writes");
  return record;
}

function isWritten({ origin, link, events }: LedgerRecord): boolean {
  if ((origin === null) !== (link === null) || events.length === 0 || events.length > EVENTS_MAX) return false;
  return origin === null || events.every((event) => event.kind !== "put" || event.lease === null);
}

/**
 * Decodes a record that another cluster wrote, and checks that its bytes are the ones `encodeRecord` gives. Otherwise two
 * decoders could read different things out of bytes of one hash (X1).
 * @throws OpenClawError MALFORMED_FRAME
 */
export function decodeForeignRecord(bytes: Uint8Array): LedgerRecord {
  const record = decodeRecord(bytes);
  if (!equalBytes(encodeRecord(record), bytes)) throw new OpenClawError("MALFORMED_FRAME", "a record in odd bytes");
  return record;
}

export function documentChangeTuple(change: DocumentChange): Encodable {
  return [
    hexBytes(change.hash),
    hexBytes(change.actor),
    change.seq,
    concatBytes(change.deps.map(hexBytes)),
    change.bytes,
  ];
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readDocumentChange(value: Encodable): DocumentChange {
  const reader = new TupleReader(value, "change");
  const change: DocumentChange = {
    hash: changeHashOf(reader.bytes()),
    actor: actorIdOf(reader.bytes()),
    seq: reader.count(),
    deps: splitHashes(reader.bytes()),
    bytes: reader.bytes(),
  };
  reader.end();
  return change;
}

export function linkItemTuple(item: LinkItem): Encodable {
  switch (item.kind) {
    case "body":
      return [ITEM.body, item.revision, item.record];
    case "stub":
      return [ITEM.stub, item.revision, item.leaf, REASONS.indexOf(item.reason)];
    case "skip":
      return [ITEM.skip, item.from, item.to, item.hash];
    default:
      return unreachable(item);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readLinkItem(value: Encodable): LinkItem {
  const reader = new TupleReader(value, "link item");
  const item = readItem(reader);
  reader.end();
  return item;
}

function readItem(reader: TupleReader): LinkItem {
  const kind = reader.count();
  switch (kind) {
    case ITEM.body:
      return { kind: "body", revision: revision(reader.count()), record: reader.bytes() };
    case ITEM.stub: {
      const at = revision(reader.count());
      const leaf = readHash(reader);
      const reason = REASONS[reader.count()];
      if (reason === undefined) throw new OpenClawError("MALFORMED_FRAME", "a stub for an unknown reason");
      return { kind: "stub", revision: at, leaf, reason };
    }
    case ITEM.skip:
      return { kind: "skip", from: revision(reader.count()), to: revision(reader.count()), hash: readHash(reader) };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a link item of unknown kind ${kind}`);
  }
}

export const epochTuple = (epoch: Epoch): Encodable => [epoch.counter, epoch.nonce, epoch.parent, epoch.departure];

/** @throws OpenClawError MALFORMED_FRAME */
export function readEpoch(value: Encodable): Epoch {
  const reader = new TupleReader(value, "epoch");
  const epoch: Epoch = {
    counter: reader.count(),
    nonce: reader.that(isNonce, "a nonce"),
    parent: reader.orNull((field) => field.that(isNonce, "a nonce")),
    departure: revision(reader.count()),
  };
  reader.end();
  return epoch;
}

export const ancestorTuples = (ancestors: readonly Ancestor[]): Encodable =>
  ancestors.map(({ epoch, hash }) => [epochTuple(epoch), hash]);

/** @throws OpenClawError MALFORMED_FRAME */
export function readAncestors(reader: TupleReader): readonly Ancestor[] {
  const list = reader.list();
  if (list.length > ANCESTORS_MAX) throw new OpenClawError("MALFORMED_FRAME", `${list.length} epochs`);
  return list.map((value) => {
    const one = new TupleReader(value, "ancestor");
    const ancestor = { epoch: readEpoch(one.any()), hash: readHash(one) };
    one.end();
    return ancestor;
  });
}

export const lineageFields = ({ epoch, ancestors }: Lineage): readonly Encodable[] => [
  epochTuple(epoch),
  ancestorTuples(ancestors),
];

/** @throws OpenClawError MALFORMED_FRAME */
export const readLineage = (reader: TupleReader): Lineage => ({
  epoch: readEpoch(reader.any()),
  ancestors: readAncestors(reader),
});

const originTuple = (origin: Origin): Encodable => [origin.cluster, origin.epoch, origin.revision];

function readOrigin(value: Encodable): Origin {
  const reader = new TupleReader(value, "origin");
  const origin: Origin = {
    cluster: reader.that(isClusterId, "a cluster"),
    epoch: reader.that(isNonce, "a nonce"),
    revision: revision(reader.count()),
  };
  reader.end();
  return origin;
}

export function eventTuple(event: LedgerEvent): Encodable {
  switch (event.kind) {
    case "put":
      return [EVENT.put, event.key, event.value, event.lease, event.encryption];
    case "delete":
      return [EVENT.delete, event.key];
    case "change":
      return [EVENT.change, event.collection, event.document, documentChangeTuple(event.change), event.encryption];
    default:
      return unreachable(event);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readEvent(value: Encodable): LedgerEvent {
  const reader = new TupleReader(value, "event");
  const event = readEventOfKind(reader);
  reader.end();
  return event;
}

function readEventOfKind(reader: TupleReader): LedgerEvent {
  const kind = reader.count();
  switch (kind) {
    case EVENT.put:
      return {
        kind: "put",
        key: reader.bytes(),
        value: reader.bytes(),
        lease: readLease(reader),
        encryption: readEncryption(reader),
      };
    case EVENT.delete:
      return { kind: "delete", key: reader.bytes() };
    case EVENT.change:
      return {
        kind: "change",
        collection: reader.text(),
        document: reader.text(),
        change: readDocumentChange(reader.any()),
        encryption: readEncryption(reader),
      };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `an event of unknown kind ${kind}`);
  }
}

/** L6: a header that we cannot read must not be taken for plain bytes. */
function readEncryption(reader: TupleReader): null {
  if (reader.any() !== null) throw new OpenClawError("MALFORMED_FRAME", "an encrypted value");
  return null;
}

/** @throws OpenClawError MALFORMED_FRAME */
export const readLease = (reader: TupleReader): LeaseId | null =>
  reader.orNull((field) => field.that(isLeaseId, "a lease"));

/** Reads a SHA-256. @throws OpenClawError MALFORMED_FRAME */
export function readHash(reader: TupleReader): Uint8Array {
  const hash = reader.bytes();
  if (hash.length !== HASH_BYTES) throw new OpenClawError("MALFORMED_FRAME", "a hash has 32 bytes");
  return hash;
}

/** The 32 bytes of a change hash. */
export const changeHashBytes = (hash: ChangeHash): Uint8Array => hexBytes(hash);

/** The hash of exactly 32 bytes. @throws OpenClawError MALFORMED_FRAME */
export function changeHashOf(bytes: Uint8Array): ChangeHash {
  if (bytes.length !== HASH_BYTES) throw new OpenClawError("MALFORMED_FRAME", "a change hash has 32 bytes");
  return toHex(bytes) as ChangeHash;
}

/** @throws OpenClawError MALFORMED_FRAME */
function actorIdOf(bytes: Uint8Array): ActorId {
  const actor = toHex(bytes);
  if (!isActorId(actor)) throw new OpenClawError("MALFORMED_FRAME", "not an actor");
  return actor;
}

/** Hashes written one after the other. @throws OpenClawError MALFORMED_FRAME */
export function splitHashes(bytes: Uint8Array): ChangeHash[] {
  const count = bytes.length / HASH_BYTES;
  if (!Number.isInteger(count)) throw new OpenClawError("MALFORMED_FRAME", "not a run of hashes");
  return Array.from({ length: count }, (_, i) => changeHashOf(bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)));
}

function hexBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  invariant(bytes !== undefined, "an id in hex");
  return bytes;
}
