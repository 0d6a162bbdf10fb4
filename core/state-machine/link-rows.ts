/** What is kept of a ledger link, and of the origins whose revisions come over links (L4). */
import { utf8Text } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import type { ClusterId, Lineage, LinkId, Origin, Revision } from "../ids.ts";
import { isClusterId, isLinkId, linkOfCluster, revision } from "../ids.ts";
import { ancestorTuples, epochTuple, readAncestors, readEpoch } from "../ledger/epoch-codec.ts";
import { readClusters, readHash } from "../ledger/record-codec.ts";
import type { Witness } from "../ledger/witness.ts";
import {
  LEDGER_LINKS,
  ledgerLinkKey,
  linkOfRow,
  namesOfMark,
  ORIGIN_MARKS,
  originMarkKey,
  originMarksOf,
  PARENT_KEY,
} from "./keyspace.ts";
import type { OriginMark } from "./query.ts";
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
  /** Bytes of the bodies since then. */
  readonly unmarked: number;
}

export const ledgerLinkRow: RowCodec<LedgerLinkRow> = {
  encode: (row) =>
    encode([
      epochTuple(row.epoch),
      row.cursor,
      row.hash,
      row.gap,
      row.marked,
      row.unmarked,
      ancestorTuples(row.ancestors),
    ]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "ledger link row");
    return {
      epoch: readEpoch(reader.any()),
      cursor: revision(reader.count()),
      hash: readHash(reader),
      gap: reader.orNull((field) => revision(field.count())),
      marked: revision(reader.count()),
      unmarked: reader.count(),
      ancestors: readAncestors(reader),
    };
  },
};

export interface MarkRow {
  readonly mark: Revision;
  /** The link that brought the revision of the mark. */
  readonly link: LinkId;
  /** Our revision then: of an origin's epochs, the one that was followed last has the highest. */
  readonly at: Revision;
  /**
   * The last record that came as the origin wrote it: whoever goes on with the origin's ledger has it, too, or another one
   * (L3). Null: what came was a snapshot, or was put aside.
   */
  readonly record: Pick<Witness, "revision" | "leaf"> | null;
}

export const markRow: RowCodec<MarkRow> = {
  encode: ({ mark, link, at, record }) =>
    encode([mark, link, at, record === null ? null : [record.revision, record.leaf]]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "origin mark row");
    return {
      mark: revision(reader.count()),
      link: reader.that(isLinkId, "a link"),
      at: revision(reader.count()),
      record: reader.orNull((field) => {
        const record = new TupleReader(field.any(), "record of an origin's mark");
        return { revision: revision(record.count()), leaf: readHash(record) };
      }),
    };
  },
};

/** Epochs of an origin that are looked at. */
const MARKS_MAX = 1_000;

/** Of one origin, for each of its epochs; the one that was followed last comes first. */
export function marksOf(view: StateView, origin: ClusterId): OriginMark[] {
  const { from, to } = originMarksOf(origin);
  const marks = view.scan(from, to, MARKS_MAX).map(({ key, value }) => {
    const epoch = utf8Text(key.subarray(from.length));
    invariant(epoch !== undefined, "a mark is an epoch's");
    const { mark, record, at } = markRow.decode(value);
    // A buffer of its own: an answer is posted between threads.
    const witness = record === null ? null : { epoch, ...record, leaf: new Uint8Array(record.leaf) };
    return { epoch, mark, at, witness };
  });
  return marks
    .sort((a, b) => (isLater(a, b) ? -1 : 1))
    .map(({ epoch, mark, witness }) => ({ epoch, revision: mark, witness }));
}

/** True if that epoch of an origin was followed later. Both moved at one revision of ours: whose own is higher. */
export const isLater = (a: Pick<MarkRow, "at" | "mark">, b: Pick<MarkRow, "at" | "mark">): boolean =>
  a.at === b.at ? a.mark > b.mark : a.at > b.at;

interface ParentRow {
  readonly cluster: ClusterId;
  /** What our ledger says to "the parent" up to here it says to another one, which was it before. */
  readonly since: Revision;
  /** The answer to what was handed upwards up to here may be lost: nobody knows whether it ran (Q2). */
  readonly unsure: Revision;
  /** Those that were it before, and are no children. */
  readonly former: readonly ClusterId[];
}

const parentRow: RowCodec<ParentRow> = {
  encode: ({ cluster, since, unsure, former }) => encode([cluster, since, unsure, former]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "parent row");
    const cluster = reader.that(isClusterId, "a cluster");
    const [since, unsure] = [revision(reader.count()), revision(reader.count())];
    return { cluster, since, unsure, former: readClusters(reader) };
  },
};

/** Null until it told something. */
export const parentOf = (tx: Transaction): ClusterId | null => tx.read(PARENT_KEY, parentRow)?.cluster ?? null;

/** How far the parent's ledger is here, up to where ours speaks to another, and who was the parent before. */
export function towardsParent(view: StateView): {
  readonly mirrored: Revision | null;
  readonly addressed: Revision;
  readonly former: readonly ClusterId[];
} {
  const bytes = view.get(PARENT_KEY);
  if (bytes === undefined) return { mirrored: null, addressed: revision(0), former: [] };
  const { cluster, since, former } = parentRow.decode(bytes);
  const link = view.get(ledgerLinkKey(linkOfCluster(cluster)));
  return { mirrored: link === undefined ? null : ledgerLinkRow.decode(link).cursor, addressed: since, former };
}

