/**
 * How much of the Raft log is kept: enough that a follower which slept a little catches up without a snapshot, and no
 * more than these bounds.
 */
import { type Index, index } from "../ids.ts";
import type { Entry } from "../raft/message.ts";

export interface RetentionLimits {
  /** A checkpoint and a cut are due when the log holds more than this. */
  readonly entriesMax: number;
  readonly bytesMax: number;
  /** What stays behind the applied index after a cut. */
  readonly entriesKept: number;
  readonly bytesKept: number;
  /** The log grows by this much between two checkpoints, even when a cut could not bring it below its bounds. */
  readonly entriesBetween: number;
  readonly bytesBetween: number;
}

/** Bytes of the log at which it is cut, unless configured otherwise. */
export const LOG_BYTES = 16 * 1_048_576;

export const retentionOf = (logBytes: number): RetentionLimits => ({
  entriesMax: 8_000,
  bytesMax: logBytes,
  entriesKept: 2_000,
  bytesKept: logBytes / 4,
  entriesBetween: 1_000,
  bytesBetween: logBytes / 8,
});
/**
 * A follower that is there and behind keeps its entries until the log is this many times over its bounds. Otherwise one
 * that needs a snapshot would never catch up under a steady load: what follows the snapshot would be cut while it is sent.
 */
const PATIENCE = 4;
/** What an entry costs besides its data. */
const ENTRY_OVERHEAD = 64;

export class LogRetention {
  readonly #limits: RetentionLimits;
  #base = 0;
  /** Bytes of each entry from base + 1 on. */
  #sizes: number[] = [];
  #bytes = 0;
  #entriesSince = 0;
  #bytesSince = 0;

  constructor(limits: RetentionLimits = retentionOf(LOG_BYTES)) {
    this.#limits = limits;
  }

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
    const { entriesMax, bytesMax, entriesBetween, bytesBetween } = this.#limits;
    const over = this.#sizes.length > entriesMax || this.#bytes > bytesMax;
    return over && (this.#entriesSince >= entriesBetween || this.#bytesSince >= bytesBetween);
  }

  tried(): void {
    this.#entriesSince = 0;
    this.#bytesSince = 0;
  }

  /**
   * Where to cut, given that everything up to `applied` is durable in the state, and that a follower holds no more than
   * `slowest`; null if there is nothing to cut.
   */
  cut(applied: Index, slowest: Index | null): Index | null {
    const { entriesMax, bytesMax, entriesKept, bytesKept } = this.#limits;
    let kept = 0;
    let bytes = 0;
    let at = Math.min(applied - this.#base, this.#sizes.length);
    while (at > 0 && kept < entriesKept && bytes < bytesKept) {
      bytes += this.#sizes[--at] ?? 0;
      kept++;
    }
    const patient = this.#sizes.length <= PATIENCE * entriesMax && this.#bytes <= PATIENCE * bytesMax;
    if (slowest !== null && patient) at = Math.min(at, slowest - this.#base);
    return at > 0 ? index(this.#base + at) : null;
  }

  compacted(upTo: Index): void {
    const gone = this.#sizes.splice(0, upTo - this.#base);
    this.#bytes -= gone.reduce((sum, size) => sum + size, 0);
    this.#base = upTo;
  }
}

const sizeOf = (entry: Entry): number => entry.data.length + ENTRY_OVERHEAD;
