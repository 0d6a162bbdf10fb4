/**
 * Frames on a libp2p 3 stream. Four traps of @libp2p/utils 7 and @libp2p/yamux 8 that this file answers:
 *
 * - `onDrain()` keeps its first promise: from the second call on it resolves at once. We listen for `drain`.
 * - `drain` only says "try again": the write buffer goes out in the microtask after it, and may fill the window again.
 *   So we look at `writableNeedsDrain` one microtask later.
 * - `pause()` inside a `message` event that `resume()` emits is undone by that `resume()`: windows keep opening while
 *   nothing is read, until the read buffer overflows. We pause after `resume()` has returned.
 * - With no listener attached and no pause, windows keep opening as well. We pause from the first moment.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import { encodeFrame, FrameParser } from "@openclaw/core/sync/frame.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { STREAM_CLOSE_MS, STREAM_READ_BYTES_MAX, STREAM_WRITE_BYTES_MAX } from "./limits.ts";

export interface FrameHandlers {
  /** An OpenClawError thrown here ends the stream (see `lastWord`); any other error is a bug and stops the node. */
  message(payload: Uint8Array): void;
  /** Called after a `send` that returned false. */
  drained(): void;
  /** Called once, last. Null when both sides were done. */
  closed(reason: Error | null): void;
  /** A frame that tells the peer why, before the stream is closed. Without it the stream is reset. */
  lastWord?(error: OpenClawError): Uint8Array;
}

export class FrameStream implements FrameConnection<Uint8Array, Uint8Array> {
  readonly #stream: Stream;
  readonly #parser: FrameParser;
  #handlers: FrameHandlers | null = null;
  /** Frames of the chunk in hand that came after `detach`: at most one receive window. */
  #held: Uint8Array[] = [];
  #phase: "open" | "closing" | "closed" = "open";
  #reason: Error | null = null;
  #reported = false;
  #blocked = false;
  #paused = true;
  #resuming = false;
  #closeTimer: NodeJS.Timeout | null = null;