/** @param at where our ledger stands */
export function noteParent(tx: Transaction, cluster: ClusterId, at: Revision): void {
  const known = tx.read(PARENT_KEY, parentRow);
  if (known?.cluster === cluster) return;
  const since = known === undefined ? revision(0) : at;
  const former = known === undefined ? [] : [...known.former, known.cluster].filter((one) => one !== cluster);
  tx.write(PARENT_KEY, parentRow, { cluster, since, unsure: since, former });
}

/** It ships to us: whatever it was, it is a child. */
export function noteChild(tx: Transaction, cluster: ClusterId): void {
  const known = tx.read(PARENT_KEY, parentRow);
  if (known?.former.includes(cluster) !== true) return;
  tx.write(PARENT_KEY, parentRow, { ...known, former: known.former.filter((one) => one !== cluster) });
}

/** Some of the parent's records will not come: answers may have been among them (S4). */
export function noteUnsure(tx: Transaction, at: Revision): void {
  const known = tx.read(PARENT_KEY, parentRow);
  if (known !== undefined) tx.write(PARENT_KEY, parentRow, { ...known, unsure: at });
}

export const unsureUpTo = (tx: Transaction): Revision => tx.read(PARENT_KEY, parentRow)?.unsure ?? revision(0);

/** The link by which a cluster's revisions came last, or null. */
export function linkTowards(tx: Transaction, cluster: ClusterId): LinkId | null {
  const { from, to } = originMarksOf(cluster);
  let last: MarkRow | null = null;
  for (const { value } of tx.rows(from, to, markRow)) if (last === null || isLater(value, last)) last = value;
  return last?.link ?? null;
}

/** Whether it ever shipped something: what is meant for it, or for those below it, goes there. */
export function isChild(tx: Transaction, cluster: ClusterId): boolean {
  const parent = tx.read(PARENT_KEY, parentRow);
  if (parent?.cluster === cluster || parent?.former.includes(cluster) === true) return false;
  return tx.read(ledgerLinkKey(linkOfCluster(cluster)), ledgerLinkRow) !== undefined;
}

/**
 * Those that ever shipped something. A parent that was left did not: it streamed. A restored cluster has no links: while it
 * knows of no parent, all of whom it took something by their own links are children, and what moves waits for them, too.
 */
export function childrenOf(tx: Transaction): readonly ClusterId[] {
  const parent = tx.read(PARENT_KEY, parentRow);
  const isParents = (name: ClusterId): boolean => parent?.cluster === name || parent?.former.includes(name) === true;
  const names = [...tx.rows(LEDGER_LINKS.from, LEDGER_LINKS.to, ledgerLinkRow)].map(({ key }) =>
    utf8Text(linkOfRow(key)),
  );
  const linked = names.filter((name) => isClusterId(name)).filter((name) => !isParents(name));
  return parent === undefined ? [...new Set([...linked, ...tellers(tx)])] : linked;
}

/** Clusters whose newest records came over their own links. */
const tellers = (tx: Transaction): readonly ClusterId[] =>
  [...tx.rows(ORIGIN_MARKS.from, ORIGIN_MARKS.to, markRow)].flatMap(({ key, value }) => {
    const name = utf8Text(namesOfMark(key).cluster);
    return isClusterId(name) && name === String(value.link) ? [name] : [];
  });

/**
 * True if this revision of an origin was taken already, whichever link brought it. A snapshot (S4) is several records of one
 * revision: of those only what is older is past.
 */
export function isPast(tx: Transaction, origin: Origin, snapshot: boolean): boolean {
  const mark = markOf(tx, origin);
  return mark !== undefined && (snapshot ? origin.revision < mark.mark : origin.revision <= mark.mark);
}

export const markOf = (tx: Transaction, { cluster, epoch }: Pick<Origin, "cluster" | "epoch">): MarkRow | undefined =>
  tx.read(originMarkKey(cluster, epoch), markRow);

/**
 * Moves an origin's high-water up to a revision that is being taken.
 * @param at our revision
 * @param leaf of the record as its origin has it; null where it is told by no record of the origin's
 */
export function raiseMark(tx: Transaction, origin: Origin, link: LinkId, at: Revision, leaf: Uint8Array | null): void {
  const { cluster, epoch, revision: mark } = origin;
  const record = leaf === null ? (markOf(tx, origin)?.record ?? null) : { revision: mark, leaf };
  tx.write(originMarkKey(cluster, epoch), markRow, { mark, link, at, record });
}

/** What was taken of an origin is compared by that record from now on. */
export function noteWitness(tx: Transaction, cluster: ClusterId, { epoch, revision: at, leaf }: Witness): void {
  const mark = markOf(tx, { cluster, epoch });
  if (mark !== undefined && mark.record === null && at <= mark.mark)
    tx.write(originMarkKey(cluster, epoch), markRow, { ...mark, record: { revision: at, leaf } });
}

/** What a link brought of an origin above a revision was put aside (L3): whoever tells of those revisions again brings news. */
export const lowerMarks = (tx: Transaction, origin: ClusterId, link: LinkId, above: Revision): void =>
  lower(tx, originMarksOf(origin), link, above);

/** The same of all that it brought, of whatever origin. */
export const lowerAllMarks = (tx: Transaction, link: LinkId): void => lower(tx, ORIGIN_MARKS, link, revision(0));

function lower(tx: Transaction, { from, to }: typeof ORIGIN_MARKS, link: LinkId, above: Revision): void {
  for (const { key, value } of [...tx.rows(from, to, markRow)])
    if (value.link === link && value.mark > above) {
      const record = value.record !== null && value.record.revision > above ? null : value.record;
      tx.write(key, markRow, { ...value, mark: above, record });
    }
}
