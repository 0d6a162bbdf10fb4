/**
 * The bytes of a ledger record: format byte, 16 bytes of salt, then one tuple. So the leaf of a record is simply the
 * hash of its bytes (rule L2), and the format byte keeps a record from being read as a link of the chain.
 */
import { concatBytes, equalBytes, fromHex, toHex } from "../bytes.ts";
import type { Encodable } from "../codec.ts";
import { decode, encodePooled, TupleReader } from "../codec.ts";
import { invariant, OpenClawError, unreachable } from "../errors.ts";
import type { ActorId, ChangeHash, ClusterId, LeaseId, LinkId, Origin } from "../ids.ts";
import { isActorId, isClusterId, isCount, isLeaseId, isLinkId, isNonce, PARTITION, revision } from "../ids.ts";
import { BODY_DEPTH_MAX, EVENTS_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import type { DocumentChange, HomeEvent, KeyNumbers, LedgerEvent, LedgerRecord, RecordForm } from "./record.ts";
import { HOMES, mirrored } from "./record.ts";
import { readSeen, seenTuple } from "./seen-codec.ts";

/** First byte of every record. Chain inputs begin with other bytes (chain.ts). */
const RECORD_FORMAT = 0x05;
export const SALT_BYTES = 16;
export const HASH_BYTES = 32;

/** What a record adds at most to the events, or the body, that it holds. */
const WRAP_BYTES_MAX = 16_384;

/** How a record came to be; the first field of its tuple. */
export const FORM = { written: 0, imported: 1, replaced: 2 } as const;
const EVENT = { put: 0, delete: 1, change: 2, home: 3, command: 4, result: 5 } as const satisfies Record<
  LedgerEvent["kind"],
  number
>;
const STEP = { declare: 0, release: 1, open: 2 } as const satisfies Record<HomeEvent["step"]["kind"], number>;

export function encodeRecord(record: RecordForm): Uint8Array<ArrayBuffer> {
  invariant(record.salt.length === SALT_BYTES, "a record's salt has 16 bytes");
  const inner = encodePooled(recordTuple(record));
  const bytes = new Uint8Array(1 + SALT_BYTES + inner.length);
  bytes[0] = RECORD_FORMAT;
  bytes.set(record.salt, 1);
  bytes.set(inner, 1 + SALT_BYTES);
  return bytes;
}

function recordTuple(record: RecordForm): Encodable {
  const { partition, revision: at } = record;
  const home = HOMES.indexOf(record.home);
  if (record.origin === null)
    return [FORM.written, partition, at, record.time, record.principal, home, record.events.map(eventTuple)];
  const from = [originTuple(record.origin), record.link, home];
  if (record.body === null)
    return [FORM.replaced, partition, at, ...from, record.time, record.principal, record.events.map(eventTuple)];
  return [FORM.imported, partition, at, ...from, record.took, record.body];
}

/**
 * What decides how a record of our own ledger travels, without what it holds: a body in it is not decoded.
 * @throws OpenClawError MALFORMED_FRAME
 */
export function wayOf(bytes: Uint8Array): Pick<LedgerRecord, "origin" | "link" | "home"> {
  const reader = new TupleReader(decode(bytes.subarray(1 + SALT_BYTES)), "record");
  const isWritten = reader.count() === FORM.written;
  // Partition and revision; then time and principal, or origin and link.
  for (let field = 0; field < (isWritten ? 4 : 2); field++) reader.any();
  if (isWritten) return { origin: null, link: null, home: readHome(reader) };
  return { origin: readOrigin(reader.any()), link: reader.that(isLinkId, "a link"), home: readHome(reader) };
}

/** @throws OpenClawError MALFORMED_FRAME */
export const decodeRecord = (bytes: Uint8Array): LedgerRecord => readRecord(bytes, 0, () => {});

/**
 * Decodes a body: a record that another cluster wrote, with all that are in it. It checks that each stands in the bytes that
 * `encodeRecord` gives: otherwise two decoders could read different things out of bytes of one hash (X1). And that a record
 * around it can still be decoded, and sent on.
 * @throws OpenClawError MALFORMED_FRAME
 */
export function decodeBody(bytes: Uint8Array): LedgerRecord {
  let inside = 0;
  const record = readRecord(bytes, 1, (one, at) => {
    // Format and salt stand at their places, whatever they are: the tuple is what can be written in several ways.
    if (!equalBytes(encodePooled(recordTuple(one)), at.subarray(1 + SALT_BYTES)))
      throw new OpenClawError("MALFORMED_FRAME", "a record in odd bytes");
    inside++;
  });
  if (bytes.length > RECORD_BYTES_MAX + inside * WRAP_BYTES_MAX)
    throw new OpenClawError("MALFORMED_FRAME", `a record of ${bytes.length} bytes`);
  return record;
}

type Look = (record: LedgerRecord, bytes: Uint8Array) => void;

/** @param depth records around this one */
function readRecord(bytes: Uint8Array, depth: number, look: Look): LedgerRecord {
  if (depth > BODY_DEPTH_MAX) throw new OpenClawError("MALFORMED_FRAME", "a record in too many others");
  if (bytes.length <= 1 + SALT_BYTES || bytes[0] !== RECORD_FORMAT) {
    throw new OpenClawError("MALFORMED_FRAME", "not a ledger record of a known format");
  }
  const reader = new TupleReader(decode(bytes.subarray(1 + SALT_BYTES)), "record");
  const form = reader.count();
  if (reader.count() !== PARTITION) throw new OpenClawError("MALFORMED_FRAME", "a record of another partition");
  const head = { partition: PARTITION, revision: revision(reader.count()), salt: bytes.slice(1, 1 + SALT_BYTES) };
  const record = readForm(form, head, reader, depth, look);
  reader.end();
  const { length } = record.events;
  if (length === 0 || length > EVENTS_MAX) throw new OpenClawError("MALFORMED_FRAME", `a record of ${length} events`);
  look(record, bytes);
  return record;
}

function readForm(
  form: number,
  head: Pick<LedgerRecord, "partition" | "revision" | "salt">,
  reader: TupleReader,
  depth: number,
  look: Look,
): LedgerRecord {
  switch (form) {
    case FORM.written: {
      const [time, principal, home] = [reader.integer(), reader.text(), readHome(reader)];
      const events = reader.list().map(readEvent);
      return { ...head, origin: null, link: null, time, principal, home, snapshot: false, events };
    }
    case FORM.replaced: {
      const origin = readOrigin(reader.any());
      const link = reader.that(isLinkId, "a link");
      const home = readHome(reader);
      const [time, principal] = [reader.integer(), reader.text()];
      const events = reader.list().map(readEvent);
      if (events.some((event) => event.kind === "put" && event.lease !== null))
        throw new OpenClawError("MALFORMED_FRAME", "a mirror with a lease");
      return { ...head, origin, link, home, body: null, time, principal, snapshot: true, events };
    }
    case FORM.imported: {
      const origin = readOrigin(reader.any());
      const link = reader.that(isLinkId, "a link");
      const home = readHome(reader);
      const took = reader.orNull((field) => field.list().map(placeOf));
      const body = reader.bytes();
      const inner = readRecord(body, depth + 1, look);
      if (!isSame(origin, originOf(inner, link, origin.epoch)))
        throw new OpenClawError("MALFORMED_FRAME", "an origin that is not its body's");
      const { time, principal, snapshot } = inner;
      const events = tookEffect(inner.events, took);
      return { ...head, origin, link, home, body, took, time, principal, snapshot, events };
    }
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a record of unknown form ${form}`);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
function tookEffect(events: readonly LedgerEvent[], took: readonly number[] | null): readonly LedgerEvent[] {
  if (took === null) return events.map(mirrored);
  if (took.length >= events.length) throw new OpenClawError("MALFORMED_FRAME", "events that took effect, and are all");
  let next = 0;
  return took.map((place) => {
    const event = place < next ? undefined : events[place];
    if (event === undefined) throw new OpenClawError("MALFORMED_FRAME", "no event that could take effect");
    next = place + 1;
    return mirrored(event);
  });
}

export const keyNumbersTuple = ({ createRevision, modRevision, version }: KeyNumbers): Encodable => [
  createRevision,
  modRevision,
  version,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readKeyNumbers(value: Encodable): KeyNumbers {
  const reader = new TupleReader(value, "key numbers");
  const numbers = {
    createRevision: revision(reader.count()),
    modRevision: revision(reader.count()),
    version: reader.count(),
  };
  reader.end();
  return numbers;
}

function placeOf(value: Encodable): number {
  if (!isCount(value)) throw new OpenClawError("MALFORMED_FRAME", "an event's place is a count");
  return value;
}

/** Where a body was first written. `link`: what brings it; `epoch`: its sender's. */
export const originOf = (
  { origin, revision: at }: Pick<LedgerRecord, "origin" | "revision">,
  link: LinkId,
  epoch: string,
): Origin | null => origin ?? (isClusterId(link) ? { cluster: link, epoch, revision: at } : null);

const isSame = (a: Origin, b: Origin | null): boolean =>
  a.cluster === b?.cluster && a.epoch === b.epoch && a.revision === b.revision;

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
      return [
        EVENT.put,
        event.key,
        event.value,
        event.lease,
        event.numbers === null ? null : keyNumbersTuple(event.numbers),
        event.encryption,
      ];
    case "delete":
      return [EVENT.delete, event.key];
    case "change":
      return [EVENT.change, event.collection, event.document, documentChangeTuple(event.change), event.encryption];
    case "home":
      return [EVENT.home, event.prefix, ...stepFields(event.step)];
    case "command":
      return [EVENT.command, event.via, event.to, seenTuple(event.seen), event.command];
    case "result":
      return [EVENT.result, event.to, event.epoch, event.revision, event.outcome];
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
        numbers: reader.orNull((field) => readKeyNumbers(field.any())),
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
    case EVENT.home:
      return { kind: "home", prefix: reader.bytes(), step: readStep(reader) };
    case EVENT.command: {
      const [via, to, seen] = [readCluster(reader), readCluster(reader), readSeen(reader)];
      return { kind: "command", via, to, seen, command: reader.bytes() };
    }
    case EVENT.result:
      return {
        kind: "result",
        to: readCluster(reader),
        epoch: reader.that(isNonce, "a nonce"),
        revision: revision(reader.count()),
        outcome: reader.bytes(),
      };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `an event of unknown kind ${kind}`);
  }
}

function stepFields(step: HomeEvent["step"]): readonly Encodable[] {
  switch (step.kind) {
    case "declare":
      return [STEP.declare, HOMES.indexOf(step.home), step.owner, step.waiting];
    case "release":
      return [STEP.release, step.of];
    case "open":
      return [STEP.open];
    default:
      return unreachable(step);
  }
}

function readStep(reader: TupleReader): HomeEvent["step"] {
  const kind = reader.count();
  switch (kind) {
    case STEP.declare:
      return { kind: "declare", home: readHome(reader), owner: readCluster(reader), waiting: readClusters(reader) };
    case STEP.release:
      return { kind: "release", of: revision(reader.count()) };
    case STEP.open:
      return { kind: "open" };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a home's step of unknown kind ${kind}`);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readHome(reader: TupleReader): LedgerRecord["home"] {
  const home = HOMES[reader.count()];
  if (home === undefined) throw new OpenClawError("MALFORMED_FRAME", "a home of unknown kind");
  return home;
}

/** @throws OpenClawError MALFORMED_FRAME */
export const readCluster = (reader: TupleReader): ClusterId | null =>
  reader.orNull((field) => field.that(isClusterId, "a cluster"));

/** @throws OpenClawError MALFORMED_FRAME */
export function readClusters(reader: TupleReader): readonly ClusterId[] {
  return reader.list().map((name) => {
    if (!isClusterId(name)) throw new OpenClawError("MALFORMED_FRAME", "not a cluster");
    return name;
  });
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
