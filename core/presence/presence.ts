/**
 * What a client shows of itself in a topic while it is there: a few bytes that only the app understands, such as a name and
 * a cursor. It is never stored and in no ledger (R11): who misses it hears it again, and forgets it when its time is over.
 */
import { decode, type Encodable, encode, limited, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { isLinkId, type LinkId } from "../ids.ts";
import { PRESENCE_VALUE_BYTES_MAX } from "../limits.ts";
import { type Topic, topicTuple } from "./topic.ts";
import { readTopic } from "./topic-codec.ts";

const GOSSIP_VERSION = 1;
/** Entries of one message between gateways, whatever their size. */
export const GOSSIP_ENTRIES_MAX = 256;
/** Entries of one frame to a client. */
export const PRESENT_ENTRIES_MAX = 64;
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 60_000;
/** As a token may name somebody (`sub`). */
const PRINCIPAL_CHARS_MAX = 256;

/** What a client says of itself. */
export interface OwnPresence {
  readonly topic: Topic;
  /** Of what it says in this topic: the higher one is the newer. The same once more keeps it alive. */
  readonly seq: number;
  /** How long it counts without being said again, ms. */
  readonly ttlMs: number;
  /** Null: it left. */
  readonly value: Uint8Array | null;
}

/** The same, and whose it is, as its gateway knows. */
export interface PresenceEntry extends OwnPresence {
  readonly link: LinkId;
  readonly principal: string;
}

/** What those hear who asked for the topic. */
export type Present = Pick<PresenceEntry, "topic" | "link" | "principal" | "value">;

export const ownPresenceTuple = ({ topic, seq, ttlMs, value }: OwnPresence): Encodable => [
  topicTuple(topic),
  seq,
  ttlMs,
  value,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readOwnPresence(value: Encodable): OwnPresence {
  const reader = new TupleReader(value, "presence");
  const own = readOwn(reader);
  reader.end();
  return own;
}

export const presentTuple = ({ topic, link, principal, value }: Present): Encodable => [
  topicTuple(topic),
  link,
  principal,
  value,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readPresent(value: Encodable): Present {
  const reader = new TupleReader(value, "somebody's presence");
  const topic = readTopic(reader.any());
  const present = { topic, ...readWho(reader), value: readValue(reader) };
  reader.end();
  return present;
}

/** One entry as bytes, for a message of several. */
export const encodeEntry = (entry: PresenceEntry): Uint8Array =>
  encode([topicTuple(entry.topic), entry.seq, entry.ttlMs, entry.value, entry.link, entry.principal]);

/** What one gateway tells the others. */
export const encodeGossip = (entries: readonly Uint8Array[]): Uint8Array => encode([GOSSIP_VERSION, entries]);

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION */
export function decodeGossip(bytes: Uint8Array): readonly PresenceEntry[] {
  const reader = new TupleReader(decode(bytes), "gossip of presence");
  const version = reader.count();
  if (version !== GOSSIP_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `gossip of presence ${version}`);
  const entries = limited(reader.list(), GOSSIP_ENTRIES_MAX, "entries").map(readEntry);
  reader.end();
  return entries;
}

function readEntry(value: Encodable): PresenceEntry {
  if (!(value instanceof Uint8Array)) throw new OpenClawError("MALFORMED_FRAME", "an entry that is no bytes");
  const reader = new TupleReader(decode(value), "an entry");
  const entry = { ...readOwn(reader), ...readWho(reader) };
  reader.end();
  return entry;
}

function readOwn(reader: TupleReader): OwnPresence {
  const topic = readTopic(reader.any());
  const seq = reader.count();
  const ttlMs = reader.count();
  if (ttlMs < TTL_MS_MIN || ttlMs > TTL_MS_MAX)
    throw new OpenClawError("MALFORMED_FRAME", `a time to live of ${ttlMs} ms`);
  return { topic, seq, ttlMs, value: readValue(reader) };
}

function readWho(reader: TupleReader): Pick<PresenceEntry, "link" | "principal"> {
  const link = reader.that(isLinkId, "a link");
  const principal = reader.text();
  if (principal.length > PRINCIPAL_CHARS_MAX)
    throw new OpenClawError("MALFORMED_FRAME", `a principal of ${principal.length} characters`);
  return { link, principal };
}

function readValue(reader: TupleReader): Uint8Array | null {
  const value = reader.orNull((field) => field.bytes());
  if (value !== null && value.length > PRESENCE_VALUE_BYTES_MAX)
    throw new OpenClawError("MALFORMED_FRAME", `a presence of ${value.length} bytes`);
  return value;
}
