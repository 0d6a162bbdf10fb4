/** Batches that follow one another without a hole, and the entries that they leave. */
import { OpenClawError } from "../errors.ts";
import type { Index, Term } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import { decodeEntries, encodeEntries } from "../raft/entry-codec.ts";
import type { Entry } from "../raft/message.ts";
import type { Batch } from "./batch.ts";
import type { LogTail } from "./log-tail.ts";
import type { PackedEntries, StoredRun } from "./log-write.ts";

export class BatchChain {
  #tail: LogTail;
  /** CRC of the last batch's frame. */
  #crc: number;
  /** From this index on every entry is known; null while no batch has said. */
  #start: number | null = null;
  #runs: StoredRun[] = [];

  /** Begins with a batch whose forerunners are not there: rotten, or dropped because nothing of them is needed. */
  constructor(first: Batch, crc: number) {
    this.#tail = first.tail;
    this.#crc = crc;
    this.#take(first);
  }

  get tail(): LogTail {
    return this.#tail;
  }
  get crc(): number {
    return this.#crc;
  }

  add(batch: Batch, crc: number): void {
    this.#tail = batch.tail;
    this.#crc = crc;
    this.#take(batch);
  }

  /** Whether it has every entry that followed `base` when its last batch was written. */
  covers(base: LogBase): boolean {
    if (this.#start !== null) return this.#start <= base.index + 1;
    return this.#tail.last === this.#tail.base.index && this.#tail.base.index === base.index;
  }

  /** The runs that hold the entries after `base` up to `last`. @throws OpenClawError DATA_CORRUPT */
  runs(base: LogBase, last: Index): readonly StoredRun[] {
    const kept: StoredRun[] = [];
    for (const run of this.#runs) {
      if (run.last > base.index && run.first <= last) kept.push({ ...run, last: Math.min(run.last, last) });
    }
    const whole = kept.every((run, i) => run.first <= (kept[i - 1]?.last ?? base.index) + 1);
    if (!whole || (kept.at(-1)?.last ?? base.index) !== last) {
      throw new OpenClawError("DATA_CORRUPT", `the log's batches do not hold the entries ${base.index + 1}…${last}`);
    }
    return kept;
  }

  /** Null where it holds no entry. @throws OpenClawError DATA_CORRUPT */
  termAt(at: Index): Term | null {
    const run = this.#runs.find((candidate) => candidate.first <= at && at <= candidate.last);
    if (run === undefined) return at === this.#tail.base.index ? this.#tail.base.term : null;
    return readRun(run).find((entry) => entry.index === at)?.term ?? null;
  }

  #take({ tail, changes }: Batch): void {
    for (const change of changes) {
      switch (change.kind) {
        case "entries":
          this.#append(change.entries);
          break;
        case "reset":
          this.#runs = [];
          this.#start = change.base.index + 1;
          break;
      }
    }
    const needed = this.#runs.findIndex((run) => run.last > tail.base.index);
    if (needed > 0) this.#runs.splice(0, needed);
  }

  #append({ first, last, packed }: PackedEntries): void {
    if (this.#start === null || first < this.#start) this.#start = first;
    for (let run = this.#runs.at(-1); run !== undefined && run.last >= first; run = this.#runs.at(-1)) {
      this.#runs.pop();
      if (run.first < first) this.#runs.push({ ...run, last: first - 1 });
    }
    this.#runs.push({ first, last, packed });
  }
}

/** The entries of a run that count. @throws OpenClawError DATA_CORRUPT */
export function readRun({ first, last, packed }: StoredRun): readonly Entry[] {
  try {
    return decodeEntries(packed).filter((entry) => entry.index >= first && entry.index <= last);
  } catch (error) {
    throw new OpenClawError("DATA_CORRUPT", `log entries ${first}…${last} pass their check and cannot be read`, {
      cause: error,
    });
  }
}

/** Entries as one run; null if there are none. */
export function packEntries(entries: readonly Entry[]): PackedEntries | null {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return null;
  return { first: first.index, last: last.index, lastTerm: last.term, packed: encodeEntries(entries) };
}
