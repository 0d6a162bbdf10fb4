/**
 * A checked piece of a file: `key, CRC, length, CRC of the frame before` (32 bits each, little-endian), then the body. The
 * CRC starts from the key and the place, so that a frame is valid only in the file and at the offset it was written for:
 * what a recycled segment still holds, and what a disk returns from elsewhere, is not taken for the real thing. Keys come
 * from the log's salt: a value that somebody stores cannot be made to look like a frame.
 */
import type { Crc32 } from "./log-disk.ts";

const FRAME_HEADER_BYTES = 16;
/** The CRC covers what follows itself. */
const CHECKED_FROM = 8;

export interface Frame {
  readonly crc: number;
  /** CRC of the frame before this one: what chains them. */
  readonly previous: number;
  readonly body: Uint8Array;
}

export const frameBytes = (bodyBytes: number): number => FRAME_HEADER_BYTES + bodyBytes;

/** Writes a frame to the start of `into`, which will stand at `place` of the file. Returns its CRC. */
export function writeFrame(
  into: Uint8Array,
  body: Uint8Array,
  previous: number,
  { key, place, crc32 }: { readonly key: number; readonly place: number; readonly crc32: Crc32 },
): number {
  const header = new DataView(into.buffer, into.byteOffset, FRAME_HEADER_BYTES);
  header.setUint32(0, key, true);
  header.setUint32(8, body.length, true);
  header.setUint32(12, previous, true);
  into.set(body, FRAME_HEADER_BYTES);
  const crc = crc32(into.subarray(CHECKED_FROM, FRAME_HEADER_BYTES + body.length), (key + place) >>> 0);
  header.setUint32(4, crc, true);
  return crc;
}

/** The frame at an offset of `bytes`, which stands at `place` of the file; null if there is none that passes its check. */
export function readFrame(
  bytes: Uint8Array,
  at: number,
  { key, place, crc32 }: { readonly key: number; readonly place: number; readonly crc32: Crc32 },
): Frame | null {
  if (at + FRAME_HEADER_BYTES > bytes.length) return null;
  const header = new DataView(bytes.buffer, bytes.byteOffset + at, FRAME_HEADER_BYTES);
  if (header.getUint32(0, true) !== key) return null;
  const end = at + FRAME_HEADER_BYTES + header.getUint32(8, true);
  if (end > bytes.length) return null;
  const crc = header.getUint32(4, true);
  if (crc32(bytes.subarray(at + CHECKED_FROM, end), (key + place) >>> 0) !== crc) return null;
  return { crc, previous: header.getUint32(12, true), body: bytes.subarray(at + FRAME_HEADER_BYTES, end) };
}
