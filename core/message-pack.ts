/**
 * MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), as far as `Encodable` needs it: nil, booleans,
 * integers, texts, bytes and arrays, each in its shortest form. Small, because every page loads it; and what is none of
 * these is refused while it is read, before it costs anything.
 */
import { InvariantViolation, OpenClawError } from "./errors.ts";
import { DEPTH_MAX } from "./limits.ts";

/** What may be encoded. No maps: so no `__proto__`, no key order, no lost keys (pitfall 49). */
export type Encodable = null | boolean | number | string | Uint8Array | readonly Encodable[];

/** Taken from the runtime at once, bytes. */
const POOL_BYTES = 65_536;
/** Up to so many bytes a text is coded here; above, the runtime's own coder is faster. */
const SHORT_MAX = 40;
const TWO_16 = 2 ** 16;
const TWO_31 = 2 ** 31;
const TWO_32 = 2 ** 32;

const textEncoder = new TextEncoder();
// A text that begins with U+FEFF keeps it.
const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class Encoder {
  #pool = new Uint8Array(POOL_BYTES);
  #view = new DataView(this.#pool.buffer);
  /** Where the value that is being written begins. */
  #start = 0;
  #at = 0;

  /** A copy with a buffer of its own. */
  encode(value: Encodable): Uint8Array<ArrayBuffer> {
    this.#at = this.#start;
    this.#write(value);
    return this.#pool.slice(this.#start, this.#at);
  }

  /** A view of the pool, over which nothing is written later. */
  encodePooled(value: Encodable): Uint8Array<ArrayBuffer> {
    this.#at = this.#start;
    this.#write(value);
    const bytes = this.#pool.subarray(this.#start, this.#at);
    this.#start = this.#at;
    return bytes;
  }

  #write(value: Encodable): void {
    this.#room(9);
    if (typeof value === "number") this.#number(value);
    else if (typeof value === "string") this.#text(value);
    else if (value === null) this.#pool[this.#at++] = 0xc0;
    else if (typeof value === "boolean") this.#pool[this.#at++] = value ? 0xc3 : 0xc2;
    else if (value instanceof Uint8Array) this.#bytes(value);
    else if (Array.isArray(value)) this.#array(value);
    else throw new InvariantViolation(`a value of a kind that is never sent: ${typeof value}`);
  }

  #number(value: number): void {
    if (value >= 0 && value < 0x80 && Number.isInteger(value)) this.#pool[this.#at++] = value;
    else if (value >= 0 && value < TWO_32 && Number.isInteger(value)) this.#head(value, 0xcc);
    else if (value < 0 && value >= -TWO_31 && Number.isInteger(value)) this.#negative(value);
    else {
      this.#pool[this.#at] = 0xcb;
      this.#view.setFloat64(this.#at + 1, value);
      this.#at += 9;
    }
  }

  #negative(value: number): void {
    if (value >= -0x20) this.#pool[this.#at++] = value & 0xff;
    else if (value >= -0x80) {
      this.#pool[this.#at++] = 0xd0;
      this.#pool[this.#at++] = value & 0xff;
    } else if (value >= -0x8000) {
      this.#pool[this.#at] = 0xd1;
      this.#view.setInt16(this.#at + 1, value);
      this.#at += 3;
    } else {
      this.#pool[this.#at] = 0xd2;
      this.#view.setInt32(this.#at + 1, value);
      this.#at += 5;
    }
  }

  /** A number below 2^32 behind the byte of its width: `first` for 8 bits, the two that follow for 16 and 32. */
  #head(value: number, first: number): void {
    if (value < 0x100) {
      this.#pool[this.#at++] = first;
      this.#pool[this.#at++] = value;
    } else if (value < TWO_16) {
      this.#pool[this.#at] = first + 1;
      this.#view.setUint16(this.#at + 1, value);
      this.#at += 3;
    } else {
      this.#pool[this.#at] = first + 2;
      this.#view.setUint32(this.#at + 1, value);
      this.#at += 5;
    }
  }

  #text(text: string): void {
    const { length } = text;
    if (length <= SHORT_MAX) {
      this.#room(length + 2);
      const pool = this.#pool;
      const from = this.#at + (length < 0x20 ? 1 : 2);
      let i = 0;
      for (; i < length; i++) {
        const unit = text.charCodeAt(i);
        if (unit >= 0x80) break;
        pool[from + i] = unit;
      }
      if (i === length) {
        this.#textHead(length);
        this.#at += length;
        return;
      }
    }
    const bytes = textEncoder.encode(text);
    this.#textHead(bytes.length);
    this.#raw(bytes);
  }

  #textHead(length: number): void {
    if (length < 0x20) this.#pool[this.#at++] = 0xa0 | length;
    else this.#head(length, 0xd9);
  }

  #bytes(bytes: Uint8Array): void {
    this.#head(bytes.length, 0xc4);
    this.#raw(bytes);
  }

  #raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#pool.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #array(values: readonly Encodable[]): void {
    const { length } = values;
    if (length < 0x10) this.#pool[this.#at++] = 0x90 | length;
    // There is no array of 8 bits.
    else if (length < 0x100) {
      this.#pool[this.#at] = 0xdc;
      this.#view.setUint16(this.#at + 1, length);
      this.#at += 3;
    } else this.#head(length, 0xdb);
    for (const value of values) this.#write(value);
  }

  /** Makes room for `count` bytes more: in a new pool, where the old one is at its end. */
  #room(count: number): void {
    if (this.#at + count <= this.#pool.length) return;
    const written = this.#pool.subarray(this.#start, this.#at);
    this.#pool = new Uint8Array(Math.max(POOL_BYTES, 2 * (written.length + count)));
    this.#view = new DataView(this.#pool.buffer);
    this.#pool.set(written);
    this.#start = 0;
    this.#at = written.length;
  }
}

