/**
 * How a frame between two clusters is written: one byte that says how, then the frame as it is or compressed by Zstandard
 * (RFC 8878), each frame by itself. What comes is not inflated beyond what a frame may hold, whatever it claims (X1).
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";

const AS_IT_IS = Uint8Array.of(0);
const COMPRESSED = Uint8Array.of(1);

/** A smaller frame gains less than its compression costs: an event alone, an acknowledgement. */
const COMPRESS_BYTES_MIN = 1_024;
/** The fastest but one: an uplink's thread is the node's main thread. */
const LEVEL = 1;
/** log2 of how far a decoder has to look back: it reserves as much before it has read anything. A frame's own size is enough. */
const WINDOW_LOG_MAX = Math.log2(FRAME_BYTES_MAX);

/** Bytes that are inflated at a time. */
const CHUNK_BYTES = 65_536;

const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } };

/** What is sent for a frame, in parts. */
export function packFrame(frame: Uint8Array): readonly [Uint8Array, Uint8Array] {
  if (frame.length >= COMPRESS_BYTES_MIN) {
    const smaller = zstdCompressSync(frame, { ...COMPRESSION, chunkSize: frame.length });
    if (smaller.length < frame.length) return [COMPRESSED, smaller];
  }
  return [AS_IT_IS, frame];
}

/**
 * The frame that was packed, at most `limitBytes`.
 * @throws OpenClawError FRAME_TOO_LARGE, MALFORMED_FRAME
 */
export function unpackFrame(packed: Uint8Array, limitBytes: number): Uint8Array {
  const body = packed.subarray(1);
  switch (packed[0]) {
    case 0:
      return body;
    case 1:
      return inflated(body, limitBytes);
    default:
      throw new OpenClawError("MALFORMED_FRAME", "a frame of unknown compression");
  }
}

function inflated(body: Uint8Array, limitBytes: number): Uint8Array {
  try {
    const inflated = zstdDecompressSync(body, {
      chunkSize: CHUNK_BYTES,
      maxOutputLength: limitBytes,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
    // A buffer of its own, as every frame has: what is decoded from it is kept (core/sync/frame.ts).
    return new Uint8Array(inflated);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE")
      throw new OpenClawError("FRAME_TOO_LARGE", `a frame that inflates beyond ${limitBytes} bytes`, { cause: error });
    throw new OpenClawError("MALFORMED_FRAME", "a frame that does not inflate", { cause: error });
  }
}
