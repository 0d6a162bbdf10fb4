/**
 * What is left to do of homes that moved (Q3): where it is more than one entry does. No content: what is left can be told of
 * what stands, so a restored cluster begins with it anew.
 */
import { equalBytes, prefixEnd } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import type { ClusterId } from "../ids.ts";
import { readCluster } from "../ledger/record-codec.ts";
import { homesOf } from "./homes.ts";
import { keyRow } from "./key-rows.ts";
import { keyRange, MOVING_KEY } from "./keyspace.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

export interface Moving {
  readonly prefix: Uint8Array;
  /** Whose keys are taken over; null: our own are forgotten. */
  readonly origin: ClusterId | null;
  /** The first key that is left. */
  readonly from: Uint8Array;
}

const movingRow: RowCodec<readonly Moving[]> = {
  encode: (rows) => encode(rows.map(({ prefix, origin, from }) => [prefix, origin, from])),
  decode(bytes) {
    const list = decode(bytes);
    return (Array.isArray(list) ? list : []).map((value) => {
      const reader = new TupleReader(value, "what is left of a move");
      return { prefix: reader.bytes(), origin: readCluster(reader), from: reader.bytes() };
    });
  },
};

export const movingOf = (tx: Transaction): readonly Moving[] => tx.read(MOVING_KEY, movingRow) ?? [];

/** @param from null: nothing is left */
export function noteMoving(
  tx: Transaction,
  { prefix, origin }: Pick<Moving, "prefix" | "origin">,
  from: Uint8Array | null,
): void {
  const known = movingOf(tx);
  const others = known.filter((one) => one.origin !== origin || !equalBytes(one.prefix, prefix));
  if (from === null && others.length === known.length) return;
  const left = from === null ? others : [...others, { prefix, origin, from }];
  if (left.length === 0) tx.remove(MOVING_KEY);
  else tx.write(MOVING_KEY, movingRow, left);
}

/** What was taken of a child in part is of a life that it left: its next release begins anew. */
export function forgetTaking(tx: Transaction, child: ClusterId): void {
  for (const left of movingOf(tx)) if (left.origin === child) noteMoving(tx, left, null);
}

/** After a restore: our own keys under the prefixes whose owner's mirror answers are what was not forgotten yet. */
export function noteLeftOver(tx: Transaction): void {
  for (const { prefix, owner, open } of homesOf(tx).rows) {
    if (owner === null || !open) continue;
    const { from, to } = keyRange(null, prefix, prefixEnd(prefix) ?? null);
    if (tx.scan(from, to, keyRow, 1).length > 0) noteMoving(tx, { prefix, origin: null }, prefix);
  }
}
