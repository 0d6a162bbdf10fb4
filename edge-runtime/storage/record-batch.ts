/** Ledger records of one batch as one string of bytes: one row of the ledger, and what crosses to the main thread (R6). */
import { concatBytes, equalBytes } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

export const packRecords = (records: readonly StoredRecord[]): Uint8Array<ArrayBuffer> =>
  encode(records.map((record) => [record.revision, record.record, record.hash]));

/**
 * The records before the first one that cannot be read, and whether that is all of them as they were written. For a batch
 * that rotted: `unpackRecords` refuses all of it.
 */
export function readableRecords(packed: Uint8Array): {
  readonly records: readonly StoredRecord[];
  readonly whole: boolean;
} {
  try {
    const records = unpackRecords(packed);
    if (equalBytes(packRecords(records), packed)) return { records, whole: true };
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
  }
  const records: StoredRecord[] = [];
  for (let at = listHeaderBytes(packed); at < packed.length; ) {
    const end = tupleEnd(packed, at);
    const record = end === null ? null : readTuple(packed.subarray(at, end));
    if (end === null || record === null) break;
    records.push(record);
    at = end;
  }
  return { records, whole: false };
}

function readTuple(bytes: Uint8Array): StoredRecord | null {
  try {
    // As a batch of one, which writes its length in one byte.
    const [record] = unpackRecords(concatBytes([Uint8Array.of(0x91), bytes]));
    return record !== undefined && equalBytes(packRecords([record]).subarray(1), bytes) ? record : null;
  } catch (error) {
    if (error instanceof OpenClawError) return null;
    throw error;
  }
}

/** MessagePack's list of up to 15, 65,535 or more. */
const listHeaderBytes = ([first]: Uint8Array): number => (first === 0xdc ? 3 : first === 0xdd ? 5 : 1);

/** Where the tuple of three that begins at `at` ends: a number, then two strings of bytes. Null where none begins. */
function tupleEnd(bytes: Uint8Array, at: number): number | null {
  if (bytes[at] !== 0x93) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let end = at + 1 + numberBytes(bytes[at + 1]);
  for (let part = 0; part < 2; part++) {
    const width = [1, 2, 4][(bytes[end] ?? 0) - 0xc4];
    if (width === undefined || end + 1 + width > bytes.length) return null;
    const length =
      width === 1 ? view.getUint8(end + 1) : width === 2 ? view.getUint16(end + 1) : view.getUint32(end + 1);
    end += 1 + width + length;
  }
  return end <= bytes.length ? end : null;
}

/** Of a number with its first byte: small ones are one byte, 0xca and 0xcb floats, 0xcc to 0xcf unsigned of 8 to 64 bits. */
function numberBytes(first: number | undefined): number {
  if (first === undefined || first < 0xca || first > 0xcf) return 1;
  return [5, 9, 2, 3, 5, 9][first - 0xca] ?? 1;
}

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
