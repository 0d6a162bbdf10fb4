/** Lives of a cluster whose ledger a link does not follow (L3): one that was refused, one that was left. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { type ErrorCode, isErrorCode } from "../errors.ts";
import type { Epoch, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { ancestorTuples, epochTuple, readAncestors, readEpoch } from "../ledger/epoch-codec.ts";
import type { Lineage } from "../ledger/lineage.ts";
import { readHash } from "../ledger/record-codec.ts";
import type { RowCodec } from "./transaction.ts";

/** A life that was refused, and may be chosen. */
export interface Contender extends Lineage {
  /** Where it stood when it was refused first. */
  readonly revision: Revision;
  /** What it was refused with. */
  readonly code: ErrorCode;
}

/** What was taken of a life that an operator decided against. The records stay in our ledger. */
export interface LeftLife {
  readonly epoch: Epoch;
  /** Its revisions that were put aside. */
  readonly from: Revision;
  readonly to: Revision;
  /** Its ledger hash at `to`. */
  readonly hash: Uint8Array;
  /** Our revision at which it was decided. */
  readonly at: Revision;
}

export const contenderRow: RowCodec<Contender> = {
  encode: (row) => encode([...contenderFields(row)]),
  decode: (bytes) => readContender(new TupleReader(decode(bytes), "contender row")),
};

export const contenderFields = ({ epoch, ancestors, revision: at, code }: Contender): readonly Encodable[] => [
  epochTuple(epoch),
  ancestorTuples(ancestors),
  at,
  code,
];

/** @throws OpenClawError MALFORMED_FRAME */
export const readContender = (reader: TupleReader): Contender => ({
  epoch: readEpoch(reader.any()),
  ancestors: readAncestors(reader),
  revision: revision(reader.count()),
  code: reader.that(isErrorCode, "an error code"),
});

export const leftLifeRow: RowCodec<LeftLife> = {
  encode: (row) => encode([epochTuple(row.epoch), row.from, row.to, row.hash, row.at]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "left life row");
    return {
      epoch: readEpoch(reader.any()),
      from: revision(reader.count()),
      to: revision(reader.count()),
      hash: readHash(reader),
      at: revision(reader.count()),
    };
  },
};
