import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import { encodeFrame, FRAME_HEAD_BYTES, FrameParser } from "@openclaw/core/sync/frame.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

/** Feeds the bytes in chunks that end at the given places. */
function parse(bytes: Uint8Array, cuts: readonly number[], parser = new FrameParser()): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let at = 0;
  for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
    parser.push(bytes.subarray(at, cut), (frame) => frames.push(frame));
    at = cut;
  }
  return frames;
}

describe("frames", () => {
  test("X1: any frames in any chunks come out as they went in", () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(payloads, fc.array(fc.nat()), (sent, places) => {
        const bytes = Buffer.concat(sent.map((payload) => encodeFrame(payload)));
        const parser = new FrameParser();
        const cuts = places.map((place) => place % (bytes.length + 1));
        expect(parse(bytes, cuts, parser).map((frame) => [...frame])).toEqual(sent.map((payload) => [...payload]));
        expect(parser.atBoundary()).toBe(true);
      }),
    );
  });

  test("the length is big-endian, and parts are put together", () => {
    expect([...encodeFrame(Uint8Array.of(7), new Uint8Array(0), Uint8Array.of(8, 9))]).toEqual([0, 0, 0, 3, 7, 8, 9]);
    const large = encodeFrame(new Uint8Array(0x010203));
    expect([...large.subarray(0, FRAME_HEAD_BYTES)]).toEqual([0, 1, 2, 3]);
  });

  test("X1: a frame over the limit is refused at its head, before a byte of it is stored", () => {
    const parser = new FrameParser(16);
    expect(() => parser.push(Uint8Array.of(0, 0, 0, 17), () => undefined)).toThrow(
      expect.objectContaining({ code: "FRAME_TOO_LARGE" }),
    );
    expect(() => new FrameParser().push(Uint8Array.of(255, 255, 255, 255), () => undefined)).toThrow(
      expect.objectContaining({ code: "FRAME_TOO_LARGE" }),
    );
    expect(() => encodeFrame(new Uint8Array(FRAME_BYTES_MAX), Uint8Array.of(1))).toThrow(
      expect.objectContaining({ code: "FRAME_TOO_LARGE" }),
    );
    expect(parse(encodeFrame(new Uint8Array(FRAME_BYTES_MAX)), [])).toHaveLength(1);
  });

  test("a frame owns its bytes: the chunk may be used again", () => {
    const chunk = Buffer.from(encodeFrame(Uint8Array.of(1, 2, 3)));
    const [frame] = parse(chunk, []);
    chunk.fill(0);
    expect(frame).toEqual(Uint8Array.of(1, 2, 3));
    expect(frame?.buffer.byteLength).toBe(3);
  });

  test("an open frame is no boundary", () => {
    for (const length of [1, 3, 4, 5]) {
      const parser = new FrameParser();
      parse(encodeFrame(Uint8Array.of(1, 2)).subarray(0, length), [], parser);
      expect(parser.atBoundary()).toBe(false);
    }
  });
});