  /** @param frameBytesMax what a frame may hold until `admit` */
  constructor(stream: Stream, frameBytesMax: number = FRAME_BYTES_MAX) {
    this.#stream = stream;
    this.#parser = new FrameParser(frameBytesMax);
    stream.maxReadBufferLength = STREAM_READ_BYTES_MAX;
    stream.addEventListener("message", this.#onMessage);
    stream.addEventListener("drain", this.#onDrain);
    stream.addEventListener("end", this.#onEnd);
    stream.addEventListener("close", this.#onClose);
    if (stream.status !== "open") this.#finish(new OpenClawError("UNAVAILABLE", `the stream is ${stream.status}`));
    else if (stream.readableEnded) this.#onEnd();
    else stream.pause();
  }

  /** From now on frames may have any size that the protocol allows. */
  admit(): void {
    this.#parser.limitBytes = FRAME_BYTES_MAX;
  }

  /**
   * Sends the parts as one frame; the bytes must not change afterwards. False when the peer does not read: wait for
   * `drained`. Who goes on nevertheless finds the stream closed with OVERLOADED at `STREAM_WRITE_BYTES_MAX`. On a
   * closed stream it does nothing and returns false. @throws OpenClawError FRAME_TOO_LARGE
   */
  send(...parts: readonly Uint8Array[]): boolean {
    const frame = encodeFrame(...parts);
    if (this.#phase !== "open") return false;
    if (this.#stream.writeBufferLength > STREAM_WRITE_BYTES_MAX) {
      this.abort(new OpenClawError("OVERLOADED", "the peer does not read what it is sent"));
      return false;
    }
    try {
      this.#stream.send(frame);
    } catch (error) {
      this.abort(asError(error));
      return false;
    }
    this.#blocked = this.#stream.writableNeedsDrain;
    return !this.#blocked;
  }

  /** Who is told from now on; it may be called again to hand the stream over. */
  receive(handlers: FrameHandlers): void {
    this.#handlers = handlers;
    const held = this.#held;
    this.#held = [];
    for (const payload of held) this.#guarded(() => this.#deliver(payload));
    if (this.#phase === "closed") this.#report();
    else this.resume();
  }

  /** Nobody is told until the next `receive`; what comes meanwhile waits, and the peer with it. */
  detach(): void {
    this.#handlers = null;
    this.pause();
  }

  /** Stops reading. Frames of the chunk in hand, at most one receive window, still come. */
  pause(): void {
    if (this.#paused || this.#phase !== "open") return;
    this.#paused = true;
    if (!this.#resuming && this.#readable()) this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#resuming || !this.#readable()) return;
    this.#resuming = true;
    try {
      this.#stream.resume();
    } finally {
      this.#resuming = false;
    }
    if (this.#paused && this.#readable()) this.#stream.pause();
  }

  /** Sends what waits, then closes; nothing is delivered any more. `reason` goes to `closed`. */
  close(reason: Error | null = null): void {
    if (this.#phase !== "open") return;
    this.#phase = "closing";
    this.#reason = reason;
    this.#closeTimer = setTimeout(() => {
      this.#stream.abort(new OpenClawError("UNAVAILABLE", "the peer did not close its side"));
    }, STREAM_CLOSE_MS);
    this.#closeTimer.unref();
    // A paused stream would never see the peer's end: what it still sends is read and thrown away.
    this.resume();
    this.#stream.close().catch((error: unknown) => this.#finish(asError(error)));
  }

  /** Drops everything and resets the stream. */
  abort(reason: Error): void {
    if (this.#phase === "closed") return;
    this.#reason ??= reason;
    this.#stream.abort(reason);
    this.#finish(reason);
  }

  #readable(): boolean {
    return this.#stream.readStatus === "readable" || this.#stream.readStatus === "paused";
  }

  #onMessage = (event: StreamMessageEvent): void => {
    if (this.#phase !== "open") return;
    const data = event.data;
    this.#guarded(() => {
      if (data instanceof Uint8Array) this.#parser.push(data, this.#deliver);
      else for (const part of data) this.#parser.push(part, this.#deliver);
    });
  };

  #deliver = (payload: Uint8Array): void => {
    if (this.#phase !== "open") return;
    if (this.#handlers === null) this.#held.push(payload);
    else this.#handlers.message(payload);
  };

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof OpenClawError)) {
        this.abort(asError(error));
        throw error;
      }
      const lastWord = this.#handlers?.lastWord?.(error);
      if (lastWord === undefined) {
        this.abort(error);
      } else {
        this.send(lastWord);
        this.close(error);
      }
    }
  }

  #onDrain = (): void => {
    queueMicrotask(() => {
      if (!this.#blocked || this.#phase !== "open" || this.#stream.writableNeedsDrain) return;
      this.#blocked = false;
      this.#handlers?.drained();
    });
  };

  /** The peer has sent its last byte and we have read it. */
  #onEnd = (): void => {
    // An abort or a reset dispatches "end" too, and then "close" with its error.
    if (this.#stream.status !== "open" && this.#stream.status !== "closing") return;
    if (this.#phase !== "open") return;
    if (!this.#parser.atBoundary()) this.abort(new OpenClawError("MALFORMED_FRAME", "the stream ended inside a frame"));
    else this.close();
  };

  #onClose = (event: StreamCloseEvent): void => {
    this.#finish(event.error ?? null);
  };

  #finish(reason: Error | null): void {
    if (this.#phase === "closed") return;
    // What happens after we chose to close is not the reason for it.
    if (this.#phase === "open") this.#reason ??= reason;
    this.#phase = "closed";
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer);
    this.#report();
  }

  #report(): void {
    if (this.#handlers === null || this.#reported) return;
    this.#reported = true;
    this.#handlers.closed(this.#reason);
  }
}

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
