import type { ClusterId, Epoch } from "../ids.ts";
import type { Sha256 } from "../ports.ts";
import type { Write } from "./view.ts";

/** The rows of a state before its first entry. */
export function initialWrites(_cluster: ClusterId, _epoch: Epoch, _sha256: Sha256): Write[] {
  return [];
}
