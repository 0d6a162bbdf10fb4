/** The row that says where the state stands, and the one that says how far the parent holds it (S3). */
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import type { ClusterId, Epoch, Revision } from "../ids.ts";
import { isClusterId, isNonce, PARTITION, revision } from "../ids.ts";
import { genesisHash } from "../ledger/chain.ts";
import { ancestorTuples, epochTuple, readAncestors, readEpoch } from "../ledger/epoch-codec.ts";
import type { Ancestor } from "../ledger/lineage.ts";
import { readHash } from "../ledger/record-codec.ts";
import type { Sha256 } from "../ports.ts";
import { ANCESTORS_KEY, PARENT_HOLDS_KEY, POSITION_KEY } from "./keyspace.ts";
import type { Position } from "./query.ts";
import { parentHad } from "./shed.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView, Write } from "./view.ts";

export type PositionRow = Omit<Position, "parentHolds" | "parentEpoch" | "ancestors">;

export const positionRow: RowCodec<PositionRow> = {
  encode: (row) =>
    encode([
      row.cluster,
      epochTuple(row.epoch),
      row.revision,
      row.hash,
      row.logTime,
      row.applyVersion,
      row.nextDue,
      row.compacted,
    ]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "position row");
    return {
      cluster: reader.that(isClusterId, "a cluster"),
      epoch: readEpoch(reader.any()),
      revision: revision(reader.count()),
      hash: readHash(reader),
      logTime: reader.count(),
      applyVersion: reader.count(),
      nextDue: reader.orNull((field) => field.count()),
      compacted: revision(reader.count()),
    };
  },
};

/** The epochs before the present one; without a row there is none. Written once, when an epoch begins. */
export const ancestorsRow: RowCodec<readonly Ancestor[]> = {
  encode: (ancestors) => encode([ancestorTuples(ancestors)]),
  decode: (bytes) => readAncestors(new TupleReader(decode(bytes), "ancestors row")),
};

const NONE: readonly Ancestor[] = [];

interface ParentHoldsRow {
  readonly parent: ClusterId;
  /** Nonce of the epoch in which it said so. */
  readonly epoch: string;
  readonly revision: Revision;
}

const parentHoldsRow: RowCodec<ParentHoldsRow> = {
  encode: (row) => encode([row.parent, row.epoch, row.revision]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "parent holds row");
    return {
      parent: reader.that(isClusterId, "a cluster"),
      epoch: reader.that(isNonce, "a nonce"),
      revision: revision(reader.count()),
    };
  },
};

/** Of apply (R9): what a cluster begins with, whoever founds it, and what a node supports of whom nothing is known. */
export const FOUNDING_VERSION = 1;

/** The rows of a state before its first entry. */
export function initialWrites(cluster: ClusterId, epoch: Epoch, sha256: Sha256): Write[] {
  const hash = genesisHash(sha256, cluster, PARTITION, epoch.nonce);
  const row = {
    cluster,
    epoch,
    revision: revision(0),
    hash,
    logTime: 0,
    applyVersion: FOUNDING_VERSION,
    nextDue: null,
    compacted: revision(0),
  };
  return [{ key: POSITION_KEY, value: positionRow.encode(row) }];
}

/** Where a state stands. */
export function readPosition(view: StateView): Position {
  const bytes = view.get(POSITION_KEY);
  invariant(bytes !== undefined, "a state has a position");
  const held = view.get(PARENT_HOLDS_KEY);
  const holds = held === undefined ? undefined : parentHoldsRow.decode(held);
  const ancestors = view.get(ANCESTORS_KEY);
  return {
    ...positionRow.decode(bytes),
    ancestors: ancestors === undefined ? NONE : ancestorsRow.decode(ancestors),
    parentHolds: holds?.revision ?? revision(0),
    parentEpoch: holds?.epoch ?? null,
  };
}

/** How far the parent holds our ledger; null where none ever told. */
export const parentHolds = (tx: Transaction): Revision | null =>
  tx.read(PARENT_HOLDS_KEY, parentHoldsRow)?.revision ?? null;

/**
 * Notes the parent's word (S3). Within an epoch of the parent's it never goes back: the rung `hub` is a fact. A word about
 * revisions that we do not have is no word of ours: what was shipped had been applied before.
 */
export function noteParentHolds(
  tx: Transaction,
  { parent, epoch, revision: holds }: Pick<ParentHoldsRow, "parent" | "epoch" | "revision">,
  ours: Revision,
): void {
  const known = tx.read(PARENT_HOLDS_KEY, parentHoldsRow);
  if (holds > ours || (known !== undefined && (known.epoch !== epoch || holds <= known.revision))) return;
  tx.write(PARENT_HOLDS_KEY, parentHoldsRow, { parent, epoch, revision: holds });
  parentHad(tx, holds);
}

/** L3: the parent is in another epoch, and holds so much there. What was held above has lost the rung `hub`. */
export function moveParentHolds(tx: Transaction, parent: ClusterId, epoch: string, holds: Revision): void {
  const known = tx.read(PARENT_HOLDS_KEY, parentHoldsRow);
  if (known?.epoch === epoch) return;
  tx.write(PARENT_HOLDS_KEY, parentHoldsRow, { parent, epoch, revision: holds });
}
