/** The bytes of an epoch. */
import { type Encodable, TupleReader } from "../codec.ts";
import { type Epoch, isNonce, revision } from "../ids.ts";

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
