/** LEB128, as in DWARF and WebAssembly: the numbers of Automerge's format. */
import { OpenClawError } from "../errors.ts";

const invalid = (details: string): OpenClawError => new OpenClawError("CHANGE_INVALID", details);

/** Every method @throws OpenClawError CHANGE_INVALID */
export class LebReader {
  readonly #bytes: Uint8Array;
  offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.offset = offset;
  }
  get atEnd(): boolean {
    return this.offset === this.#bytes.length;
  }
  skip(length: number): void {
    if (length > this.#bytes.length - this.offset) throw invalid("ends too early");
    this.offset += length;
  }
  take(length: number): Uint8Array {
    this.skip(length);
    return this.#bytes.subarray(this.offset - length, this.offset);
  }
  unsigned(): number {
    const { value } = this.#read();
    return value;
  }
  signed(): number {
    const { value, span, negative } = this.#read();
    return negative ? value - span : value;
  }
  /** A number whose value does not matter: up to 64 bits. */
  skipNumber(): void {
    for (let i = 0; i < 10; i++) if ((this.#byte() & 0x80) === 0) return;
    throw invalid("a number of more than 64 bits");
  }
  #byte(): number {
    const byte = this.#bytes[this.offset];
    if (byte === undefined) throw invalid("ends too early");
    this.offset++;
    return byte;
  }
  /** At most 49 bits, so that it is exact; nothing that we bound is larger. */
  #read(): { value: number; span: number; negative: boolean } {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if ((byte & 0x80) === 0) return { value, span: scale, negative: (byte & 0x40) !== 0 };
    }
    throw invalid("a count of more than 49 bits");
  }
}

export function unsignedLeb(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = (rest - low) / 128;
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}
