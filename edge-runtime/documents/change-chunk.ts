/**
 * What must be known of an Automerge change before Automerge may see it (rule D1, pitfall 46): its checksum is right, it
 * inflates to a bounded size, and its run-length columns stand for a bounded number of rows. A change of 50 bytes can
 * claim 2^60 operations; decoding a million of them costs 700 MB.
 *
 * Format: https://automerge.org/automerge-binary-format-spec/ (chunks, change chunks, columns).
 */
import { createHash } from "node:crypto";
import { inflateRawSync } from "node:zlib";
import { compareBytes, concatBytes, toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { CHANGE_BYTES_MAX } from "@openclaw/core/limits.ts";

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

const invalid = (details: string, cause?: unknown): OpenClawError =>
  new OpenClawError("CHANGE_INVALID", details, { cause });
const tooLarge = (details: string): OpenClawError => new OpenClawError("CHANGE_TOO_LARGE", details);

/**
 * Checks the bounds of one change chunk and returns its hash, 64 hex digits.
 * @throws OpenClawError CHANGE_INVALID, CHANGE_TOO_LARGE
 */
export function inspectChange(bytes: Uint8Array): string {
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
  const body = type === TYPE_CHANGE ? contents : inflate(contents);
  // The checksum and the hash are those of the inflated chunk, written as type 1.
  const hash = createHash("sha256")
    .update(concatBytes([Uint8Array.of(TYPE_CHANGE), unsignedLeb(body.length)]))
    .update(body)
    .digest();
  if (compareBytes(bytes.subarray(4, 8), hash.subarray(0, 4)) !== 0) throw invalid("wrong checksum");
  boundColumns(body);
  return toHex(hash);
}

function inflate(contents: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(contents, { maxOutputLength: CHANGE_INFLATED_BYTES_MAX });
  } catch (error) {
    if (error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
      throw tooLarge(`inflates to more than ${CHANGE_INFLATED_BYTES_MAX} bytes`);
    }
    throw invalid("does not inflate", error);
  }
}

/** Walks the body: dependencies, actor, counters, message, other actors, then the columns' directory and data. */
function boundColumns(body: Uint8Array): void {
  const reader = new LebReader(body, 0);
  const dependencies = reader.unsigned();
  reader.skip(dependencies * 32);
  reader.skip(reader.unsigned()); // actor
  reader.unsigned(); // sequence number
  reader.unsigned(); // first operation
  reader.skipNumber(); // time, signed
  reader.skip(reader.unsigned()); // message
  const actors = reader.unsigned();
  for (let i = 0; i < actors; i++) reader.skip(reader.unsigned());
  const columns: { readonly specification: number; readonly length: number }[] = [];
  const count = reader.unsigned();
  for (let i = 0; i < count; i++) columns.push({ specification: reader.unsigned(), length: reader.unsigned() });
  for (const { specification, length } of columns) {
    const start = reader.offset;
    reader.skip(length);
    boundColumn(specification, body.subarray(start, start + length));
  }
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

/** LEB128, as in DWARF and WebAssembly. Every method @throws OpenClawError CHANGE_INVALID */
class LebReader {
  readonly #bytes: Uint8Array;
  offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.offset = offset;
  }
  get atEnd(): boolean {
    return this.offset === this.#bytes.length;
  }
  skip(length: number): void {
    if (length > this.#bytes.length - this.offset) throw invalid("ends too early");
    this.offset += length;
  }
  unsigned(): number {
    const { value } = this.#read();
    return value;
  }
  signed(): number {
    const { value, span, negative } = this.#read();
    return negative ? value - span : value;
  }
  /** A number whose value does not matter: up to 64 bits. */
  skipNumber(): void {
    for (let i = 0; i < 10; i++) if ((this.#byte() & 0x80) === 0) return;
    throw invalid("a number of more than 64 bits");
  }
  #byte(): number {
    const byte = this.#bytes[this.offset];
    if (byte === undefined) throw invalid("ends too early");
    this.offset++;
    return byte;
  }
  /** At most 49 bits, so that it is exact; nothing that we bound is larger. */
  #read(): { value: number; span: number; negative: boolean } {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if ((byte & 0x80) === 0) return { value, span: scale, negative: (byte & 0x40) !== 0 };
    }
    throw invalid("a count of more than 49 bits");
  }
}

function unsignedLeb(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = (rest - low) / 128;
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}
