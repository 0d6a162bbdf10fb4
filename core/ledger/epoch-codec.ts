/** Epochs as bytes, and the lineage of a ledger (L3). */
import { type Encodable, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { type Ancestor, type Epoch, isNonce, type Lineage, revision } from "../ids.ts";
import { ANCESTORS_MAX } from "../limits.ts";
import { readHash } from "./record-codec.ts";

export const epochTuple = (epoch: Epoch): Encodable => [epoch.counter, epoch.nonce, epoch.parent, epoch.departure];

/** @throws OpenClawError MALFORMED_FRAME */
export function readEpoch(value: Encodable): Epoch {
  const reader = new TupleReader(value, "epoch");
  const epoch: Epoch = {
    counter: reader.count(),
    nonce: reader.that(isNonce, "a nonce"),
    parent: reader.orNull((field) => field.that(isNonce, "a nonce")),
    departure: revision(reader.count()),
  };
  reader.end();
  return epoch;
}

export const ancestorTuples = (ancestors: readonly Ancestor[]): Encodable =>
  ancestors.map(({ epoch, hash }) => [epochTuple(epoch), hash]);

/** @throws OpenClawError MALFORMED_FRAME */
export function readAncestors(reader: TupleReader): readonly Ancestor[] {
  const list = reader.list();
  if (list.length > ANCESTORS_MAX) throw new OpenClawError("MALFORMED_FRAME", `${list.length} epochs`);
  return list.map((value) => {
    const one = new TupleReader(value, "ancestor");
    const ancestor = { epoch: readEpoch(one.any()), hash: readHash(one) };
    one.end();
    return ancestor;
  });
}

export const lineageFields = ({ epoch, ancestors }: Lineage): readonly Encodable[] => [
  epochTuple(epoch),
  ancestorTuples(ancestors),
];

/** @throws OpenClawError MALFORMED_FRAME */
export const readLineage = (reader: TupleReader): Lineage => ({
  epoch: readEpoch(reader.any()),
  ancestors: readAncestors(reader),
});
