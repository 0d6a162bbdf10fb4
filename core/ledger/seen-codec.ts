/** What was known of another cluster's ledger, as bytes. */
import { type Encodable, TupleReader } from "../codec.ts";
import { isNonce, revision } from "../ids.ts";
import type { Seen } from "./record.ts";

export const seenTuple = (seen: Seen | null): Encodable => (seen === null ? null : [seen.epoch, seen.revision]);

/** @throws OpenClawError MALFORMED_FRAME */
export const readSeen = (reader: TupleReader): Seen | null =>
  reader.orNull((field) => {
    const tuple = new TupleReader(field.any(), "what was seen");
    const seen = { epoch: tuple.that(isNonce, "a nonce"), revision: revision(tuple.count()) };
    tuple.end();
    return seen;
  });
