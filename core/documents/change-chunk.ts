/**
 * What must be known of an Automerge change before Automerge may see it (rule D1, pitfall 46): its checksum is right, it
 * inflates to a bounded size, and its run-length columns stand for a bounded number of rows. A change of 50 bytes can
 * claim 2^60 operations; decoding a million of them costs 700 MB.
 *
 * Format: https://automerge.org/automerge-binary-format-spec/ (chunks, change chunks, columns).
 */
import { compareBytes, concatBytes, toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import { CHANGE_BYTES_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import { LebReader, unsignedLeb } from "./leb128.ts";

/** Bytes of a change after inflating: eight times what may travel. */
const CHANGE_INFLATED_BYTES_MAX = 8 * CHANGE_BYTES_MAX;
/** Rows of any one column of a change; about one a character typed or pasted. */
export const CHANGE_ROWS_MAX = 131_072;
/** Bytes of text that the key column may stand for once its runs are unrolled. */
const CHANGE_KEY_BYTES_MAX = 16 * CHANGE_BYTES_MAX;

const MAGIC = Uint8Array.of(0x85, 0x6f, 0x4a, 0x83);
const TYPE_CHANGE = 1;
const TYPE_DEFLATED_CHANGE = 2;
const HEADER_BYTES_MIN = 10;
const HASH_BYTES = 32;

const invalid = (details: string): OpenClawError => new OpenClawError("CHANGE_INVALID", details);
const tooLarge = (details: string): OpenClawError => new OpenClawError("CHANGE_TOO_LARGE", details);

/** What a runtime has for it: the fastest there is. */
export interface ChunkTools {
  readonly sha256: Sha256;
  /** Raw DEFLATE (RFC 1951); null for what is longer than `limit` once inflated. @throws for what does not inflate */
  inflate(bytes: Uint8Array, limit: number): Uint8Array | null;
}

/** What a change says of itself. */
export interface ChunkHead {
  /** 64 hex digits. */
  readonly hash: string;
  readonly actor: string;
  readonly seq: number;
  readonly deps: readonly string[];
}

/** Checks the bounds of one change chunk. @throws OpenClawError CHANGE_INVALID, CHANGE_TOO_LARGE */
export function inspectChange(bytes: Uint8Array, { sha256, inflate }: ChunkTools): ChunkHead {
  if (bytes.length > CHANGE_BYTES_MAX) throw tooLarge(`${bytes.length} bytes`);
  if (bytes.length < HEADER_BYTES_MIN || compareBytes(bytes.subarray(0, 4), MAGIC) !== 0) {
    throw invalid("no Automerge chunk starts here");
  }
  const type = bytes[8];
  if (type !== TYPE_CHANGE && type !== TYPE_DEFLATED_CHANGE) throw invalid(`chunk type ${type} is not a change`);
  const header = new LebReader(bytes, 9);
  const length = header.unsigned();
  if (length !== bytes.length - header.offset) throw invalid("the chunk's length disagrees with its bytes");
  const contents = bytes.subarray(header.offset);
  const body = type === TYPE_CHANGE ? contents : inflated(contents, inflate);
  // The checksum and the hash are those of the inflated chunk, written as type 1.
  const hash = sha256(concatBytes([Uint8Array.of(TYPE_CHANGE), unsignedLeb(body.length), body]));
  if (compareBytes(bytes.subarray(4, 8), hash.subarray(0, 4)) !== 0) throw invalid("wrong checksum");
  return { hash: toHex(hash), ...headOfBounded(body) };
}

function inflated(contents: Uint8Array, inflate: ChunkTools["inflate"]): Uint8Array {
  let body: Uint8Array | null;
  try {
    body = inflate(contents, CHANGE_INFLATED_BYTES_MAX);
  } catch (error) {
    throw new OpenClawError("CHANGE_INVALID", "does not inflate", { cause: error });
  }
  if (body === null) throw tooLarge(`inflates to more than ${CHANGE_INFLATED_BYTES_MAX} bytes`);
  return body;
}

/** Walks the body: dependencies, actor, counters, message, other actors, then the columns' directory and data. */
function headOfBounded(body: Uint8Array): Omit<ChunkHead, "hash"> {
  const reader = new LebReader(body, 0);
  const deps: string[] = [];
  for (let left = reader.unsigned(); left > 0; left--) deps.push(toHex(reader.take(HASH_BYTES)));
  const actor = toHex(reader.take(reader.unsigned()));
  const seq = reader.unsigned();
  reader.unsigned(); // first operation
  reader.skipNumber(); // time, signed
  reader.skip(reader.unsigned()); // message
  for (let left = reader.unsigned(); left > 0; left--) reader.skip(reader.unsigned()); // other actors
  const columns: { readonly specification: number; readonly length: number }[] = [];
  for (let left = reader.unsigned(); left > 0; left--)
    columns.push({ specification: reader.unsigned(), length: reader.unsigned() });
  for (const { specification, length } of columns) boundColumn(specification, reader.take(length));
  return { actor, seq, deps };
}

function boundColumn(specification: number, data: Uint8Array): void {
  if ((specification & 0b1000) !== 0) throw invalid("a deflated column inside a change");
  const kind = specification & 0b111;
  const reader = new LebReader(data, 0);
  switch (kind) {
    case 4: // boolean: lengths of alternating runs
      boundRuns(reader, () => reader.unsigned());
      return;
    case 5: {
      // text, run-length encoded: what the runs stand for counts too
      let textBytes = 0;
      boundRuns(reader, () =>
        runLength(reader, (repeats) => {
          const length = reader.unsigned();
          reader.skip(length);
          textBytes += repeats * length;
          if (textBytes > CHANGE_KEY_BYTES_MAX) throw tooLarge("its keys unroll to too much text");
        }),
      );
      return;
    }
    case 7: // raw values: as long as they are
      return;
    default: // group, actor, integer, delta, value metadata: run-length encoded numbers
      boundRuns(reader, () => runLength(reader, () => reader.skipNumber()));
  }
}

function boundRuns(reader: LebReader, nextRun: () => number): void {
  let rows = 0;
  while (!reader.atEnd) {
    rows += nextRun();
    if (rows > CHANGE_ROWS_MAX) throw tooLarge(`more than ${CHANGE_ROWS_MAX} operations`);
  }
}

/** One run: n > 0 repeats the value that follows, n < 0 is followed by −n values, 0 by a count of nulls. */
function runLength(reader: LebReader, value: (repeats: number) => void): number {
  const header = reader.signed();
  if (header === 0) return reader.unsigned();
  if (header > 0) {
    if (header > CHANGE_ROWS_MAX) throw tooLarge(`more than ${CHANGE_ROWS_MAX} operations`);
    value(header);
    return header;
  }
  for (let i = header; i < 0; i++) value(1);
  return -header;
}
