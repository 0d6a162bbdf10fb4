/** Randomness from one seed (sfc32), so that a failing run can be run again. Its parts draw from streams of their own. */
import type { Random } from "@openclaw/core/ports.ts";

export class SeededRandom implements Random {
  readonly #seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#seed = seed;
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let i = 0; i < 12; i++) this.#next();
  }

  unit(): number {
    return (this.#next() >>> 0) / 4_294_967_296;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const drawn = this.#next();
      for (let i = 0; i < 4 && at + i < length; i++) bytes[at + i] = drawn >>> (8 * i);
    }
    return bytes;
  }

  /** Another stream from the same seed: what one part of a world draws does not change what another one does. */
  stream(name: string): SeededRandom {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    const stream = new SeededRandom(this.#seed);
    stream.#c = stream.#c ^ hash;
    for (let i = 0; i < 12; i++) stream.#next();
    return stream;
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** A whole number, `from` ≤ n < `to`. */
  below(to: number, from = 0): number {
    return from + Math.floor(this.unit() * (to - from));
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error("nothing to pick from");
    return choice;
  }

  /** One of several, as often as its weight says. */
  weighted<T>(choices: readonly (readonly [T, number])[]): T {
    let at = this.unit() * choices.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [choice, weight] of choices) {
      at -= weight;
      if (at < 0) return choice;
    }
    throw new Error("nothing to pick from");
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum;
  }
}
