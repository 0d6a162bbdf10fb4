/** LogStore over a segment log: the main thread's side. Entries are packed here and handed over without a copy. */
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId, NodeId } from "@openclaw/core/ids.ts";
import type { LogBase, LogStore, StoredLog } from "@openclaw/core/ports.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";
import { packEntries, readRun } from "@openclaw/core/segment-log/batch-chain.ts";
import type { LogWrite, OpenedLog, PackedEntries } from "@openclaw/core/segment-log/log-write.ts";
import { Doorbell } from "./doorbell.ts";
import type { LogCalls } from "./log-protocol.ts";
import { WorkerChannel } from "./worker-channel.ts";

export interface SegmentLogStoreOptions {
  /** Created if it is not there; this process alone uses it from `open` on. */
  readonly dataDir: string;
  readonly cluster: ClusterId;
  readonly node: NodeId;
}

export class SegmentLogStore implements LogStore {
  readonly #options: SegmentLogStoreOptions;
  #channel: WorkerChannel<LogCalls> | null = null;
  #closing: Promise<void> | null = null;
  /** Where the log will stand when everything handed over is written. */
  #base = 0;
  #last = 0;

  constructor(options: SegmentLogStoreOptions) {
    this.#options = options;
  }

  /** @throws OpenClawError DATA_CORRUPT, DATA_FOREIGN, DATA_IN_USE, DATA_NEWER, STORAGE_FAILED, STORAGE_FULL */
  async open(): Promise<StoredLog> {
    invariant(this.#channel === null, "a log store is open once");
    const channel = new WorkerChannel<LogCalls>(
      "log worker",
      new URL("./log-worker.ts", import.meta.url),
      new Doorbell(),
    );
    this.#channel = channel;
    const { dataDir, cluster, node } = this.#options;
    let opened: OpenedLog;
    try {
      opened = await channel.call("open", { folder: dataDir, cluster, node });
    } catch (error) {
      this.#channel = null;
      await channel.terminate();
      throw error;
    }
    const { hardState, base, last, highWater } = opened.tail;
    const entries = opened.runs.flatMap(readRun).filter((entry) => entry.index > base.index);
    const contiguous = entries.every((entry, i) => entry.index === base.index + 1 + i);
    if (!contiguous || base.index + entries.length !== last) {
      await this.close();
      throw new OpenClawError("DATA_CORRUPT", `the log's batches do not hold the entries ${base.index + 1}…${last}`);
    }
    this.#base = base.index;
    this.#last = last;
    return { hardState, base, entries, highWater };
  }

  append(hardState: HardState | null, entries: readonly Entry[]): Promise<void> {
    return this.#write({ kind: "append", hardState, entries: this.#packed(entries) });
  }

  compact(base: LogBase): Promise<void> {
    invariant(base.index <= this.#last, `the log is cut at ${base.index} only where it reaches (${this.#last})`);
    this.#base = Math.max(this.#base, base.index);
    return this.#write({ kind: "compact", base });
  }

  reset(base: LogBase): Promise<void> {
    this.#base = base.index;
    this.#last = base.index;
    return this.#write({ kind: "reset", base });
  }

  /** Waits for what was handed over. Repeating it is harmless. */
  close(): Promise<void> {
    this.#closing ??= this.#channel?.close() ?? Promise.resolve();
    return this.#closing;
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

  async #write(write: LogWrite): Promise<void> {
    if (this.#closing !== null) throw new OpenClawError("STOPPED", "the log is closed");
    invariant(this.#channel !== null, "the log is opened before it is written");
    const packed = write.kind === "append" ? write.entries?.packed : undefined;
    await this.#channel.call(
      "write",
      write,
      packed === undefined ? {} : { bytes: packed.length, transfer: [packed.buffer as ArrayBuffer] },
    );
  }
}
