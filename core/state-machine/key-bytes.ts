/** The parts that the keys of rows are put together of (keyspace.ts). */
import { prefixEnd } from "../bytes.ts";
import { invariant } from "../errors.ts";

/** Bytes of a name that carries its length in one byte: collection, document, cluster. */
export const NAME_BYTES_MAX = 255;

export function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / 0x1_0000_0000));
  view.setUint32(4, value % 0x1_0000_0000);
  return bytes;
}

export function fromBigEndian(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
}

export function withLength(part: Uint8Array): Uint8Array {
  invariant(part.length <= NAME_BYTES_MAX, "a name inside a key has at most 255 bytes");
  const bytes = new Uint8Array(1 + part.length);
  bytes[0] = part.length;
  bytes.set(part, 1);
  return bytes;
}

export function tagged(tag: number, parts: readonly Uint8Array[]): Uint8Array {
  let length = 1;
  for (const part of parts) length += part.length;
  const key = new Uint8Array(length);
  key[0] = tag;
  let offset = 1;
  for (const part of parts) {
    key.set(part, offset);
    offset += part.length;
  }
  return key;
}

export function join(prefix: Uint8Array, last: Uint8Array): Uint8Array {
  const key = new Uint8Array(prefix.length + last.length);
  key.set(prefix);
  key.set(last, prefix.length);
  return key;
}

/** Behind every key that starts with `prefix`. */
export function after(prefix: Uint8Array): Uint8Array {
  const end = prefixEnd(prefix);
  invariant(end !== undefined, "a tag is below 0xff");
  return end;
}
