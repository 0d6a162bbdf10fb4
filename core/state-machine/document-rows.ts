/** The rows of a document. What a change is stands in one row, where it stands in another: the second moves more often. */
import { concatBytes } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import type { ChangeHash, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { changeHashBytes, documentChangeTuple, readDocumentChange, splitHashes } from "../ledger/record-codec.ts";
import { CHANGE_BYTES_MAX, DEPS_MAX } from "../limits.ts";
import type { DocumentKeys } from "./keyspace.ts";
import type { Refusal } from "./outcome.ts";
import { refused } from "./outcome.ts";
import type { RowCodec } from "./transaction.ts";

/** Where a known change stands (rules D2, D3). */
export type Standing = "accepted" | "pending" | "quarantined";

/** Counts, and the accepted changes that no accepted change depends on. */
export interface DocumentRow {
  readonly accepted: number;
  readonly pending: number;
  readonly pendingBytes: number;
  readonly quarantined: number;
  readonly heads: readonly ChangeHash[];
}

export interface ChangeRow {
  readonly standing: Standing;
  /** At which it became known here. */
  readonly revision: Revision;
  /** Among the accepted, from 1; 0 for others. */
  readonly position: number;
}

export const NO_DOCUMENT: DocumentRow = { accepted: 0, pending: 0, pendingBytes: 0, quarantined: 0, heads: [] };

const STANDINGS: readonly Standing[] = ["accepted", "pending", "quarantined"];

export const documentRow: RowCodec<DocumentRow> = {
  encode: (row) => encode([row.accepted, row.pending, row.pendingBytes, row.quarantined, hashesBytes(row.heads)]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "document row");
    return {
      accepted: reader.count(),
      pending: reader.count(),
      pendingBytes: reader.count(),
      quarantined: reader.count(),
      heads: splitHashes(reader.bytes()),
    };
  },
};

export const changeRow: RowCodec<ChangeRow> = {
  encode: (row) => encode([STANDINGS.indexOf(row.standing), row.revision, row.position]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "change row");
    const standing = STANDINGS[reader.count()];
    if (standing === undefined) throw new OpenClawError("DATA_CORRUPT", "a change of unknown standing");
    return { standing, revision: revision(reader.count()), position: reader.count() };
  },
};

/** An accepted, pending or quarantined change itself. */
export const bodyRow: RowCodec<DocumentChange> = {
  encode: (change) => encode(documentChangeTuple(change)),
  decode: (bytes) => readDocumentChange(decode(bytes)),
};

/** Where the change itself is. */
export function bodyKey(keys: DocumentKeys, row: ChangeRow, hash: Uint8Array): Uint8Array {
  switch (row.standing) {
    case "accepted":
      return keys.accepted(row.position);
    case "pending":
      return keys.pending(hash);
    case "quarantined":
      return keys.quarantined(hash);
    default:
      return unreachable(row.standing);
  }
}

/** Every known change with one actor and sequence number, the lowest hash first: that one stands. */
export const authoredRow: RowCodec<readonly ChangeHash[]> = { encode: hashesBytes, decode: splitHashes };

function hashesBytes(hashes: readonly ChangeHash[]): Uint8Array {
  return concatBytes(hashes.map(changeHashBytes));
}

/** What is wrong with a change, if anything, that its own bytes and numbers tell. */
export function changeRefusal(change: DocumentChange): Refusal | null {
  if (change.bytes.length > CHANGE_BYTES_MAX) return refused("CHANGE_TOO_LARGE", `${change.bytes.length} bytes`);
  if (change.bytes.length === 0 || change.seq < 1) return refused("CHANGE_INVALID", change.hash);
  if (change.deps.length > DEPS_MAX)
    return refused("CHANGE_INVALID", `${change.hash} has ${change.deps.length} dependencies`);
  return null;
}
