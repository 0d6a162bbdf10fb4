/** Tells a watcher how far it is when nothing matched: at once at first, then at most once in PROGRESS_MS. */
import type { EventStream } from "./event-stream.ts";

const PROGRESS_MS = 1_000;

export class WatchProgress {
  readonly #stream: EventStream;
  readonly #idOf: (reached: number) => string;
  #told: number;
  #reached: number;
  #pause: NodeJS.Timeout | null = null;

  /** @param told what the watcher knows of already. @param idOf what names a revision that was sent whole */
  constructor(stream: EventStream, told: number, idOf: (reached: number) => string = String) {
    this.#idOf = idOf;
    this.#stream = stream;
    this.#told = told;
    this.#reached = told;
  }

  /** An event says as much. */
  told(at: number): void {
    this.#told = at;
  }

  /** Everything up to `reached` was sent. */
  tell(reached: number): void {
    this.#reached = reached;
    if (this.#reached <= this.#told || this.#pause !== null) return;
    this.tellNow(reached);
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.tell(this.#reached);
    }, PROGRESS_MS);
  }

  /** Because the watcher asked. */
  tellNow(reached: number): void {
    this.#told = reached;
    const id = this.#idOf(reached);
    // A reader that takes nothing fails the next send of events; progress alone never fills its buffer.
    void this.#stream.send([{ event: "progress", id, data: { revision: reached } }]).catch(() => {});
  }

  stop(): void {
    if (this.#pause !== null) clearTimeout(this.#pause);
  }
}
