/** Between a snapshot's stream and the disk that it goes to: bounded, and impatient with a sender that falls silent. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { FrameStream } from "./frame.ts";
import { SNAPSHOT_STALL_MS, SNAPSHOT_WAITING_BYTES_MAX } from "./limits.ts";

/** Pauses the stream above `SNAPSHOT_WAITING_BYTES_MAX`. */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #frames: FrameStream;
  readonly #clock: Clock;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #state: "open" | "ended" | "failed" = "open";
  #error: Error | null = null;
  #wake: () => void = () => undefined;
  #cancelStall: () => void = () => undefined;

  constructor(frames: FrameStream, clock: Clock) {
    this.#frames = frames;
    this.#clock = clock;
    this.#watch();
  }

  /** The sender waits for us to say where it shall begin. */
  hold(): void {
    this.#cancelStall();
  }

  /** The sender was told to begin: from now on it may not fall silent. */
  expect(): void {
    if (this.#state === "open") this.#watch();
  }

  push(chunk: Uint8Array): void {
    if (this.#state !== "open") throw new OpenClawError("MALFORMED_FRAME", "a chunk after the end");
    this.#waiting.push(chunk);
    this.#bytes += chunk.length;
    this.#watch();
    if (this.#bytes > SNAPSHOT_WAITING_BYTES_MAX) {
      this.#cancelStall();
      this.#frames.pause();
    }
    this.#wake();
  }

  end(): void {
    if (this.#state !== "open") throw new OpenClawError("MALFORMED_FRAME", "a second end");
    this.#cancelStall();
    this.#state = "ended";
    this.#wake();
  }

  fail(error: Error): void {
    this.#cancelStall();
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#error = error;
    this.#waiting = [];
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        yield chunk;
        // Not before it has been written: what is in the consumer's hands counts as waiting.
        this.#taken(chunk.length);
      } else if (this.#state === "ended") {
        return;
      } else if (this.#error !== null) {
        throw this.#error;
      } else {
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        await woken.promise;
      }
    }
  }

  #taken(bytes: number): void {
    const wasFull = this.#bytes > SNAPSHOT_WAITING_BYTES_MAX;
    this.#bytes -= bytes;
    if (!wasFull || this.#bytes > SNAPSHOT_WAITING_BYTES_MAX || this.#state !== "open") return;
    this.#watch();
    this.#frames.resume();
  }

  /** A sender that says nothing for too long is given up; not while it is we who keep it waiting. */
  #watch(): void {
    this.#cancelStall();
    this.#cancelStall = this.#clock.after(SNAPSHOT_STALL_MS, () => {
      this.#frames.abort(new OpenClawError("UNAVAILABLE", "the snapshot's sender went silent"));
    });
  }
}
