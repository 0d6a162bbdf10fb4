/**
 * The log's preallocated files. Batches fill one after the other; a segment that nothing needs any more becomes a spare and
 * is written over under another name, so that a log at work allocates nothing.
 *
 * A segment is named by its first batch. It is whole and synced before it has its name, and names change one at a time,
 * each made durable before the next, oldest first: a power cut leaves no hole among them.
 */
import { invariant, OpenClawError } from "../errors.ts";
import type { LogDisk, LogDiskFile } from "./log-disk.ts";

/** Of a file: it is allocated (zeros written and synced) in a few ms, and a cut frees whole files. */
export const SEGMENT_BYTES = 4_194_304;
/** Spares kept; more are removed. The log's own bounds (core/replica/log-retention.ts) need no more at once. */
const SPARES_MAX = 4;
/** What the log's files may take besides the entries that are kept: the spares, the open segment and a half-needed one. */
export const SEGMENTS_OVERHEAD_BYTES = (SPARES_MAX + 2) * SEGMENT_BYTES;
/** A segment for a batch that is larger than the others is a multiple of this. */
const BLOCK_BYTES = 4_096;
/** A file that is being allocated. */
const NEW_NAME = "log.new";

const SEGMENT_NAME = /^log-(\d{16})\.segment$/;
const segmentName = (first: number): string => `log-${String(first).padStart(16, "0")}.segment`;
const spareName = (number: number): string => `log-${number}.spare`;
const blocks = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
const SPARE_NAMES: readonly string[] = Array.from({ length: SPARES_MAX }, (_, number) => spareName(number));

/** What is known of a segment that was read. */
export interface SegmentContents {
  /** Where its last batch ends. */
  readonly end: number;
  /** The last entry of the log after its last batch: no entry in it that counts is above. */
  readonly lastEntry: number;
}

interface FilledSegment {
  readonly first: number;
  readonly bytes: number;
  readonly lastEntry: number;
}

interface OpenSegment {
  readonly first: number;
  readonly file: LogDiskFile;
  contents: SegmentContents;
}

const NOTHING: SegmentContents = { end: 0, lastEntry: 0 };

export class Segments {
  readonly #disk: LogDisk;
  readonly #segmentBytes: number;
  readonly #spares: Set<string>;
  readonly #filled: FilledSegment[] = [];
  #open: OpenSegment | null = null;

  constructor(disk: LogDisk, segmentBytes: number) {
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
    const names = new Set(disk.names());
    this.#spares = new Set(SPARE_NAMES.filter((name) => names.has(name)));
    if (names.has(NEW_NAME)) disk.remove(NEW_NAME);
  }

  /** Number of the first batch that the open segment may hold. */
  get first(): number {
    return this.#current.first;
  }
  /** Where in it the next batch goes. */
  get end(): number {
    return this.#current.contents.end;
  }
  get #current(): OpenSegment {
    invariant(this.#open !== null, "the log has an open segment");
    return this.#open;
  }

  /** Reads all there are, oldest first; the last one stays open to be written. */
  load(scan: (first: number, bytes: Uint8Array<ArrayBuffer>) => SegmentContents): void {
    const found = this.#disk.names().flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? []);
    for (const first of found.map(Number).sort((a, b) => a - b)) {
      this.#fill();
      const file = this.#disk.open(segmentName(first));
      this.#open = { first, file, contents: NOTHING };
      this.#open.contents = scan(first, file.read(0, file.bytes));
    }
  }

  /** Whether a batch of `bytes` needs another segment. */
  isFull(bytes: number): boolean {
    return this.#open === null || this.#open.contents.end + bytes > this.#open.file.bytes;
  }

  /** Begins a segment for batch `first`, of `bytes`. */
  begin(first: number, bytes: number): void {
    const size = Math.max(this.#segmentBytes, blocks(bytes));
    const name = segmentName(first);
    const file = this.#takeSpare(size, name) ?? this.#allocate(size, name);
    // An open segment of this name had no batch yet, and is replaced by a larger one.
    if (this.#open?.first === first) this.#open.file.close();
    else this.#fill();
    this.#open = { first, file, contents: NOTHING };
  }

  /**
   * Room for a batch of `bytes` and for zeros up to the end of its block. So a block is never written in part that was
   * not written just before: the file system would have to read it first.
   */
  padded(bytes: number): number {
    const { contents, file } = this.#current;
    return Math.min(blocks(contents.end + bytes), file.bytes) - contents.end;
  }

  /** Writes a batch of `bytes`, padded, behind the last one. Durable when it returns. */
  append(padded: Uint8Array, bytes: number, lastEntry: number): void {
    const { file, contents } = this.#current;
    file.write(contents.end, padded);
    file.sync();
    this.#current.contents = { end: contents.end + bytes, lastEntry };
  }

  /** Writes bytes of the open segment again that are there, and makes them durable. */
  rewrite(at: number, bytes: Uint8Array): void {
    this.#current.file.write(at, bytes);
    this.#current.file.sync();
  }

  /** Gives up the segments whose entries are all at or below `base`. */
  drop(base: number): void {
    for (let [oldest] = this.#filled; oldest !== undefined && oldest.lastEntry <= base; [oldest] = this.#filled) {
      const spare = SPARE_NAMES.find((name) => !this.#spares.has(name));
      if (spare === undefined || oldest.bytes !== this.#segmentBytes) {
        this.#disk.remove(segmentName(oldest.first));
      } else {
        this.#disk.rename(segmentName(oldest.first), spare);
        this.#spares.add(spare);
      }
      this.#disk.syncFolder();
      this.#filled.shift();
    }
  }

  canDrop(base: number): boolean {
    const [oldest] = this.#filled;
    return oldest !== undefined && oldest.lastEntry <= base;
  }

  /** Allocates the next segment before it is needed. */
  prepare(): void {
    const { contents, file } = this.#current;
    const [name] = SPARE_NAMES;
    if (this.#spares.size > 0 || contents.end * 2 < file.bytes || name === undefined) return;
    try {
      this.#allocate(this.#segmentBytes, name).close();
      this.#spares.add(name);
    } catch (error) {
      // Nobody needs it yet; who does is told.
      if (!(error instanceof OpenClawError && error.code === "STORAGE_FULL")) throw error;
    }
  }

  close(): void {
    this.#open?.file.close();
  }

  #fill(): void {
    if (this.#open === null) return;
    const { first, file, contents } = this.#open;
    this.#filled.push({ first, bytes: file.bytes, lastEntry: contents.lastEntry });
    file.close();
    this.#open = null;
  }

  #takeSpare(size: number, name: string): LogDiskFile | null {
    const [spare] = this.#spares;
    if (spare === undefined || size !== this.#segmentBytes) return null;
    this.#spares.delete(spare);
    const file = this.#disk.open(spare);
    if (file.bytes !== size) {
      file.close();
      this.#disk.remove(spare);
      return null;
    }
    this.#disk.rename(spare, name);
    this.#disk.syncFolder();
    return file;
  }

  #allocate(size: number, name: string): LogDiskFile {
    const file = this.#disk.create(NEW_NAME, size);
    file.sync();
    this.#disk.rename(NEW_NAME, name);
    this.#disk.syncFolder();
    return file;
  }
}
