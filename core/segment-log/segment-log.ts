/**
 * The Raft log on one disk (R4): a batch is one write and one sync of a preallocated file. Synchronous, and without a
 * clock: whoever drives it off the main thread decides when it is at rest.
 *
 * recovery.ts says what it can lose and how it knows.
 */
import { invariant, OpenClawError } from "../errors.ts";
import { type ClusterId, index, type NodeId, PARTITION, term } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import { requireIdentity, type StoreIdentity } from "../store-identity.ts";
import { type BatchChange, decodeBatch, encodeBatch } from "./batch.ts";
import { BatchChain, packEntries, readRun } from "./batch-chain.ts";
import { type Frame, frameBytes, readFrame, writeFrame } from "./frame.ts";
import type { Crc32, LogDisk } from "./log-disk.ts";
import { EMPTY_TAIL, type LogTail, movedTail } from "./log-tail.ts";
import type { LogWrite, OpenedLog, PackedEntries } from "./log-write.ts";
import { MARK_NAME, Mark } from "./mark.ts";
import { type RecoveredLog, recover } from "./recovery.ts";
import { SEGMENT_BYTES, type SegmentContents, Segments } from "./segments.ts";

export const LOG_FORMAT = 2;
/** Where a batch may begin: a scan for batches after a rotten one looks nowhere else. */
const ALIGNMENT_BYTES = 64;
/** A batch takes no further call once it holds this much. */
const BATCH_BYTES_MAX = 1_048_576;

export interface SegmentLogOptions {
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly crc32: Crc32;
  /** Unpredictable bytes, used if the log is new. */
  readonly salt: Uint8Array;
  /** Tests use small segments. */
  readonly segmentBytes?: number;
}

export class SegmentLog {
  readonly #crc32: Crc32;
  readonly #mark: Mark;
  readonly #segments: Segments;
  #tail: LogTail = EMPTY_TAIL;
  /** Key of the open segment's frames. */
  #key = 0;
  /** CRC of the last batch. */
  #crc = 0;
  /** The last batch of the open segment as it was found. */
  #found: { readonly at: number; readonly bytes: Uint8Array } | null = null;
  #failure: unknown = null;

