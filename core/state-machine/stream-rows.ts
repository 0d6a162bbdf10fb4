/** What is kept of a ledger link's stream besides its cursor: what it is of, and how far a snapshot was taken (S4). */
import { decode, encode } from "../codec.ts";
import { type LinkId, revision } from "../ids.ts";
import { HASH_BYTES } from "../ledger/record-codec.ts";
import { isWhole, type StreamState } from "../ledger/snapshot.ts";
import { readStream, streamTuple } from "../ledger/snapshot-codec.ts";
import { placeAt, sectionsOf } from "../ledger/snapshot-sections.ts";
import { NOTHING, type Subscription } from "../ledger/subscription.ts";
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

/**
 * All that the link brought is to be replaced (L3): as if a snapshot were under way, of a revision that nobody tells. So its
 * sender begins another one, and no record is taken before that.
 * @param subscription of the stream; null: everything, as a ledger goes up
 */
export function awaiting(subscription: Subscription | null): StreamState {
  const hash = new Uint8Array(HASH_BYTES);
  const head = { at: revision(0), hash, subscription, kept: null, origins: [], homes: [] };
  return { held: NOTHING, snapshot: { head, place: placeAt(sectionsOf(head), 0) } };
}

export const awaitSnapshot = (tx: Transaction, link: LinkId, subscription: Subscription | null): void =>
  writeStream(tx, link, awaiting(subscription));

/** True while what came over the link is between two revisions: only the rest of a snapshot can make it whole. */
export function isReplacing(tx: Transaction, link: LinkId): boolean {
  const { snapshot } = streamOf(tx, link);
  return snapshot !== null && isWhole(snapshot.head);
}
