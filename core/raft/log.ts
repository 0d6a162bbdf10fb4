/**
 * The log in memory: everything after the last compaction, and how much of it is committed. What of it has reached the
 * disk is durability.ts's business.
 */
import { invariant } from "../errors.ts";
import { type Index, index, type Term, term } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import type { Configurations } from "./configurations.ts";
import type { Membership } from "./membership.ts";
import type { Entry } from "./message.ts";

/** What an entry costs on a link or in a buffer besides its data. */
const ENTRY_OVERHEAD_BYTES = 16;

export const entryBytes = (entry: Entry): number => entry.data.length + ENTRY_OVERHEAD_BYTES;

export class RaftLog {
  readonly #configurations: Configurations;
  #base: LogBase;
  /** The entry at position p has index base + 1 + p. */
  #entries: Entry[];
  /** Bytes of this entry and of all that ever were before it, by position. */
  #ends: number[] = [];
  /** Bytes of all that were before the first entry here. */
  #start = 0;
  #commit: Index;

  /** @param configurations told of whatever enters and leaves the log */
  constructor(base: LogBase, entries: readonly Entry[], commit: Index, configurations: Configurations) {
    this.#configurations = configurations;
    this.#base = base;
    this.#entries = [];
    this.#commit = base.index;
    this.#push(entries);
    this.commitTo(commit);
  }

  /** What the first entry follows; its term is still known. */
  get base(): LogBase {
    return this.#base;
  }
  get lastIndex(): Index {
    return index(this.#base.index + this.#entries.length);
  }
  get lastTerm(): Term {
    return this.#entries.at(-1)?.term ?? this.#base.term;
  }
  get commit(): Index {
    return this.#commit;
  }

  /** Bytes of the entries after `at`; of all that are here, if it lies before them. */
  bytesAfter(at: Index): number {
    return this.#end - (this.#ends[at - this.#base.index - 1] ?? (at > this.#base.index ? this.#end : this.#start));
  }

  get #end(): number {
    return this.#ends.at(-1) ?? this.#start;
  }

  /** The term of the entry at `at`; null below the base and above the last entry. */
  termAt(at: Index): Term | null {
    if (at === this.#base.index) return this.#base.term;
    return this.#entries[at - this.#base.index - 1]?.term ?? null;
  }

  /** Whether a log that ends with (lastIndex, lastTerm) holds at least what this one holds (paper §5.4.1). */
  isUpToDate(lastIndex: Index, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Commit never goes back, and nothing is committed that is not here. */
  commitTo(to: Index): void {
    if (to <= this.#commit) return;
    invariant(to <= this.lastIndex, `commit ${to} is past the last entry ${this.lastIndex}`);
    this.#commit = to;
    this.#configurations.committed(to);
  }

  /** A leader's own entry. */
  append(entry: Entry): void {
    this.#push([entry]);
  }

  /**
   * Takes a leader's entries, which follow one of ours (paper §5.3, receiver steps 3 and 4). Entries that are here
   * already stay: a delayed append must not cut off what a later one brought. Returns where our own log was cut, or
   * null.
   */
  merge(entries: readonly Entry[]): Index | null {
    let known = 0;
    let entry = entries[0];
    while (entry !== undefined && this.termAt(entry.index) === entry.term) entry = entries[++known];
    if (entry === undefined) return null;
    const cut = entry.index <= this.lastIndex ? entry.index : null;
    if (cut !== null) this.truncate(cut);
    this.#push(known === 0 ? entries : entries.slice(known));
    return cut;
  }

  /** Forgets the entries at and above `from`. */
  truncate(from: Index): void {
    invariant(
      from > this.#commit,
      `entry ${from} is committed (up to ${this.#commit}) and another leader has another one`,
    );
    this.#entries.length = from - this.#base.index - 1;
    this.#ends.length = this.#entries.length;
    this.#configurations.truncated(from);
  }

  /** Forgets the entries up to and including `upTo`. Costs one copy of what stays. */
  compact(upTo: Index): void {
    if (upTo <= this.#base.index) return;
    invariant(upTo <= this.#commit, "only committed entries are compacted");
    const at = this.termAt(upTo);
    invariant(at !== null, "the log is compacted at an entry that it holds");
    const gone = upTo - this.#base.index;
    this.#start = this.#ends[gone - 1] ?? this.#start;
    this.#entries = this.#entries.slice(gone);
    this.#ends = this.#ends.slice(gone);
    this.#base = { index: upTo, term: at };
  }

  /** A snapshot replaces everything; `membership` is the one it holds. */
  reset(base: LogBase, membership: Membership): void {
    invariant(base.index > this.#commit, "a snapshot behind the commit truncates newer entries (pitfall 12)");
    this.#base = { index: base.index, term: base.term };
    this.#start = this.#end;
    this.#entries = [];
    this.#ends = [];
    this.#commit = base.index;
    this.#configurations.reset(membership, base.index);
  }

  /** Entries from `from` to `to` at most; the first one always, further ones within the limits. */
  slice(from: Index, to: Index, bytesMax: number, itemsMax: number): readonly Entry[] {
    const start = from - this.#base.index - 1;
    const limit = Math.min(to - this.#base.index, start + itemsMax);
    let end = start;
    let bytes = 0;
    while (end < limit) {
      const entry = this.#entries[end];
      invariant(entry !== undefined, `entry ${from} is not in the log`);
      bytes += entryBytes(entry);
      if (bytes > bytesMax && end > start) break;
      end++;
    }
    return this.#entries.slice(start, end);
  }

  entryAt(at: Index): Entry {
    const entry = this.#entries[at - this.#base.index - 1];
    invariant(entry !== undefined, `entry ${at} is not in the log`);
    return entry;
  }

  /**
   * The last index, at most `upTo`, whose term is at most `limit`: how two logs that differ find where to meet, a whole
   * term at a time (paper §5.3, end). Terms never go down along a log, hence the bisection. At worst the base's index.
   */
  lastWithTermAtMost(limit: Term, upTo: Index): Index {
    let low: number = this.#base.index;
    let high = Math.min(upTo, this.lastIndex);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.termAt(index(middle)) ?? term(0)) <= limit) low = middle;
      else high = middle - 1;
    }
    return index(low);
  }

  #push(entries: readonly Entry[]): void {
    let last: LogBase = { index: this.lastIndex, term: this.lastTerm };
    for (const entry of entries) {
      invariant(entry.index === last.index + 1, `entry ${entry.index} does not follow ${last.index}`);
      invariant(entry.term >= last.term, `entry ${entry.index} has an older term than the one before it`);
      this.#ends.push(this.#end + entryBytes(entry));
      this.#entries.push(entry);
      last = entry;
    }
    this.#configurations.appended(entries);
  }
}
