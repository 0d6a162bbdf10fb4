/** Appends on their way to one follower: a ring of the last index and the size of each, bounded in number and bytes. */
import { invariant } from "../errors.ts";
import { type Index, index } from "../ids.ts";

export class Inflights {
  readonly #max: number;
  readonly #bytesMax: number;
  readonly #ends: Index[] = [];
  readonly #sizes: number[] = [];
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(max: number, bytesMax: number) {
    this.#max = max;
    this.#bytesMax = bytesMax;
  }

  get full(): boolean {
    return this.#count >= this.#max || this.#bytes >= this.#bytesMax;
  }
  get count(): number {
    return this.#count;
  }

  add(end: Index, bytes: number): void {
    invariant(!this.full, "an append beyond the window");
    const at = (this.#start + this.#count) % this.#max;
    this.#ends[at] = end;
    this.#sizes[at] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Everything up to `match` has arrived. */
  freeUpTo(match: Index): void {
    while (this.#count > 0 && (this.#ends[this.#start] ?? index(0)) <= match) {
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#start = (this.#start + 1) % this.#max;
      this.#count--;
    }
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }
}
