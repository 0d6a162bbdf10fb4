/**
 * How much of the Raft log is kept: enough that a follower which slept a little catches up without a snapshot, and no
 * more than these bounds.
 */
import { type Index, index } from "../ids.ts";
import type { Entry } from "../raft/message.ts";

/** A checkpoint and a cut are due when the log holds more than this. */
const ENTRIES_MAX = 8_000;
const BYTES_MAX = 16 * 1_048_576;
/** What stays behind the applied index after a cut. */
const ENTRIES_KEPT = 2_000;
const BYTES_KEPT = 4 * 1_048_576;
/** The log grows by this much between two checkpoints, even when a cut could not bring it below its bounds. */
const ENTRIES_BETWEEN = 1_000;
const BYTES_BETWEEN = 2 * 1_048_576;
/** What an entry costs besides its data. */
const ENTRY_OVERHEAD = 64;

export class LogRetention {
  #base = 0;
  /** Bytes of each entry from base + 1 on. */
  #sizes: number[] = [];
  #bytes = 0;
  #entriesSince = 0;
  #bytesSince = 0;

  /** The log now holds `entries` after `base`. */
  restart(base: Index, entries: readonly Entry[]): void {
    this.#base = base;
    this.#sizes = entries.map(sizeOf);
    this.#bytes = this.#sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Entries were written; they replace everything at and above their first index. */
  appended(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    while (this.#base + this.#sizes.length >= first.index) this.#bytes -= this.#sizes.pop() ?? 0;
    for (const entry of entries) {
      const size = sizeOf(entry);
      this.#sizes.push(size);
      this.#bytes += size;
      this.#entriesSince++;
      this.#bytesSince += size;
    }
  }

  /** Whether a checkpoint and a cut should be tried now. */
  due(): boolean {
    const over = this.#sizes.length > ENTRIES_MAX || this.#bytes > BYTES_MAX;
    return over && (this.#entriesSince >= ENTRIES_BETWEEN || this.#bytesSince >= BYTES_BETWEEN);
  }

  tried(): void {
    this.#entriesSince = 0;
    this.#bytesSince = 0;
  }

  /** Where to cut, given that everything up to `applied` is durable in the state; null if there is nothing to cut. */
  cut(applied: Index): Index | null {
    let kept = 0;
    let bytes = 0;
    let at = Math.min(applied - this.#base, this.#sizes.length);
    while (at > 0 && kept < ENTRIES_KEPT && bytes < BYTES_KEPT) {
      bytes += this.#sizes[--at] ?? 0;
      kept++;
    }
    return at > 0 ? index(this.#base + at) : null;
  }

  compacted(upTo: Index): void {
    const gone = this.#sizes.splice(0, upTo - this.#base);
    this.#bytes -= gone.reduce((sum, size) => sum + size, 0);
    this.#base = upTo;
  }
}

const sizeOf = (entry: Entry): number => entry.data.length + ENTRY_OVERHEAD;
