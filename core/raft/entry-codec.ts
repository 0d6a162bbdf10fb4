/** What Raft keeps on disk and ships in snapshots, as bytes: entries, hard state, snapshot meta. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { index, isNodeId, term } from "../ids.ts";
import { decodeMembership, membershipTuple, readMembership } from "./membership-codec.ts";
import type { Entry, EntryKind, HardState, SnapshotMeta } from "./message.ts";

/** Position is the number on disk and on the wire: append only. */
const ENTRY_KINDS = ["noop", "commands", "configuration"] as const satisfies readonly EntryKind[];
const ENTRY_KIND_NUMBERS = new Map<EntryKind, number>(ENTRY_KINDS.map((kind, number) => [kind, number]));

/** Fields of an entry in the flat list: one list for all of them costs a third of a list each. */
const ENTRY_FIELDS = 4;

/** Entries that follow one another, as one blob with a buffer of its own: `[first index, [term, kind, stamp, data, …]]`. */
export const encodeEntries = (entries: readonly Entry[]): Uint8Array =>
  encode([entries[0]?.index ?? 0, entriesTuple(entries)]);

/** The entries' data are views of `bytes`. @throws OpenClawError MALFORMED_FRAME */
export function decodeEntries(bytes: Uint8Array): readonly Entry[] {
  const reader = new TupleReader(decode(bytes), "entries");
  const first = reader.count();
  const list = reader.list();
  reader.end();
  if ((first === 0) !== (list.length === 0))
    throw new OpenClawError("MALFORMED_FRAME", "entries without a first index");
  return readEntries(list, { index: first - 1, term: 0 }, Number.MAX_SAFE_INTEGER);
}

export function entriesTuple(entries: readonly Entry[]): Encodable {
  const fields: Encodable[] = [];
  for (const { term: ofTerm, kind, stamp, data } of entries)
    fields.push(ofTerm, ENTRY_KIND_NUMBERS.get(kind) ?? null, stamp, data);
  return fields;
}

/** Reads entries that follow `base`; terms never go down. @throws OpenClawError MALFORMED_FRAME */
export function readEntries(
  fields: readonly Encodable[],
  base: { readonly index: number; readonly term: number },
  itemsMax: number,
): readonly Entry[] {
  if (fields.length % ENTRY_FIELDS !== 0) throw new OpenClawError("MALFORMED_FRAME", "a torn entry");
  if (fields.length / ENTRY_FIELDS > itemsMax) throw new OpenClawError("MALFORMED_FRAME", "too many entries");
  const reader = new TupleReader(fields, "entry");
  const entries: Entry[] = [];
  let last = base;
  for (let at = 0; at < fields.length; at += ENTRY_FIELDS) {
    const entryTerm = reader.count();
    const kind = ENTRY_KINDS[reader.count()];
    if (kind === undefined) throw new OpenClawError("MALFORMED_FRAME", "an entry of an unknown kind");
    if (entryTerm < last.term || entryTerm === 0)
      throw new OpenClawError("MALFORMED_FRAME", "an entry's term goes back");
    const at = index(last.index + 1);
    const entry: Entry = { term: term(entryTerm), index: at, kind, stamp: reader.count(), data: reader.bytes() };
    // Raft takes a configuration up as soon as it is in the log: what cannot be read must not get there.
    if (kind === "configuration") decodeMembership(entry.data);
    if (!Number.isSafeInteger(entry.index)) throw new OpenClawError("MALFORMED_FRAME", "an index past all numbers");
    entries.push(entry);
    last = entry;
  }
  return entries;
}

export const encodeHardState = (state: HardState): Uint8Array => encode([state.term, state.vote, state.commit]);

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeHardState(bytes: Uint8Array): HardState {
  const reader = new TupleReader(decode(bytes), "hard state");
  const state: HardState = {
    term: term(reader.count()),
    vote: reader.orNull((field) => field.that(isNodeId, "a node id")),
    commit: index(reader.count()),
  };
  reader.end();
  return state;
}

export const encodeSnapshotMeta = (meta: SnapshotMeta): Uint8Array => encode(metaTuple(meta));

/** @throws OpenClawError MALFORMED_FRAME */
export const decodeSnapshotMeta = (bytes: Uint8Array): SnapshotMeta => readMeta(decode(bytes));

export const metaTuple = (meta: SnapshotMeta): Encodable => [meta.index, meta.term, membershipTuple(meta.membership)];

export function readMeta(value: Encodable): SnapshotMeta {
  const reader = new TupleReader(value, "snapshot meta");
  const meta = { index: index(reader.count()), term: term(reader.count()), membership: readMembership(reader.any()) };
  reader.end();
  return meta;
}
