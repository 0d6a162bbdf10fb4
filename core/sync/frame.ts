/**
 * Frames on a byte stream: a 4-byte big-endian length, then that many bytes. Every protocol of ours is made of them,
 * whatever carries the bytes, because a stream delivers chunks and not messages.
 */
import { OpenClawError } from "../errors.ts";
import { FRAME_BYTES_MAX } from "../limits.ts";

/** Bytes before the payload. */
export const FRAME_HEAD_BYTES = 4;

/** One frame that holds the parts one after the other: the only copy on the way out. @throws OpenClawError FRAME_TOO_LARGE */
export function encodeFrame(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > FRAME_BYTES_MAX) throw new OpenClawError("FRAME_TOO_LARGE", `${length} of ${FRAME_BYTES_MAX} bytes`);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + length);
  frame[0] = length >>> 24;
  frame[1] = length >>> 16;
  frame[2] = length >>> 8;
  frame[3] = length;
  let offset = FRAME_HEAD_BYTES;
  for (const part of parts) {
    frame.set(part, offset);
    offset += part.length;
  }
  return frame;
}

/**
 * Cuts a stream of chunks into frames. Invariant: `filled` < the length of `frame` while a frame is open.
 *
 * Each frame is copied once, into a buffer of its own: what is decoded from it may be kept and transferred without
 * pinning the socket's buffers. The buffer is taken when the length is known, so `limitBytes` bounds what a peer can
 * make us reserve; keep it small until the peer has shown who it is.
 */
export class FrameParser {
  /** Bytes of a payload that are accepted from now on. */
  limitBytes: number;
  #head = 0;
  #headBytes = 0;
  #frame: Uint8Array | null = null;
  #filled = 0;

  constructor(limitBytes: number = FRAME_BYTES_MAX) {
    this.limitBytes = limitBytes;
  }

  /**
   * Takes the next bytes and delivers every frame that they complete, in order. After it has thrown, the stream is out
   * of step and must be closed. @throws OpenClawError FRAME_TOO_LARGE, and whatever `deliver` throws
   */
  push(chunk: Uint8Array, deliver: (payload: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame === null) {
        this.#head = this.#head * 256 + (chunk[at++] ?? 0);
        this.#headBytes++;
        if (this.#headBytes < FRAME_HEAD_BYTES) continue;
        if (this.#head > this.limitBytes) {
          throw new OpenClawError("FRAME_TOO_LARGE", `${this.#head} of ${this.limitBytes} bytes`);
        }
        this.#frame = new Uint8Array(this.#head);
        this.#filled = 0;
        this.#head = 0;
        this.#headBytes = 0;
      }
      const frame = this.#frame;
      const part = chunk.subarray(at, at + frame.length - this.#filled);
      frame.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === frame.length) {
        this.#frame = null;
        deliver(frame);
      }
    }
  }

  /** True when the stream may end here: no frame is open. */
  atBoundary(): boolean {
    return this.#frame === null && this.#headBytes === 0;
  }
}
