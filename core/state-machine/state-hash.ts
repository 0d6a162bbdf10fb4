/** One hash over every row (D6): replicas that applied the same index must agree on it. */
import type { Sha256 } from "../ports.ts";
import { pagesOf } from "./row-pages.ts";
import type { StateView } from "./view.ts";

/** Rows are hashed in runs of about this many bytes, each with the hash of those before: one pass, little memory. */
const RUN_BYTES = 65_536;

export function* stateHash(
  view: StateView,
  sha256: Sha256,
): Generator<void, { readonly hash: Uint8Array; readonly rows: number }> {
  let hash = sha256(new Uint8Array(0));
  let rows = 0;
  let run: Uint8Array[] = [];
  let bytes = 0;
  const close = (): void => {
    const input = new Uint8Array(hash.length + bytes);
    input.set(hash);
    let offset = hash.length;
    for (const part of run) {
      input.set(part, offset);
      offset += part.length;
    }
    hash = sha256(input);
    run = [];
    bytes = 0;
  };
  for (const page of pagesOf(view, new Uint8Array(0), null)) {
    for (const { key, value } of page) {
      rows++;
      const lengths = new Uint8Array(8);
      new DataView(lengths.buffer).setUint32(0, key.length);
      new DataView(lengths.buffer).setUint32(4, value.length);
      run.push(lengths, key, value);
      bytes += 8 + key.length + value.length;
      if (bytes >= RUN_BYTES) close();
    }
    yield;
  }
  close();
  return { hash: new Uint8Array(hash), rows };
}
