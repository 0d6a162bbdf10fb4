/** The clock, the random source and the turns of this process. */
import { randomBytes } from "node:crypto";
import type { Clock, NextTurn, Random } from "@openclaw/core/ports.ts";

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export const systemTurn: NextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Drawn ahead, since a draw costs some 20 µs however short it is, and every command takes a salt. */
const DRAWN_BYTES = 4_096;
let drawn = randomBytes(DRAWN_BYTES);
let used = 0;

function draw(length: number): Uint8Array {
  if (length > DRAWN_BYTES) return new Uint8Array(randomBytes(length));
  if (used + length > DRAWN_BYTES) {
    drawn = randomBytes(DRAWN_BYTES);
    used = 0;
  }
  const taken = drawn.subarray(used, used + length);
  const bytes = new Uint8Array(taken);
  // What was given away is nobody else's to read.
  taken.fill(0);
  used += length;
  return bytes;
}

export const systemRandom: Random = {
  unit: () => new DataView(draw(4).buffer).getUint32(0) / 4_294_967_296,
  bytes: draw,
};
