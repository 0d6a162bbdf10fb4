/** What a browser said, over all of its lives: its end may be explained by what it said before, or when it came again. */
import { appendFileSync, renameSync, statSync } from "node:fs";

/** Bytes of the file; as many again of the one before it are kept. */
const BYTES_MAX = 10 * 1_024 * 1_024;

export class BrowserLog {
  readonly #file: string;
  readonly #bytesMax: number;
  #bytes: number;

  constructor(file: string, bytesMax = BYTES_MAX) {
    this.#file = file;
    this.#bytesMax = bytesMax;
    this.#bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** The browser's own line. */
  line(text: string): void {
    if (this.#bytes >= this.#bytesMax) this.#rotate();
    this.#append(text);
  }

  /** Ours, of what was done to it. */
  note(text: string): void {
    this.line(`# ${new Date().toISOString()} ${text}`);
  }

  #rotate(): void {
    renameSync(this.#file, `${this.#file}.1`);
    this.#bytes = 0;
    this.#append(`# what came before is in ${this.#file}.1, and no longer here what came before that`);
  }

  /** At once: a few lines a cycle, and none of them is to be missed. */
  #append(text: string): void {
    const line = `${text.slice(0, this.#bytesMax)}\n`;
    appendFileSync(this.#file, line);
    this.#bytes += Buffer.byteLength(line);
  }
}
