/** LogStore over a segment log: the main thread's side. Entries are packed here and handed over without a copy. */
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId, Index, NodeId } from "@openclaw/core/ids.ts";
import type { LogBase, LogStore, StoredLog } from "@openclaw/core/ports.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";
import type { LogWrite, OpenedLog } from "@openclaw/core/segment-log/log-write.ts";
import { WriteIntake } from "@openclaw/core/segment-log/write-intake.ts";
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
  readonly #intake = new WriteIntake();

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
    try {
      return this.#intake.opened(opened);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  append(hardState: HardState | null, entries: readonly Entry[]): Promise<void> {
    return this.#write(this.#intake.append(hardState, entries));
  }

  compact(base: LogBase): Promise<void> {
    return this.#write(this.#intake.compact(base));
  }

  reset(base: LogBase, missing?: Index): Promise<void> {
    return this.#write(this.#intake.reset(base, missing));
  }

  /** Waits for what was handed over. Repeating it is harmless. */
  close(): Promise<void> {
    this.#closing ??= this.#channel?.close() ?? Promise.resolve();
    return this.#closing;
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
