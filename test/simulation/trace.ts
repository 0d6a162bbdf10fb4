/** What happened in a run, in its order: always as one hash, and as lines to read when somebody wants them. */
import type { VirtualClock } from "./virtual-clock.ts";

/** Lines that are kept: the newest. */
const LINES_MAX = 20_000;

export class Trace {
  readonly #clock: VirtualClock;
  readonly #keeps: boolean;
  #lines: string[] = [];
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;

  constructor(clock: VirtualClock, keeps: boolean) {
    this.#clock = clock;
    this.#keeps = keeps;
  }

  /** Something small that happens often: in the hash only. */
  note(what: string, number: number): void {
    this.#mixText(what);
    this.#mix(number);
    this.#mix(this.#clock.now() * 16);
  }

  /** Something that a reader of the trace wants to see. */
  tell(who: string, what: string): void {
    this.#mixText(who);
    this.#mixText(what);
    this.#mix(this.#clock.now() * 16);
    if (!this.#keeps) return;
    this.#lines.push(`${(this.#clock.now() / 1_000).toFixed(3).padStart(8)} s  ${who.padEnd(12)} ${what}`);
    if (this.#lines.length > 2 * LINES_MAX) this.#lines = this.#lines.slice(-LINES_MAX);
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-LINES_MAX);
  }

  /** Two runs with one hash took the same course. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }

  #mix(number: number): void {
    this.#low = Math.imul(this.#low ^ number, 0x01000193);
    this.#high = Math.imul((this.#high ^ this.#low) + 0x7f4a7c15, 0x85ebca6b) ^ (this.#high >>> 13);
  }
}
