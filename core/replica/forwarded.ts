/** Batches that followers forwarded, until the log write in flight is done. */
import { BATCH_BYTES_MAX } from "../limits.ts";

/** Beyond it a batch is dropped, and its proposer offers it again (Q1). Raft refuses more than that uncommitted anyway. */
const BYTES_MAX = 16 * BATCH_BYTES_MAX;

export class Forwarded {
  #batches: Uint8Array[] = [];
  #bytes = 0;

  /** Keeps what fits. */
  push(batches: readonly Uint8Array[]): void {
    for (const batch of batches) {
      if (this.#bytes + batch.length > BYTES_MAX) continue;
      this.#batches.push(batch);
      this.#bytes += batch.length;
    }
  }

  take(): readonly Uint8Array[] {
    const batches = this.#batches;
    this.#batches = [];
    this.#bytes = 0;
    return batches;
  }
}
