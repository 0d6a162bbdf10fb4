/** One hash over every row (D6): replicas that applied the same index must agree on it. */
import type { Sha256 } from "../ports.ts";
import { RowHash } from "./row-hash.ts";
import { rowsOf } from "./row-pages.ts";
import type { StateView } from "./view.ts";

export function stateHash(view: StateView, sha256: Sha256): { readonly hash: Uint8Array; readonly rows: number } {
  const hash = new RowHash(sha256);
  for (const { key, value } of rowsOf(view, new Uint8Array(0), null)) hash.add(key, value);
  return hash.end();
}
