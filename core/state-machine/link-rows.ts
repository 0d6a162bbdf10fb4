/** What is kept of a ledger link, and of the origins whose revisions come over links (L4). */
import { utf8Text } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import type { ClusterId, Origin, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { Lineage } from "../ledger/lineage.ts";
import { ancestorTuples, epochTuple, readAncestors, readEpoch, readHash } from "../ledger/record-codec.ts";
import { originMarkKey, originMarksRange } from "./keyspace.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** The epochs are pinned by the first import, and move by command (link-epochs.ts). */
export interface LedgerLinkRow extends Lineage {
  readonly cursor: Revision;
  /** The sender's ledger hash at the cursor. */
  readonly hash: Uint8Array;
  /** Where the gap begins that ends at the cursor; null where a body does. */
  readonly gap: Revision | null;
  /** The last revision whose hash stands in a row of `link-gaps.ts`. */
  readonly marked: Revision;
}

export const ledgerLinkRow: RowCodec<LedgerLinkRow> = {
  encode: (row) =>
    encode([epochTuple(row.epoch), row.cursor, row.hash, row.gap, row.marked, ancestorTuples(row.ancestors)]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "ledger link row");
    return {
      epoch: readEpoch(reader.any()),
      cursor: revision(reader.count()),
      hash: readHash(reader),
      gap: reader.orNull((field) => revision(field.count())),
      marked: revision(reader.count()),
      ancestors: readAncestors(reader),
    };
  },
};

const markRow: RowCodec<Revision> = {
  encode: (mark) => encode([mark]),
  decode: (bytes) => revision(new TupleReader(decode(bytes), "origin mark row").count()),
};

/** Epochs of an origin that are looked at. */
const MARKS_MAX = 1_000;

/** Of one origin, for each of its epochs. */
export function marksOf(view: StateView, origin: ClusterId): { readonly epoch: string; readonly revision: Revision }[] {
  const { from, to } = originMarksRange(origin);
  return view.scan(from, to, MARKS_MAX).map(({ key, value }) => {
    const epoch = utf8Text(key.subarray(from.length));
    invariant(epoch !== undefined, "a mark is an epoch's");
    return { epoch, revision: markRow.decode(value) };
  });
}

/** True if this revision of an origin was taken already, whichever link brought it. */
export const isPast = (tx: Transaction, origin: Origin): boolean =>
  origin.revision <= (tx.read(originMarkKey(origin.cluster, origin.epoch), markRow) ?? 0);

/** Moves an origin's high-water up to a revision that is being taken. */
export const raiseMark = (tx: Transaction, origin: Origin): void =>
  tx.write(originMarkKey(origin.cluster, origin.epoch), markRow, origin.revision);
