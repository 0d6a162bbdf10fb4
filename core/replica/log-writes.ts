/** Writes of the Raft log that are under way: in order, several at a time, and a disk that hangs is noticed. */
import { OpenClawError } from "../errors.ts";
import type { LogStore } from "../ports.ts";
import type { Ready } from "../raft/ready.ts";

/**
 * A log write without an answer for this many ticks (30 s at 50 ms) will have none: the disk hangs. A leader would lead on
 * meanwhile, because its heartbeats need no disk, and commit nothing. Ticks, not ms: a machine that slept had none.
 */
const SILENT_TICKS_MAX = 600;

export class LogWrites {
  readonly #log: LogStore;
  /** The last write; the next one's completion follows it. */
  #last: Promise<void> = Promise.resolve();
  #inFlight = 0;
  /** Ticks since the last answer, while there are writes. */
  #silentTicks = 0;

  constructor(log: LogStore) {
    this.#log = log;
  }

  get inFlight(): boolean {
    return this.#inFlight > 0;
  }

  /** @throws OpenClawError STORAGE_FAILED when the disk does not answer */
  tick(): void {
    if (this.#inFlight > 0 && ++this.#silentTicks > SILENT_TICKS_MAX) {
      throw new OpenClawError("STORAGE_FAILED", "the log's disk does not answer");
    }
  }

  /** Hands a Ready's hard state and entries to the disk; `durable` is called when they are. */
  write({ hardState, entries }: Ready, durable: () => void, failed: (error: unknown) => void): void {
    this.#inFlight++;
    this.#last = this.#log.append(hardState, entries).then(() => {
      this.#inFlight--;
      this.#silentTicks = 0;
      durable();
    }, failed);
  }

  settled(): Promise<void> {
    return this.#last;
  }
}
