/** A segment log in a folder of Node's file system, locked. Runs in the log's worker. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { LogWrite, OpenedLog } from "@openclaw/core/segment-log/log-write.ts";
import { SegmentLog } from "@openclaw/core/segment-log/segment-log.ts";
import { lockFolder } from "./data-lock.ts";
import { ensureFolder } from "./files.ts";
import type { LogOpening } from "./log-protocol.ts";
import { NodeLogDisk } from "./node-log-disk.ts";

const SALT_BYTES = 16;

export class LogFile {
  readonly #log: SegmentLog;
  readonly #unlock: () => void;

  /** @throws OpenClawError DATA_IN_USE, DATA_FOREIGN, DATA_NEWER, DATA_CORRUPT, STORAGE_FAILED, STORAGE_FULL */
  static open({ folder, cluster, node }: LogOpening): { readonly file: LogFile; readonly opened: OpenedLog } {
    ensureFolder(folder);
    const unlock = lockFolder(join(folder, "log.lock"));
    try {
      const salt = randomBytes(SALT_BYTES);
      const { log, opened } = SegmentLog.open(new NodeLogDisk(folder), { cluster, node, crc32, salt });
      return { file: new LogFile(log, unlock), opened };
    } catch (error) {
      unlock();
      throw error;
    }
  }

  private constructor(log: SegmentLog, unlock: () => void) {
    this.#log = log;
    this.#unlock = unlock;
  }

  /** When it returns, all writes are on disk. */
  commit(writes: readonly LogWrite[]): void {
    this.#log.commit(writes);
  }

  rest(): void {
    this.#log.rest();
  }

  close(): void {
    try {
      this.#log.close();
    } finally {
      this.#unlock();
    }
  }
}
