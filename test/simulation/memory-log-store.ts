/**
 * A LogStore in memory. Writes become durable in order: at once, or after `latency`, or, between `hold` and `release`,
 * when the test says so. `crash` gives the store as a power cut would leave it.
 */
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { Index } from "@openclaw/core/ids.ts";
import { index, term } from "@openclaw/core/ids.ts";
import type { LogBase, LogStore, StoredLog } from "@openclaw/core/ports.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";

const EMPTY: StoredLog = {
  hardState: { term: term(0), vote: null, commit: index(0) },
  base: { index: index(0), term: term(0) },
  entries: [],
  highWater: index(0),
};

interface Waiting {
  readonly change: (log: StoredLog) => StoredLog;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** When the next write is done: calls back once. */
export type Latency = (done: () => void) => void;

export class MemoryLogStore implements LogStore {
  latency: Latency = (done) => done();
  #durable: StoredLog;
  #held = false;
  #failure: OpenClawError | null = null;
  #waiting: Waiting[] = [];

  constructor(durable: StoredLog = EMPTY) {
    this.#durable = durable;
  }

  /** The disk takes nothing until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#flush();
  }

  /** From now on the disk refuses every write, those under way as well: all that is known of these is that they may be there. */
  fail(code: "STORAGE_FAILED" | "STORAGE_FULL" = "STORAGE_FAILED", survivors = 0): void {
    this.#failure = new OpenClawError(code, "the disk refuses writes");
    for (const { change, failed } of this.#waiting.splice(0, survivors)) {
      this.#durable = change(this.#durable);
      failed(this.#failure);
    }
    this.#flush();
  }

  /**
   * The store that starts after a power cut: what was not durable is gone, but for the first `survivors` writes that
   * reached the disk without having been answered, and for the last `rotten` entries, which no longer pass their check
   * (R5). This one answers nothing any more.
   */
  crash(survivors = 0, rotten = 0): MemoryLogStore {
    this.#held = true;
    for (const { change } of this.#waiting.splice(0).slice(0, survivors)) this.#durable = change(this.#durable);
    const { hardState, base, entries, highWater } = this.#durable;
    const left = entries.slice(0, Math.max(0, entries.length - rotten));
    const commit = index(Math.min(hardState.commit, lastIndex(base, left)));
    return new MemoryLogStore({ hardState: { ...hardState, commit }, base, entries: left, highWater });
  }

  /** Writes that were handed over and not answered. */
  get waiting(): number {
    return this.#waiting.length;
  }

  get durable(): StoredLog {
    return this.#durable;
  }

  async open(): Promise<StoredLog> {
    return this.#durable;
  }

  append(hardState: HardState | null, entries: readonly Entry[]): Promise<void> {
    return this.#write((log) => {
      const first = entries[0];
      if (first === undefined) return { ...log, hardState: hardState ?? log.hardState };
      const kept = log.entries.slice(0, first.index - log.base.index - 1);
      invariant(first.index === log.base.index + kept.length + 1, "appended entries follow the log");
      const all = [...kept, ...entries];
      return moved({ ...log, hardState: hardState ?? log.hardState }, log.base, all);
    });
  }

  compact(base: LogBase): Promise<void> {
    return this.#write((log) =>
      base.index <= log.base.index ? log : { ...log, base, entries: log.entries.slice(base.index - log.base.index) },
    );
  }

  reset(base: LogBase): Promise<void> {
    return this.#write((log) => moved(log, base, []));
  }

  async close(): Promise<void> {}

  #write(change: (log: StoredLog) => StoredLog): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ change, done, failed });
      this.latency(() => this.#flush());
    });
  }

  #flush(): void {
    if (this.#held && this.#failure === null) return;
    for (const { change, done, failed } of this.#waiting.splice(0)) {
      if (this.#failure !== null) {
        failed(this.#failure);
        continue;
      }
      this.#durable = change(this.#durable);
      done();
    }
  }
}

/** The high water of a whole log moves with its end, that of one that lost entries stays until they are back (R5). */
function moved(log: StoredLog, base: LogBase, entries: readonly Entry[]): StoredLog {
  const whole = lastIndex(log.base, log.entries) >= log.highWater;
  const last = lastIndex(base, entries);
  return { ...log, base, entries, highWater: whole ? last : index(Math.max(log.highWater, last)) };
}

const lastIndex = (base: LogBase, entries: readonly Entry[]): Index => entries.at(-1)?.index ?? base.index;
