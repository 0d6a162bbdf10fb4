/** The row that says where the state stands, and the one that says how far the parent holds it (S3). */
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import type { ClusterId, Epoch, Revision } from "../ids.ts";
import { isClusterId, PARTITION, revision } from "../ids.ts";
import { genesisHash } from "../ledger/chain.ts";
import { epochTuple, readEpoch, readHash } from "../ledger/record-codec.ts";
import type { Sha256 } from "../ports.ts";
import { PARENT_HOLDS_KEY, POSITION_KEY } from "./keyspace.ts";
import type { Position } from "./query.ts";
import { parentHad } from "./shed.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView, Write } from "./view.ts";

export type PositionRow = Omit<Position, "parentHolds">;

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

interface ParentHoldsRow {
  readonly parent: ClusterId;
  readonly revision: Revision;
}

const parentHoldsRow: RowCodec<ParentHoldsRow> = {
  encode: (row) => encode([row.parent, row.revision]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "parent holds row");
    return { parent: reader.that(isClusterId, "a cluster"), revision: revision(reader.count()) };
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
  const holds = view.get(PARENT_HOLDS_KEY);
  return {
    ...positionRow.decode(bytes),
    parentHolds: holds === undefined ? revision(0) : parentHoldsRow.decode(holds).revision,
  };
}

/** How far the parent holds our ledger; null where none ever told. */
export const parentHolds = (tx: Transaction): Revision | null =>
  tx.read(PARENT_HOLDS_KEY, parentHoldsRow)?.revision ?? null;

/**
 * Notes the parent's word (S3). Never goes back: the rung `hub` is a fact. A word about revisions that we do not have is
 * no word of ours: what was shipped had been applied before.
 */
export function noteParentHolds(tx: Transaction, parent: ClusterId, holds: Revision, ours: Revision): void {
  const known = tx.read(PARENT_HOLDS_KEY, parentHoldsRow);
  if (holds > ours || (known !== undefined && holds <= known.revision)) return;
  tx.write(PARENT_HOLDS_KEY, parentHoldsRow, { parent, revision: holds });
  parentHad(tx, holds);
}
