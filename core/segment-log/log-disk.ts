/**
 * The folder that a segment log has to itself: what of a file system it needs, synchronous, so that the same log runs on
 * Node's file system in a worker, and in tests on a disk that fails as they want.
 *
 * Every call may throw; the log then stops for good (pitfall 26). What was written counts only after `sync` of the file,
 * and a name only after `syncFolder`: until then a power cut may leave any part of it.
 */

/** CRC-32 of bytes, going on from the CRC of what comes before them. It sees every change of up to 32 bits in a row. */
export type Crc32 = (bytes: Uint8Array, before: number) => number;

export interface LogDisk {
  names(): readonly string[];
  open(name: string): LogDiskFile;
  /** A file of zeros with every block allocated, so that a later write of it has no new length and no new block to make durable. */
  create(name: string, bytes: number): LogDiskFile;
  /** Replaces a file of the new name. */
  rename(from: string, to: string): void;
  remove(name: string): void;
  syncFolder(): void;
}

export interface LogDiskFile {
  readonly bytes: number;
  /** The bytes from `at` on, in a buffer of their own. */
  read(at: number, length: number): Uint8Array<ArrayBuffer>;
  /** Writes inside the file: all of it, or it throws. */
  write(at: number, bytes: Uint8Array): void;
  sync(): void;
  close(): void;
}
