/** What is wrong with a key or a value, if anything, that its bytes tell. */
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../limits.ts";
import type { Refusal } from "./outcome.ts";
import { refused } from "./outcome.ts";

export function keyRefusal(key: Uint8Array): Refusal | null {
  if (key.length === 0) return refused("KEY_EMPTY");
  return key.length > KEY_BYTES_MAX ? refused("KEY_TOO_LARGE", `${key.length} bytes`) : null;
}

export const valueRefusal = (value: Uint8Array): Refusal | null =>
  value.length > VALUE_BYTES_MAX ? refused("VALUE_TOO_LARGE", `${value.length} bytes`) : null;
