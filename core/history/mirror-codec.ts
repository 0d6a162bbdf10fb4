/** A page of a mirror as bytes: a head, then its items, each a tuple of its own. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { revision } from "../ids.ts";
import { lineageFields, readLineage } from "../ledger/epoch-codec.ts";
import { LEDGER_FAULTS, type LedgerFault, type LedgerFaultKind } from "../ledger/fault.ts";
import { GAP_REASONS, type GapReason } from "../ledger/gap.ts";
import { readHash } from "../ledger/record-codec.ts";
import type { Mirror, MirrorItem } from "./history-query.ts";

export const encodeMirror = ({ link, before, items, fault }: Mirror): readonly Uint8Array<ArrayBuffer>[] => [
  encode([
    "openclaw mirror",
    link === null ? null : [...lineageFields(link), link.cursor, link.hash],
    before,
    fault === null ? null : [fault.revision, fault.kind, fault.details],
  ]),
  ...items.map((item) => encode(itemTuple(item))),
];

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeMirror(frames: Iterable<Uint8Array>): Mirror {
  const [head, ...items] = frames;
  if (head === undefined) throw new OpenClawError("MALFORMED_FRAME", "a mirror without a head");
  const reader = new TupleReader(decode(head), "a mirror's head");
  if (reader.text() !== "openclaw mirror") throw new OpenClawError("MALFORMED_FRAME", "no mirror");
  const link = reader.orNull((field) => readLink(field.any()));
  const before = reader.orNull(readHash);
  const fault = reader.orNull((field) => readFault(field.any()));
  reader.end();
  return { link, before, fault, items: items.map((item) => readItem(decode(item))) };
}

function itemTuple(item: MirrorItem): Encodable {
  switch (item.kind) {
    case "body":
      return ["body", item.revision, item.record, item.hash];
    case "gap":
      return ["gap", item.from, item.to, item.hash, item.reason];
    default:
      return unreachable(item);
  }
}

function readItem(value: Encodable): MirrorItem {
  const reader = new TupleReader(value, "a mirror's item");
  const item = readItemOfKind(reader);
  reader.end();
  return item;
}

function readItemOfKind(reader: TupleReader): MirrorItem {
  const kind = reader.text();
  switch (kind) {
    case "body":
      return { kind, revision: revision(reader.count()), record: reader.bytes(), hash: readHash(reader) };
    case "gap":
      return {
        kind,
        from: revision(reader.count()),
        to: revision(reader.count()),
        hash: readHash(reader),
        reason: reader.that(isGapReason, "a gap's reason"),
      };
    default:
      throw new OpenClawError("MALFORMED_FRAME", "a mirror has no such item");
  }
}

const isGapReason = (value: unknown): value is GapReason => GAP_REASONS.some((reason) => reason === value);
const isFaultKind = (value: unknown): value is LedgerFaultKind => LEDGER_FAULTS.some((kind) => kind === value);

function readLink(value: Encodable): NonNullable<Mirror["link"]> {
  const reader = new TupleReader(value, "a mirror's link");
  const link = { ...readLineage(reader), cursor: revision(reader.count()), hash: readHash(reader) };
  reader.end();
  return link;
}

function readFault(value: Encodable): LedgerFault {
  const reader = new TupleReader(value, "a mirror's fault");
  const fault = {
    revision: revision(reader.count()),
    kind: reader.that(isFaultKind, "a kind of fault"),
    details: reader.text(),
  };
  reader.end();
  return fault;
}
