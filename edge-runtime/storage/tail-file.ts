/**
 * The second copy of the log's tail (R5), in a file that shares no page, checksum or recovery with SQLite's. Two slots,
 * written in turn, so that a torn write leaves the other.
 *
 * It is written before a commit is acknowledged, and fsynced now and then beside the commits rather than in their way: so
 * it survives kill -9 exactly, and a power cut with the last commits missing. An older copy is harmless; it would hide a
 * loss only if the power cut came with rot in just those last commits.
 */
import { closeSync, constants, fdatasync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { concatBytes, equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { fsyncPath } from "./files.ts";
import { decodeTail, EMPTY_TAIL, encodeTail, type LogTail } from "./log-tail.ts";
import { sha256 } from "./sha256.ts";

/** A page each: no disk writes less. */
const SLOT_BYTES = 4_096;
const SLOTS = 2;
/** Rest between two fsyncs, ms: they share the disk with the commits, and would double their number. */
const SYNC_REST_MS = 50;
const SUM_BYTES = 32;
const LENGTH_BYTES = 2;

export class TailFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #onError: (error: unknown) => void;
  /** An fsync is in flight. */
  #syncing = false;
  #rest: NodeJS.Timeout | null = null;
  #dirty = false;
  #closed = false;

  /** @param onError called when a background fsync failed: the disk can no longer be vouched for */
  static open(path: string, onError: (error: unknown) => void): TailFile {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    return new TailFile(path, fd, onError);
  }

  private constructor(path: string, fd: number, onError: (error: unknown) => void) {
    this.#path = path;
    this.#fd = fd;
    this.#onError = onError;
  }

  /** The newest copy that passes its check; null if none does. */
  read(): LogTail | null {
    let newest: LogTail | null = null;
    for (let slot = 0; slot < SLOTS; slot++) {
      const tail = this.#get(slot);
      if (tail !== null && (newest === null || tail.commit > newest.commit)) newest = tail;
    }
    return newest;
  }

  /** Survives this process from now on, and a power cut soon. */
  write(tail: LogTail): void {
    this.#put(tail);
    this.#dirty = true;
    this.#syncInBackground();
  }

  /** Makes a new file, of its final size: an fsync then has no new length to write. */
  initialise(): void {
    writeSync(this.#fd, new Uint8Array(SLOTS * SLOT_BYTES), 0, SLOTS * SLOT_BYTES, 0);
    this.#put(EMPTY_TAIL);
    fsyncSync(this.#fd);
    fsyncPath(dirname(this.#path));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#rest !== null) clearTimeout(this.#rest);
    if (this.#dirty && !this.#syncing) fdatasyncSync(this.#fd);
    // An fsync in flight uses the descriptor: its callback closes it.
    if (!this.#syncing) closeSync(this.#fd);
  }

  #syncInBackground(): void {
    if (this.#syncing || this.#rest !== null || !this.#dirty || this.#closed) return;
    this.#syncing = true;
    this.#dirty = false;
    fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      if (error !== null) this.#onError(error);
      if (this.#closed) closeSync(this.#fd);
      else this.#rest = setTimeout(() => this.#rested(), SYNC_REST_MS);
    });
  }

  #rested(): void {
    this.#rest = null;
    this.#syncInBackground();
  }

  #put(tail: LogTail): void {
    const record = encodeTail(tail);
    const length = new Uint8Array([record.length >> 8, record.length & 0xff]);
    const slot = concatBytes([sha256(record), length, record]);
    const written = writeSync(this.#fd, slot, 0, slot.length, (tail.commit % SLOTS) * SLOT_BYTES);
    if (written !== slot.length) throw new OpenClawError("STORAGE_FULL", "the log's tail was written in part");
  }

  #get(slot: number): LogTail | null {
    const bytes = new Uint8Array(SLOT_BYTES);
    readSync(this.#fd, bytes, 0, SLOT_BYTES, slot * SLOT_BYTES);
    const length = ((bytes[SUM_BYTES] ?? 0) << 8) | (bytes[SUM_BYTES + 1] ?? 0);
    const record = bytes.subarray(SUM_BYTES + LENGTH_BYTES, SUM_BYTES + LENGTH_BYTES + length);
    return equalBytes(sha256(record), bytes.subarray(0, SUM_BYTES)) ? decodeTail(record) : null;
  }
}
