/** Ledger records of one batch as one string of bytes: one row of the ledger, and what crosses to the main thread (R6). */
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

export const packRecords = (records: readonly StoredRecord[]): Uint8Array<ArrayBuffer> =>
  encode(records.map((record) => [record.revision, record.record, record.hash]));

/** The records are views of `packed`. @throws OpenClawError MALFORMED_FRAME */
export function unpackRecords(packed: Uint8Array): readonly StoredRecord[] {
  const rows = decode(packed);
  if (!Array.isArray(rows)) throw new OpenClawError("MALFORMED_FRAME", "a batch of records is not a list");
  return rows.map((row) => {
    const reader = new TupleReader(row, "ledger record");
    const record = { revision: revision(reader.count()), record: reader.bytes(), hash: reader.bytes() };
    reader.end();
    return record;
  });
}
