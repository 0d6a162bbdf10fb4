/**
 * `log.mark`: whose log it is, and the second copy of the log's tail (R5).
 *
 * Four pages: the identity, two slots, and the identity again. The identity is written once, before the file has its
 * name. One slot is written over and over until it is synced, and then the other: so a torn write leaves what was synced.
 */
import { decode, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import type { StoreIdentity } from "../store-identity.ts";
import { frameBytes, readFrame, writeFrame } from "./frame.ts";
import type { Crc32, LogDisk, LogDiskFile } from "./log-disk.ts";
import { decodeTail, EMPTY_TAIL, encodeTail, type LogTail } from "./log-tail.ts";

export const MARK_NAME = "log.mark";
const MARK_NEW_NAME = "log.mark.new";
const PAGE_BYTES = 4_096;
const SLOTS = 2;
const IDENTITY_PLACES: readonly number[] = [0, (SLOTS + 1) * PAGE_BYTES];
/** The identity is read before its salt is known: "ocl1". */
const IDENTITY_KEY = 0x6f_63_6c_31;

export class Mark {
  readonly #file: LogDiskFile;
  readonly #crc32: Crc32;
  readonly identity: StoreIdentity;
  /** What every key of this log's files starts from. */
  readonly seed: number;
  /** The slot that is not the last one synced. */
  #slot = 0;
  #dirty = false;

  /** Makes a new mark, durably or not at all. @param salt nobody outside can know it */
  static create(disk: LogDisk, crc32: Crc32, identity: StoreIdentity, salt: Uint8Array): Mark {
    const file = disk.create(MARK_NEW_NAME, (SLOTS + 2) * PAGE_BYTES);
    const { format, role, cluster, partition, node } = identity;
    const body = encode([format, role, cluster, partition, node, salt]);
    const page = new Uint8Array(frameBytes(body.length));
    writeFrame(page, body, 0, { key: IDENTITY_KEY, place: 0, crc32 });
    for (const place of IDENTITY_PLACES) file.write(place, page);
    const mark = new Mark(file, crc32, identity, salt);
    mark.write(EMPTY_TAIL);
    mark.sync();
    disk.rename(MARK_NEW_NAME, MARK_NAME);
    disk.syncFolder();
    return mark;
  }

  /** @throws OpenClawError DATA_CORRUPT */
  static open(disk: LogDisk, crc32: Crc32): Mark {
    const file = disk.open(MARK_NAME);
    for (const place of IDENTITY_PLACES) {
      const page = file.read(place, PAGE_BYTES);
      const frame = readFrame(page, 0, { key: IDENTITY_KEY, place: 0, crc32 });
      if (frame === null) continue;
      const reader = new TupleReader(decode(frame.body), "log identity");
      const identity: StoreIdentity = {
        format: reader.count(),
        role: reader.text(),
        cluster: reader.text(),
        partition: reader.count(),
        node: reader.orNull((field) => field.text()),
      };
      return new Mark(file, crc32, identity, reader.bytes());
    }
    file.close();
    throw new OpenClawError("DATA_CORRUPT", `the identity in ${MARK_NAME} fails its check`);
  }

  private constructor(file: LogDiskFile, crc32: Crc32, identity: StoreIdentity, salt: Uint8Array) {
    this.#file = file;
    this.#crc32 = crc32;
    this.identity = identity;
    this.seed = crc32(salt, 0);
  }

  /** The newest tail that passes its check, made durable. @throws OpenClawError DATA_CORRUPT if none does */
  restore(): LogTail {
    let newest: LogTail | null = null;
    for (let slot = 0; slot < SLOTS; slot++) {
      const place = slotPlace(slot);
      const frame = readFrame(this.#file.read(place, PAGE_BYTES), 0, { key: this.seed, place, crc32: this.#crc32 });
      const tail = frame === null ? null : decodeTail(frame.body);
      if (tail === null || (newest !== null && newest.batch >= tail.batch)) continue;
      newest = tail;
      this.#slot = slot;
    }
    if (newest === null) throw new OpenClawError("DATA_CORRUPT", `both tails in ${MARK_NAME} fail their check`);
    // It may stand in the page cache only (pitfall 26), and the other slot is about to be written.
    this.write(newest);
    this.sync();
    return newest;
  }

  /**
   * Says that the batch of this tail is durable: called only when it is. It survives this process, and a power cut only
   * after `sync`.
   */
  write(tail: LogTail): void {
    const body = encodeTail(tail);
    const page = new Uint8Array(frameBytes(body.length));
    const place = slotPlace(this.#slot);
    writeFrame(page, body, 0, { key: this.seed, place, crc32: this.#crc32 });
    this.#file.write(place, page);
    this.#dirty = true;
  }

  sync(): void {
    if (!this.#dirty) return;
    this.#file.sync();
    this.#dirty = false;
    this.#slot = (this.#slot + 1) % SLOTS;
  }

  close(): void {
    this.#file.close();
  }
}

const slotPlace = (slot: number): number => (slot + 1) * PAGE_BYTES;
