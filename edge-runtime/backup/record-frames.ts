/** Ledger records one after the other: each four bytes of length, then [revision, record, ledger hash at it]. */
import { concatBytes } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { readHash } from "@openclaw/core/ledger/record-codec.ts";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

export const LENGTH_BYTES = 4;

export const frameOf = (content: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(LENGTH_BYTES + content.length);
  new DataView(frame.buffer).setUint32(0, content.length);
  frame.set(content, LENGTH_BYTES);
  return frame;
};

const recordFrame = ({ revision: at, record, hash }: StoredRecord): Uint8Array => frameOf(encode([at, record, hash]));

export const recordFrames = (records: readonly StoredRecord[]): Uint8Array => concatBytes(records.map(recordFrame));

/** The content of each frame, a view. @throws OpenClawError MALFORMED_FRAME, at the frame that is cut off or too large */
export function* framesIn(bytes: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const begin = at + LENGTH_BYTES;
    const length = begin <= bytes.length ? view.getUint32(at) : 0;
    if (begin + length > bytes.length || length > FRAME_BYTES_MAX) throw cutOff(at);
    yield bytes.subarray(begin, begin + length);
    at = begin + length;
  }
}

/** The same of bytes that come piece by piece; holds one frame at most, and a piece. @throws as `framesIn` */
export async function* framesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let length = 0;
  let wanted = LENGTH_BYTES;
  let at = 0;
  for await (const piece of pieces) {
    held.push(piece);
    length += piece.length;
    if (length < wanted) continue;
    const bytes = concatBytes(held);
    let begin = 0;
    for (;;) {
      const left = bytes.length - begin;
      const size = left < LENGTH_BYTES ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(begin);
      if (size > FRAME_BYTES_MAX) throw cutOff(at);
      wanted = LENGTH_BYTES + size;
      if (left < wanted) break;
      yield bytes.subarray(begin + LENGTH_BYTES, begin + wanted);
      begin += wanted;
      at += wanted;
    }
    held = [bytes.subarray(begin)];
    length = bytes.length - begin;
  }
  if (length > 0) throw cutOff(at);
}

const cutOff = (at: number): OpenClawError =>
  new OpenClawError("MALFORMED_FRAME", `the frame at byte ${at} is cut off`);

/** @throws OpenClawError MALFORMED_FRAME */
export function readRecordFrame(content: Uint8Array): StoredRecord {
  const reader = new TupleReader(decode(content), "a ledger record's frame");
  const record = { revision: revision(reader.count()), record: reader.bytes(), hash: readHash(reader) };
  reader.end();
  return record;
}
