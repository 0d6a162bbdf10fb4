/**
 * Which sessions and client links are remembered (Q1): at most SESSIONS_MAX, and the one longest unused is forgotten
 * first. Uses are dated by the Raft index, coarsely, so that a busy session moves in this order seldom.
 */
import { decode, encode, TupleReader } from "../codec.ts";
import type { Index } from "../ids.ts";
import { SESSIONS_MAX } from "../limits.ts";
import { CLIENTS_KEY, ownerOfUse, USES, useKey } from "./keyspace.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

/** Raft entries that count as one moment. */
const ENTRIES_A_USE = 1_024;

const countRow: RowCodec<number> = {
  encode: (count) => encode([count]),
  decode: (bytes) => new TupleReader(decode(bytes), "clients row").count(),
};

const useRow: RowCodec<null> = { encode: () => new Uint8Array(0), decode: () => null };

/** The moment of an entry. */
export const useAt = (index: Index): number => Math.floor(index / ENTRIES_A_USE);

/** Notes a new owner, and forgets the one longest unused if there are too many. */
export function addUse(tx: Transaction, owner: Uint8Array, use: number): void {
  const count = tx.read(CLIENTS_KEY, countRow) ?? 0;
  if (count >= SESSIONS_MAX) {
    for (const { key } of tx.scan(USES.from, USES.to, useRow, 1)) {
      tx.remove(key);
      tx.remove(ownerOfUse(key));
    }
  } else {
    tx.write(CLIENTS_KEY, countRow, count + 1);
  }
  tx.write(useKey(use, owner), useRow, null);
}

export function moveUse(tx: Transaction, owner: Uint8Array, from: number, to: number): void {
  if (from === to) return;
  tx.remove(useKey(from, owner));
  tx.write(useKey(to, owner), useRow, null);
}