/** Reads one value, and all of the bytes. @throws OpenClawError MALFORMED_FRAME for what no `Encoder` writes */
export class Decoder {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Values that the lists around this place still hold, each a byte at least. */
  #owed = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  whole(): Encodable {
    const value = this.#value(0);
    if (this.#at !== this.#bytes.length) throw malformed("bytes behind the value");
    return value;
  }

  #value(depth: number): Encodable {
    if (depth > DEPTH_MAX) throw malformed("nested too deeply");
    const head = this.#unsigned(1);
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    if (head >= 0xa0 && head < 0xc0) return this.#text(head & 0x1f);
    if (head >= 0x90 && head < 0xa0) return this.#array(head & 0x0f, depth);
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#take(this.#unsigned(1));
      case 0xc5:
        return this.#take(this.#unsigned(2));
      case 0xc6:
        return this.#take(this.#unsigned(4));
      case 0xcb:
        return this.#float();
      case 0xcc:
        return this.#unsigned(1);
      case 0xcd:
        return this.#unsigned(2);
      case 0xce:
        return this.#unsigned(4);
      case 0xd0:
        return (this.#unsigned(1) << 24) >> 24;
      case 0xd1:
        return (this.#unsigned(2) << 16) >> 16;
      case 0xd2:
        return this.#unsigned(4) | 0;
      case 0xd9:
        return this.#text(this.#unsigned(1));
      case 0xda:
        return this.#text(this.#unsigned(2));
      case 0xdb:
        return this.#text(this.#unsigned(4));
      case 0xdc:
        return this.#array(this.#unsigned(2), depth);
      case 0xdd:
        return this.#array(this.#unsigned(4), depth);
      default:
        throw malformed("a value of a kind that is never sent");
    }
  }

  #unsigned(width: 1 | 2 | 4): number {
    const bytes = this.#bytes;
    const at = this.#skip(width);
    const first = bytes[at] ?? 0;
    if (width === 1) return first;
    const two = first * 0x100 + (bytes[at + 1] ?? 0);
    if (width === 2) return two;
    return two * TWO_16 + (bytes[at + 2] ?? 0) * 0x100 + (bytes[at + 3] ?? 0);
  }

  #float(): number {
    const { buffer, byteOffset } = this.#take(8);
    const value = new DataView(buffer, byteOffset).getFloat64(0);
    if (!Number.isSafeInteger(value)) throw malformed("a number that is no safe integer");
    return value;
  }

  /** A view of what is decoded. */
  #take(length: number): Uint8Array {
    const from = this.#skip(length);
    return this.#bytes.subarray(from, this.#at);
  }

  /** @returns where it began */
  #skip(length: number): number {
    const from = this.#at;
    this.#at = from + length;
    if (this.#at > this.#bytes.length) throw malformed("it ends too early");
    return from;
  }

  #text(length: number): string {
    const from = this.#skip(length);
    return (
      (length <= SHORT_MAX ? asciiText(this.#bytes, from, length) : null) ??
      textDecoder.decode(this.#bytes.subarray(from, this.#at))
    );
  }

  #array(length: number, depth: number): readonly Encodable[] {
    // Each value takes a byte at least: what says that it holds more costs nothing, and lists within lists no more than one.
    if (length > this.#bytes.length - this.#at - this.#owed) throw malformed("it ends too early");
    const values = new Array<Encodable>(length);
    this.#owed += length;
    for (let i = 0; i < length; i++) {
      this.#owed--;
      values[i] = this.#value(depth + 1);
    }
    return values;
  }
}

/** Null where it is not ASCII alone. Eight at once: a text that is put together by single units is slow to compare. */
function asciiText(bytes: Uint8Array, from: number, length: number): string | null {
  let text = "";
  let at = from;
  for (const end = from + length - 8; at <= end; at += 8) {
    const a = bytes[at] ?? 0;
    const b = bytes[at + 1] ?? 0;
    const c = bytes[at + 2] ?? 0;
    const d = bytes[at + 3] ?? 0;
    const e = bytes[at + 4] ?? 0;
    const f = bytes[at + 5] ?? 0;
    const g = bytes[at + 6] ?? 0;
    const h = bytes[at + 7] ?? 0;
    if ((a | b | c | d | e | f | g | h) >= 0x80) return null;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  if (at <= from + length - 4) {
    const a = bytes[at] ?? 0;
    const b = bytes[at + 1] ?? 0;
    const c = bytes[at + 2] ?? 0;
    const d = bytes[at + 3] ?? 0;
    if ((a | b | c | d) >= 0x80) return null;
    text += String.fromCharCode(a, b, c, d);
    at += 4;
  }
  for (; at < from + length; at++) {
    const unit = bytes[at] ?? 0;
    if (unit >= 0x80) return null;
    text += String.fromCharCode(unit);
  }
  return text;
}

const malformed = (details: string): OpenClawError => new OpenClawError("MALFORMED_FRAME", details);
