/** One hash over rows in their order (D6). Equal rows give one hash, however they were cut into calls. */
import type { Sha256 } from "../ports.ts";

/** Rows are hashed in runs of about this many bytes, each with the hash of those before: one pass, little memory. */
const RUN_BYTES = 65_536;

export class RowHash {
  readonly #sha256: Sha256;
  #hash: Uint8Array;
  #run: Uint8Array[] = [];
  #bytes = 0;
  #rows = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
    this.#hash = sha256(new Uint8Array(0));
  }

  add(key: Uint8Array, value: Uint8Array): void {
    const lengths = new Uint8Array(8);
    const view = new DataView(lengths.buffer);
    view.setUint32(0, key.length);
    view.setUint32(4, value.length);
    this.#run.push(lengths, key, value);
    this.#bytes += 8 + key.length + value.length;
    this.#rows++;
    if (this.#bytes >= RUN_BYTES) this.#close();
  }

  /** After the last row. */
  end(): { readonly hash: Uint8Array; readonly rows: number } {
    this.#close();
    return { hash: new Uint8Array(this.#hash), rows: this.#rows };
  }

  #close(): void {
    const input = new Uint8Array(this.#hash.length + this.#bytes);
    input.set(this.#hash);
    let offset = this.#hash.length;
    for (const part of this.#run) {
      input.set(part, offset);
      offset += part.length;
    }
    this.#hash = this.#sha256(input);
    this.#run = [];
    this.#bytes = 0;
  }
}
