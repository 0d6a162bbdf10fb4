/** What a key signs: a tuple, with the name of what it is in front, so that no signature passes for another kind's. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { type Encodable, encode } from "@openclaw/core/codec.ts";

export function domainSeparated(domain: string, fields: readonly Encodable[]): Uint8Array {
  const prefix = utf8(`${domain}\0`);
  const body = encode(fields);
  const bytes = new Uint8Array(prefix.length + body.length);
  bytes.set(prefix, 0);
  bytes.set(body, prefix.length);
  return bytes;
}
