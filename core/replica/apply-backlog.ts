/** Committed entries that wait for apply, in order. */
import { BATCH_BYTES_MAX } from "../limits.ts";
import type { Entry } from "../raft/message.ts";

/** A replica with more than this ahead of it takes no new commands (etcd's maxGapBetweenApplyAndCommitIndex). */
const ENTRIES_MAX = 4_096;
const BYTES_MAX = 64 * BATCH_BYTES_MAX;
/** Handed to one apply; of bytes one entry more, since a first one always fits. */
const APPLY_ENTRIES_MAX = 256;
const APPLY_BYTES_MAX = 4 * BATCH_BYTES_MAX;

export class ApplyBacklog {
  #entries: Entry[] = [];
  #bytes = 0;

  get empty(): boolean {
    return this.#entries.length === 0;
  }
  /** Apply is behind. */
  get full(): boolean {
    return this.#entries.length > ENTRIES_MAX || this.#bytes > BYTES_MAX;
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#bytes += entry.data.length;
    }
  }

  /** What the next apply takes: at least one entry if there is one. */
  take(): readonly Entry[] {
    let count = 0;
    let bytes = 0;
    while (count < Math.min(this.#entries.length, APPLY_ENTRIES_MAX) && bytes < APPLY_BYTES_MAX) {
      bytes += this.#entries[count++]?.data.length ?? 0;
    }
    this.#bytes -= bytes;
    return this.#entries.splice(0, count);
  }

  clear(): void {
    this.#entries = [];
    this.#bytes = 0;
  }
}
