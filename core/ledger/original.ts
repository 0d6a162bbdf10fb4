/** What an origin wrote, in a record that brings it over several links (L2). */
import { decode, TupleReader } from "../codec.ts";
import { FORM, SALT_BYTES } from "./record-codec.ts";

/**
 * The record that its origin wrote, out of those that were put around it on the way; a body that was read before.
 * Null: it was told by none (S4).
 */
export function originalOf(bytes: Uint8Array): Uint8Array | null {
  const reader = new TupleReader(decode(bytes.subarray(1 + SALT_BYTES)), "record");
  const form = reader.count();
  if (form === FORM.written) return bytes;
  if (form === FORM.replaced) return null;
  // Partition and revision, origin, link, home, and what took effect.
  for (let field = 0; field < 6; field++) reader.any();
  return originalOf(reader.bytes());
}
