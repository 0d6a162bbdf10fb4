/**
 * What a ledger link brought, and is not here as bodies (L2, L4): skips, stubs, and bodies of which nothing took effect. A
 * gap keeps the sender's hash before it and at its end, so that each run of bodies between two of them can be chained again
 * at any time, and the whole with them. A gap of no revisions keeps a hash and nothing else.
 */
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant, OpenClawError } from "../errors.ts";
import type { LinkId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { GAP_REASONS, type GapReason } from "../ledger/gap.ts";
import { readHash } from "../ledger/record-codec.ts";
import { boundsOfGap, linkGapKey, linkGapsRange } from "./keyspace.ts";
import type { LedgerLinkRow } from "./link-rows.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

/**
 * Revisions that came as bodies, and bytes of them, after which a hash is kept all the same: what a reader looks back at most
 * to know one, and to find where in our ledger they stand.
 */
export const MARK_EVERY = 1_024;
const MARK_BYTES = 1_048_576;
/** Gaps that one import joins because what lies between them is compacted; more than it adds, or they would grow for ever. */
const JOINED_MAX = 8;

export interface GapRow {
  readonly reason: GapReason;
  /** The sender's ledger hash before the first revision; null where that is compacted. */
  readonly before: Uint8Array | null;
  /** The sender's ledger hash at the last revision. */
  readonly hash: Uint8Array;
  /** Our own revision then: bodies of earlier revisions stand at or before it, later ones behind it. */
  readonly at: Revision;
}

export interface Gap extends GapRow {
  readonly from: Revision;
  /** `from` − 1: none. */
  readonly to: Revision;
}

export const gapRow: RowCodec<GapRow> = {
  encode: ({ reason, before, hash, at }) => encode([GAP_REASONS.indexOf(reason), before, hash, at]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "link gap row");
    const reason = GAP_REASONS[reader.count()];
    if (reason === undefined) throw new OpenClawError("DATA_CORRUPT", "a gap for an unknown reason");
    return { reason, before: reader.orNull(readHash), hash: readHash(reader), at: revision(reader.count()) };
  },
};

/** Where the sender's ledger is known to begin: a mark at revision 0. */
export function beginLink(tx: Transaction, link: LinkId, genesis: Uint8Array, at: Revision): void {
  tx.write(linkGapKey(link, revision(1), revision(0)), gapRow, { reason: "mark", before: genesis, hash: genesis, at });
}

/** The row after revisions up to `to`, the next of the sender's, that came as no body. */
export function noteGap(
  tx: Transaction,
  link: LinkId,
  row: LedgerLinkRow,
  { to, hash, reason, at }: Pick<Gap, "to" | "hash" | "reason" | "at">,
  compacted: Revision,
): LedgerLinkRow {
  const open = row.gap === null ? undefined : tx.read(linkGapKey(link, row.gap, row.cursor), gapRow);
  if (row.gap !== null && open?.reason === reason) {
    tx.remove(linkGapKey(link, row.gap, row.cursor));
    tx.write(linkGapKey(link, row.gap, to), gapRow, { ...open, hash, at });
    return { ...row, cursor: to, hash, marked: to, unmarked: 0 };
  }
  const from = revision(row.cursor + 1);
  tx.write(linkGapKey(link, from, to), gapRow, { reason, before: row.hash, hash, at });
  joinCompacted(tx, link, compacted);
  return { ...row, cursor: to, hash, gap: from, marked: to, unmarked: 0 };
}

/** The row after a body that took effect here; its hash is marked where the last one that is kept is far away. */
export function noteBody(
  tx: Transaction,
  link: LinkId,
  row: LedgerLinkRow,
  { to, hash, at }: Pick<Gap, "to" | "hash" | "at">,
  bytes: number,
  compacted: Revision,
): LedgerLinkRow {
  const next = { ...row, cursor: to, hash, gap: null, unmarked: row.unmarked + bytes };
  if (to - row.marked < MARK_EVERY && next.unmarked < MARK_BYTES) return next;
  tx.write(linkGapKey(link, revision(to + 1), to), gapRow, { reason: "mark", before: hash, hash, at });
  joinCompacted(tx, link, compacted);
  return { ...next, marked: to, unmarked: 0 };
}

/**
 * The row as of an earlier revision, whose hash is `hash`: what came behind it was of another life of the sender (L3). Its
 * bodies stay in our ledger, at or before `at`, and are nobody's from now on.
 */
export function rewindLink(
  tx: Transaction,
  link: LinkId,
  row: LedgerLinkRow,
  { to, hash, at }: Pick<Gap, "to" | "hash" | "at">,
): LedgerLinkRow {
  const later = linkGapsRange(link, revision(to + 1));
  for (const { key, value } of [...tx.rows(later.from, later.to, gapRow)]) {
    const { from } = boundsOfGap(key);
    tx.remove(key);
    if (from <= to) tx.write(linkGapKey(link, from, to), gapRow, { ...value, hash, at });
  }
  tx.write(linkGapKey(link, revision(to + 1), to), gapRow, { reason: "mark", before: hash, hash, at });
  return { ...row, cursor: to, hash, gap: null, marked: to, unmarked: 0 };
}

/**
 * Gaps with nothing but compacted bodies before them tell nothing that the last of them does not: they become one, from
 * revision 1 on. A few at a time, and more than are added: so an import stays small and the rows are bounded by what is kept.
 */
function joinCompacted(tx: Transaction, link: LinkId, compacted: Revision): void {
  if (compacted === 0) return;
  const { from, to } = linkGapsRange(link, revision(0));
  const oldest = tx
    .scan(from, to, gapRow, 1 + JOINED_MAX)
    .filter(({ value }) => value.at < compacted)
    .map(({ key, value }) => ({ key, ...boundsOfGap(key), ...value }));
  const last = oldest.at(-1);
  if (last === undefined || oldest.length < 2) return;
  invariant(
    oldest.every(({ to: end }) => end <= last.to),
    "gaps are in the order of where they end",
  );
  for (const { key } of oldest) tx.remove(key);
  const { hash, at } = last;
  tx.write(linkGapKey(link, revision(1), last.to), gapRow, { reason: "compacted", before: null, hash, at });
}
