/** Frames between clusters: compressed where that pays, and never inflated beyond what a frame may hold. */
import { zstdCompressSync } from "node:zlib";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import { packFrame, unpackFrame } from "@openclaw/edge-runtime/network/frame-compression.ts";
import { describe, expect, test } from "vitest";

const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const random = (bytes: number): Uint8Array => {
  const filled = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(filled.subarray(at, at + 65_536));
  return filled;
};
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "ok";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
};

test("what is packed unpacks to the same bytes, in a buffer of its own", () => {
  for (const frame of [
    random(1),
    random(1_500),
    new Uint8Array(1_023),
    new Uint8Array(1_024),
    new Uint8Array(300_000),
  ]) {
    const unpacked = unpackFrame(joined(packFrame(frame)), FRAME_BYTES_MAX);
    expect(unpacked).toEqual(frame);
    expect(unpacked.buffer.byteLength).toBeLessThanOrEqual(frame.length + 1);
  }
});

test("a small frame, and one that does not get smaller, go as they are", () => {
  expect(joined(packFrame(new Uint8Array(1_000))).length).toBe(1_001);
  expect(joined(packFrame(random(100_000))).length).toBe(100_001);
  expect(joined(packFrame(new Uint8Array(100_000))).length).toBeLessThan(200);
});

describe("X1: bad input is refused with a code", () => {
  test("a bomb inflates to no more than a frame may hold", () => {
    const bomb = joined([Uint8Array.of(1), zstdCompressSync(new Uint8Array(256 * 1_048_576))]);
    expect(bomb.length).toBeLessThan(100_000);
    const before = process.memoryUsage().arrayBuffers;
    expect(codeOf(() => unpackFrame(bomb, FRAME_BYTES_MAX))).toBe("FRAME_TOO_LARGE");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * FRAME_BYTES_MAX);
  });

  test("a hello's smaller limit holds for what it inflates to", () => {
    const packed = joined(packFrame(new Uint8Array(5_000)));
    expect(codeOf(() => unpackFrame(packed, 4_999))).toBe("FRAME_TOO_LARGE");
    expect(unpackFrame(packed, 5_000).length).toBe(5_000);
  });

  test("garbage, a frame that was cut off, an unknown byte, nothing at all", () => {
    const packed = joined(packFrame(new Uint8Array(5_000)));
    const bad = [
      Uint8Array.of(),
      Uint8Array.of(2, 1, 2, 3),
      joined([Uint8Array.of(1), random(100)]),
      packed.subarray(0, packed.length - 3),
      Uint8Array.of(1),
    ];
    for (const frame of bad) expect(codeOf(() => unpackFrame(frame, FRAME_BYTES_MAX))).toBe("MALFORMED_FRAME");
  });
});
