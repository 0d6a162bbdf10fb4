/** What is kept of a ledger link's stream besides its cursor: what it is of, and how far a snapshot was taken (S4). */
import { decode, encode } from "../codec.ts";
import type { LinkId } from "../ids.ts";
import { isWhole, readStream, type StreamState, streamTuple } from "../ledger/snapshot.ts";
import { NOTHING } from "../ledger/subscription.ts";
import { streamKey } from "./keyspace.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

export const NO_STREAM: StreamState = { held: NOTHING, snapshot: null };

export const streamRow: RowCodec<StreamState> = {
  encode: (stream) => encode(streamTuple(stream)),
  decode: (bytes) => readStream(decode(bytes)),
};

export const streamOf = (tx: Transaction, link: LinkId): StreamState =>
  tx.read(streamKey(link), streamRow) ?? NO_STREAM;

export const writeStream = (tx: Transaction, link: LinkId, stream: StreamState): void =>
  tx.write(streamKey(link), streamRow, stream);

/** True while what came over the link is between two revisions: only the rest of a snapshot can make it whole. */
export function isReplacing(tx: Transaction, link: LinkId): boolean {
  const { snapshot } = streamOf(tx, link);
  return snapshot !== null && isWhole(snapshot.head);
}
