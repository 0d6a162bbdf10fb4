/**
 * One file of a second copy: frames (core/segment-log/frame.ts), each chained to the one before. The first says of which database
 * it is a copy; each other one is a step, `[names that go, rows that come]`. What a kill left half written at the end fails its
 * check, and is not read: nobody was told of it.
 */
import { nameOf, type RowName } from "@openclaw/core/client/outbox-row.ts";
import { decode, type Encodable, encode, TupleReader } from "@openclaw/core/codec.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { isLinkId, seq } from "@openclaw/core/ids.ts";
import { frameBytes, readFrame, writeFrame } from "@openclaw/core/segment-log/frame.ts";
import { crc32 } from "./crc32.ts";

const MAGIC = "openclaw outbox copy 1";

/** A file that this worker alone has open (https://fs.spec.whatwg.org/#api-filesystemsyncaccesshandle). */
export interface SyncFile {
  getSize(): number;
  read(into: Uint8Array<ArrayBuffer>, options: { readonly at: number }): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { readonly at: number }): number;
  truncate(size: number): void;
  /** Resolved to the disk when it returns. */
  flush(): void;
  close(): void;
}

/** What a file holds. */
export interface Copied {
  /** Drawn when it was begun: another one, and it is another copy. */
  readonly key: number;
  /** Of the database that it is a copy of. */
  readonly identity: string;
  /** Encoded, by name, in the order in which they came. */
  readonly rows: ReadonlyMap<string, Uint8Array>;
}

export class CopyFile {
  readonly #file: SyncFile;
  /** Drawn each time that it is begun: what was there before is not taken for a part of it. */
  #key = 0;
  #end = 0;
  #previous = 0;

  constructor(file: SyncFile) {
    this.#file = file;
  }

  /** Written since it was begun. */
  get bytes(): number {
    return this.#end;
  }

  get isEmpty(): boolean {
    return this.#file.getSize() === 0;
  }

  /**
   * Null of an empty file, and of one that is not a copy from its first frame on. @throws OpenClawError MALFORMED_FRAME: a later
   * version wrote it
   */
  read(): Copied | null {
    const bytes = new Uint8Array(this.#file.getSize());
    const length = this.#file.read(bytes, { at: 0 });
    if (length < 4) return null;
    const key = new DataView(bytes.buffer).getUint32(0, true);
    const content = bytes.subarray(0, length);
    let previous = 0;
    let at = 0;
    let identity: string | null = null;
    const rows = new Map<string, Uint8Array>();
    for (;;) {
      const frame = readFrame(content, at, { key, place: at, crc32 });
      if (frame === null || frame.previous !== previous) break;
      if (identity === null) identity = readBeginning(frame.body);
      else takeStep(frame.body, rows);
      previous = frame.crc;
      at += frameBytes(frame.body.length);
    }
    return identity === null ? null : { key, identity, rows };
  }

  /** Of an empty file. @param key any number; another one each time */
  begin(identity: string, key: number): void {
    invariant(this.#end === 0, "a copy is begun in an empty file");
    this.#key = key >>> 0;
    this.#previous = 0;
    this.#write(encode([MAGIC, identity]));
  }

  /** @throws DOMException QuotaExceededError, … */
  append(forgotten: readonly RowName[], rows: Iterable<Uint8Array>): void {
    this.#write(encode([forgotten.map(({ link, seq: at }) => [link, at]), [...rows]]));
  }

  flush(): void {
    this.#file.flush();
  }

  /** On the disk with what is flushed next. */
  clear(): void {
    this.#file.truncate(0);
    this.#end = 0;
  }

  close(): void {
    this.#file.close();
  }

  #write(body: Uint8Array): void {
    const frame = new Uint8Array(frameBytes(body.length));
    const place = this.#end;
    const crc = writeFrame(frame, body, this.#previous, { key: this.#key, place, crc32 });
    const written = this.#file.write(frame, { at: place });
    if (written < frame.length)
      throw new OpenClawError("CLIENT_STORAGE_FAILED", `${written} of ${frame.length} bytes were written`);
    this.#previous = crc;
    this.#end = place + frame.length;
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
function readBeginning(body: Uint8Array): string {
  const reader = new TupleReader(decode(body), "copy");
  reader.that((text): text is string => text === MAGIC, `"${MAGIC}"`);
  const identity = reader.text();
  reader.end();
  return identity;
}

/** @throws OpenClawError MALFORMED_FRAME */
function takeStep(body: Uint8Array, rows: Map<string, Uint8Array>): void {
  const reader = new TupleReader(decode(body), "step");
  for (const name of reader.list()) rows.delete(nameIn(name));
  for (const bytes of reader.list()) {
    if (!(bytes instanceof Uint8Array)) throw new OpenClawError("MALFORMED_FRAME", "a row should be bytes");
    rows.set(nameIn(decode(bytes)), bytes);
  }
  reader.end();
}

/** A row begins with its name. @throws OpenClawError MALFORMED_FRAME */
function nameIn(tuple: Encodable): string {
  const reader = new TupleReader(tuple, "row");
  return nameOf({ link: reader.that(isLinkId, "a link"), seq: seq(reader.count()) });
}
