/**
 * The configurations that the search has been to, in typed arrays outside of the JavaScript heap, so that the memory they
 * take is known exactly.
 *
 * A configuration is a key (position, state, which open steps have taken effect) and a set of used steps of unknown
 * outcome. One that has used fewer of them can do all that one with the same key can that has used those and more; so
 * what is covered by an earlier configuration need not be looked at (the earlier one has failed or is being looked at).
 */

const CHUNK_ENTRIES = 1 << 12;
const CHUNK_SHIFT = 12;
const WORD_BYTES = 4;

export type Visit = "new" | "covered" | "full";

export class Visited {
  /** Per entry: the next entry of its bucket, the words of the key, the words of the set. */
  readonly #chunks: Int32Array[] = [];
  readonly #width: number;
  readonly #keyWords: number;
  readonly #bytesMax: number;
  #buckets: Int32Array = new Int32Array(1 << 10).fill(-1);
  #count = 0;

  constructor(keyWords: number, setWords: number, bytesMax: number) {
    this.#keyWords = keyWords;
    this.#width = 1 + keyWords + setWords;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#chunkBytes * this.#chunks.length + this.#buckets.byteLength;
  }

  /** @param probe the words of the key, then those of the set; "full" if there is no memory for it */
  visit(probe: Int32Array): Visit {
    const hash = this.#hash(probe, 0);
    for (let entry = this.#buckets[hash] ?? -1; entry >= 0; ) {
      const chunk = this.#chunk(entry);
      const start = (entry & (CHUNK_ENTRIES - 1)) * this.#width;
      if (this.#covers(chunk, start + 1, probe)) return "covered";
      entry = chunk[start] ?? -1;
    }
    if (this.#count >= this.#buckets.length && !this.#grow()) return "full";
    return this.#add(probe);
  }

  get #chunkBytes(): number {
    return CHUNK_ENTRIES * this.#width * WORD_BYTES;
  }

  #add(probe: Int32Array): Visit {
    if (this.#count === this.#chunks.length * CHUNK_ENTRIES) {
      if (this.bytes + this.#chunkBytes > this.#bytesMax) return "full";
      this.#chunks.push(new Int32Array(CHUNK_ENTRIES * this.#width));
    }
    const entry = this.#count++;
    const hash = this.#hash(probe, 0);
    const chunk = this.#chunk(entry);
    const start = (entry & (CHUNK_ENTRIES - 1)) * this.#width;
    chunk.set(probe, start + 1);
    chunk[start] = this.#buckets[hash] ?? -1;
    this.#buckets[hash] = entry;
    return "new";
  }

  #chunk(entry: number): Int32Array {
    return this.#chunks[entry >>> CHUNK_SHIFT] ?? NONE;
  }

  /** Whether the stored configuration has the probe's key and has used nothing that the probe has not. */
  #covers(chunk: Int32Array, start: number, probe: Int32Array): boolean {
    for (let i = 0; i < this.#keyWords; i++) if (chunk[start + i] !== probe[i]) return false;
    for (let i = this.#keyWords; i < probe.length; i++) {
      if (((chunk[start + i] ?? 0) & ~(probe[i] ?? 0)) !== 0) return false;
    }
    return true;
  }

  #hash(words: Int32Array, start: number): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.#keyWords; i++) {
      hash = Math.imul(hash ^ (words[start + i] ?? 0), 0x01000193);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0x85ebca6b);
    return (hash ^ (hash >>> 13)) & (this.#buckets.length - 1);
  }

  /** Twice the buckets; false if there is no memory for them beside the old ones. */
  #grow(): boolean {
    const length = this.#buckets.length * 2;
    if (this.bytes + length * WORD_BYTES > this.#bytesMax) return false;
    this.#buckets = new Int32Array(length).fill(-1);
    for (let entry = 0; entry < this.#count; entry++) {
      const chunk = this.#chunk(entry);
      const start = (entry & (CHUNK_ENTRIES - 1)) * this.#width;
      const hash = this.#hash(chunk, start + 1);
      chunk[start] = this.#buckets[hash] ?? -1;
      this.#buckets[hash] = entry;
    }
    return true;
  }
}

const NONE = new Int32Array(0);