  /**
   * Opens or creates the log in a folder that nobody else uses, and says what is left.
   * @throws OpenClawError DATA_FOREIGN, DATA_NEWER, DATA_CORRUPT, and what the disk throws
   */
  static open(disk: LogDisk, options: SegmentLogOptions): { readonly log: SegmentLog; readonly opened: OpenedLog } {
    const mark = openMark(disk, options);
    const segments = new Segments(disk, options.segmentBytes ?? SEGMENT_BYTES);
    try {
      const log = new SegmentLog(options.crc32, mark, segments);
      return { log, opened: log.#start(mark.restore()) };
    } catch (error) {
      mark.close();
      segments.close();
      throw error;
    }
  }

  private constructor(crc32: Crc32, mark: Mark, segments: Segments) {
    this.#crc32 = crc32;
    this.#mark = mark;
    this.#segments = segments;
  }

  /**
   * Makes all writes durable, in order: those that fit together share a batch. After it threw once it throws for ever:
   * what the disk holds can no longer be vouched for (pitfall 26).
   */
  commit(writes: readonly LogWrite[]): void {
    this.#guarded(() => {
      for (const group of groups(writes)) this.#commitBatch(group);
    });
  }

  /** Does what need not wait for a write, nor a write for it: to be called when none has come for a moment. */
  rest(): void {
    this.#guarded(() => {
      this.#mark.sync();
      this.#segments.prepare();
    });
  }

  close(): void {
    try {
      if (this.#failure === null) this.#mark.sync();
    } finally {
      this.#failure ??= new OpenClawError("STOPPED", "the log is closed");
      this.#mark.close();
      this.#segments.close();
    }
  }

  #guarded(body: () => void): void {
    if (this.#failure !== null) throw this.#failure;
    try {
      body();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #commitBatch(writes: readonly LogWrite[]): void {
    const before = this.#tail;
    const changes: BatchChange[] = [];
    let tail: LogTail = { ...before, batch: before.batch + 1 };
    for (const write of writes) tail = changed(tail, write, changes);
    this.#write(tail, changes);
    const moved = tail.hardState.term !== before.hardState.term || tail.hardState.vote !== before.hardState.vote;
    const drops = tail.base.index > before.base.index && this.#segments.canDrop(tail.base.index);
    // R5: a vote is durable in two places; and so is a base before what was below it goes.
    if (moved || drops) this.#mark.sync();
    if (drops) this.#segments.drop(tail.base.index);
  }

  #write(tail: LogTail, changes: readonly BatchChange[]): void {
    const body = encodeBatch({ tail, changes });
    const bytes = aligned(frameBytes(body.length));
    if (this.#segments.isFull(bytes)) this.#begin(tail.batch, bytes);
    const batch = new Uint8Array(this.#segments.padded(bytes));
    const place = this.#segments.end;
    this.#crc = writeFrame(batch, body, this.#crc, { key: this.#key, place, crc32: this.#crc32 });
    this.#segments.append(batch, bytes, tail.last);
    this.#tail = tail;
    this.#mark.write(tail);
  }

  #begin(batch: number, bytes: number): void {
    // The new name says that the batches before it are durable: the mark must be able to say the same.
    this.#mark.sync();
    this.#segments.begin(batch, bytes);
    this.#key = this.#keyOf(batch);
  }

  #keyOf(first: number): number {
    const name = new DataView(new ArrayBuffer(8));
    name.setFloat64(0, first);
    return this.#crc32(new Uint8Array(name.buffer), this.#mark.seed);
  }

  #start(marked: LogTail): OpenedLog {
    const chains: BatchChain[] = [];
    this.#segments.load((first, bytes) => this.#scan(first, bytes, chains));
    // It may stand in the page cache only, after a kill or after an fsync that failed (pitfall 26).
    if (this.#found !== null) this.#segments.rewrite(this.#found.at, this.#found.bytes);
    this.#found = null;
    const { tail, runs, damaged } = recover(chains, marked);
    this.#tail = tail;
    this.#crc = chains.at(-1)?.crc ?? 0;
    if (damaged) this.#writeAnew({ tail, runs, damaged });
    else if (this.#segments.isFull(0)) this.#begin(tail.batch + 1, 0);
    else this.#key = this.#keyOf(this.#segments.first);
    if (this.#tail.batch > marked.batch) this.#mark.write(this.#tail);
    this.#mark.sync();
    if (damaged) this.#segments.drop(Number.MAX_SAFE_INTEGER);
    return { tail: this.#tail, runs };
  }

  /** Collects the batches of a segment into chains: a hole, or a batch that does not follow the one before, begins another. */
  #scan(first: number, bytes: Uint8Array<ArrayBuffer>, chains: BatchChain[]): SegmentContents {
    const key = this.#keyOf(first);
    const keys = new DataView(bytes.buffer);
    let contents: SegmentContents = { end: 0, lastEntry: 0 };
    this.#found = null;
    for (let at = 0; at + ALIGNMENT_BYTES <= bytes.length; ) {
      const frame =
        keys.getUint32(at, true) === key ? readFrame(bytes, at, { key, place: at, crc32: this.#crc32 }) : null;
      if (frame === null) {
        at += ALIGNMENT_BYTES;
        continue;
      }
      const end = at + aligned(frameBytes(frame.body.length));
      const tail = addBatch(chains, frame);
      if (tail !== null) {
        contents = { end, lastEntry: tail.last };
        this.#found = { at, bytes: bytes.subarray(at, end) };
      }
      at = end;
    }
    return contents;
  }

  /** Writes what is left into a segment of its own: it follows nothing that is damaged, and that can go. */
  #writeAnew({ tail, runs }: RecoveredLog): void {
    const entries = packEntries(runs.flatMap(readRun).filter((entry) => entry.index > tail.base.index));
    const changes: BatchChange[] = [{ kind: "reset", base: tail.base }];
    if (entries !== null) changes.push({ kind: "entries", entries });
    const batch = tail.batch + 1;
    this.#begin(batch, frameBytes(encodeBatch({ tail, changes }).length) + ALIGNMENT_BYTES);
    this.#write({ ...tail, batch }, changes);
  }
}

/** Adds the batch in a frame to the chain that it follows, or begins one; null if it is older than what is there. */
function addBatch(chains: BatchChain[], { body, crc, previous }: Frame): LogTail | null {
  const batch = orCorrupt(() => decodeBatch(body));
  const chain = chains.at(-1);
  if (chain === undefined) chains.push(new BatchChain(batch, crc));
  else if (batch.tail.batch <= chain.tail.batch) return null;
  else if (previous === chain.crc && batch.tail.batch === chain.tail.batch + 1) chain.add(batch, crc);
  else chains.push(new BatchChain(batch, crc));
  return batch.tail;
}

function orCorrupt<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new OpenClawError("DATA_CORRUPT", "a log batch passes its check and cannot be read", { cause: error });
  }
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

function openMark(disk: LogDisk, { crc32, cluster, node, salt }: SegmentLogOptions): Mark {
  const wanted: StoreIdentity = { format: LOG_FORMAT, role: "log", cluster, partition: PARTITION, node };
  const names = disk.names();
  if (!names.includes(MARK_NAME)) {
    if (names.some((name) => name.endsWith(".segment"))) {
      throw new OpenClawError("DATA_CORRUPT", `the log has segments and no ${MARK_NAME}`);
    }
    return Mark.create(disk, crc32, wanted, salt);
  }
  const mark = Mark.open(disk, crc32);
  try {
    requireIdentity(mark.identity, wanted);
  } catch (error) {
    mark.close();
    throw error;
  }
  return mark;
}

/** Runs of calls that go into one batch each. */
function groups(writes: readonly LogWrite[]): readonly (readonly LogWrite[])[] {
  const found: LogWrite[][] = [];
  let bytes = BATCH_BYTES_MAX;
  for (const write of writes) {
    if (bytes >= BATCH_BYTES_MAX) {
      found.push([]);
      bytes = 0;
    }
    found.at(-1)?.push(write);
    bytes += write.kind === "append" ? (write.entries?.packed.length ?? 0) : 0;
  }
  return found;
}

/** The tail after a write; what of it the tail does not say is added to `changes`. */
function changed(tail: LogTail, write: LogWrite, changes: BatchChange[]): LogTail {
  switch (write.kind) {
    case "append": {
      const hardState = write.hardState ?? tail.hardState;
      return write.entries === null ? { ...tail, hardState } : appended({ ...tail, hardState }, write.entries, changes);
    }
    case "compact":
      return compacted(tail, write.base);
    case "reset": {
      changes.push({ kind: "reset", base: write.base });
      const moved = movedTail({ ...tail, base: write.base }, write.base.index, write.base.term);
      return write.missing === null ? moved : { ...moved, highWater: index(Math.max(moved.highWater, write.missing)) };
    }
  }
}

function appended(tail: LogTail, entries: PackedEntries, changes: BatchChange[]): LogTail {
  invariant(
    entries.first > tail.base.index && entries.first <= tail.last + 1,
    `an append at ${entries.first} leaves no gap after ${tail.last}`,
  );
  changes.push({ kind: "entries", entries });
  return movedTail(tail, index(entries.last), term(entries.lastTerm));
}

function compacted(tail: LogTail, base: LogBase): LogTail {
  if (base.index <= tail.base.index) return tail;
  invariant(base.index <= tail.last, `the log ends at ${tail.last}, before the new base ${base.index}`);
  return { ...tail, base };
}
