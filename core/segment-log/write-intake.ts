/** The side of a segment log that a LogStore shows to Raft: entries go in unpacked, in order, and come out so at the start. */
import { invariant, OpenClawError } from "../errors.ts";
import type { Index } from "../ids.ts";
import type { LogBase, StoredLog } from "../ports.ts";
import type { Entry, HardState } from "../raft/message.ts";
import { packEntries, readRun } from "./batch-chain.ts";
import type { LogWrite, OpenedLog, PackedEntries } from "./log-write.ts";

export class WriteIntake {
  /** Where the log will stand when everything that was taken is written. */
  #base = 0;
  #last = 0;

  /** What the log holds from its start on. @throws OpenClawError DATA_CORRUPT */
  opened({ tail, runs }: OpenedLog): StoredLog {
    const { hardState, base, last, highWater } = tail;
    const entries = runs.flatMap(readRun).filter((entry) => entry.index > base.index);
    const contiguous = entries.every((entry, i) => entry.index === base.index + 1 + i);
    if (!contiguous || base.index + entries.length !== last) {
      throw new OpenClawError("DATA_CORRUPT", `the log's batches do not hold the entries ${base.index + 1}…${last}`);
    }
    this.#base = base.index;
    this.#last = last;
    return { hardState, base, entries, highWater };
  }

  append(hardState: HardState | null, entries: readonly Entry[]): LogWrite {
    return { kind: "append", hardState, entries: this.#packed(entries) };
  }

  compact(base: LogBase): LogWrite {
    invariant(base.index <= this.#last, `the log is cut at ${base.index} only where it reaches (${this.#last})`);
    this.#base = Math.max(this.#base, base.index);
    return { kind: "compact", base };
  }

  reset(base: LogBase, missing: Index | null = null): LogWrite {
    this.#base = base.index;
    this.#last = base.index;
    return { kind: "reset", base, missing };
  }

  #packed(entries: readonly Entry[]): PackedEntries | null {
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return null;
    invariant(
      first.index > this.#base &&
        first.index <= this.#last + 1 &&
        entries.every((entry, i) => entry.index === first.index + i),
      `entries ${first.index}…${last.index} follow a log of ${this.#base + 1}…${this.#last}`,
    );
    this.#last = last.index;
    return packEntries(entries);
  }
}
