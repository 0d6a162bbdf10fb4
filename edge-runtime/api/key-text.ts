/** Keys and values in JSON. */
import { utf8Text } from "@openclaw/core/bytes.ts";

export const viewed = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const base64 = (bytes: Uint8Array): string => viewed(bytes).toString("base64");

export function keyAsText(key: Uint8Array): { key: string | null; keyBase64?: string } {
  const text = utf8Text(key);
  return text === undefined ? { key: null, keyBase64: base64(key) } : { key: text };
}

export function valueAsText(value: Uint8Array): { value: string; text?: string } {
  const text = utf8Text(value);
  return text === undefined ? { value: base64(value) } : { value: base64(value), text };
}
