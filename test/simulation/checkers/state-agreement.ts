/** R9: replicas that applied the same index are in the same state, ledger and all. */
import { equalBytes, toHex } from "@openclaw/core/bytes.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";

export class StateAgreement {
  readonly #positions = new Map<number, Position>();
  readonly #hashes = new Map<number, Uint8Array>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** `node` applied everything up to `index`. */
  reached(node: NodeId, index: number, position: Position): void {
    const known = this.#positions.get(index);
    if (known === undefined) {
      this.#positions.set(index, position);
      return;
    }
    if (known.revision !== position.revision || !equalBytes(known.hash, position.hash)) {
      this.#violation(
        `at index ${index} ${node} has revision ${position.revision} with ${toHex(position.hash).slice(0, 8)}, ` +
          `another has ${known.revision} with ${toHex(known.hash).slice(0, 8)}`,
      );
    }
    if (known.parentHolds !== position.parentHolds) {
      this.#violation(
        `at index ${index} ${node} says the parent holds ${position.parentHolds}, not ${known.parentHolds}`,
      );
    }
  }

  /** The hash over every row of the state of `node` at `index`. */
  hashed(node: NodeId, index: number, hash: Uint8Array): void {
    const known = this.#hashes.get(index);
    if (known === undefined) this.#hashes.set(index, hash);
    else if (!equalBytes(known, hash)) this.#violation(`the state of ${node} at index ${index} has another hash`);
  }
}
