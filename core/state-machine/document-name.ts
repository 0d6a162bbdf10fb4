/** Names of collections and documents. */
import { utf8 } from "../bytes.ts";
import { NAME_BYTES_MAX } from "./key-bytes.ts";
import type { Refusal } from "./outcome.ts";
import { refused } from "./outcome.ts";

/** What is wrong with a document's name, if anything. */
export function nameRefusal(collection: string, document: string): Refusal | null {
  for (const name of [collection, document]) {
    const bytes = utf8(name).length;
    if (bytes === 0 || bytes > NAME_BYTES_MAX || !name.isWellFormed()) {
      return refused("BAD_REQUEST", "collections and documents have names of 1 to 255 bytes of UTF-8");
    }
  }
  return null;
}
