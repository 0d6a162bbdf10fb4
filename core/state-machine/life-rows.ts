/** The rows of lives that a link does not follow (L3). */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { isErrorCode } from "../errors.ts";
import { revision } from "../ids.ts";
import { ancestorTuples, epochTuple, readAncestors, readEpoch } from "../ledger/epoch-codec.ts";
import { readHash } from "../ledger/record-codec.ts";
import type { Contender, LeftLife } from "./life.ts";
import type { RowCodec } from "./transaction.ts";

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
