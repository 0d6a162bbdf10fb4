/** The clock and the random source of this process. */
import { randomBytes } from "node:crypto";
import type { Clock, Random } from "@openclaw/core/ports.ts";

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = {
  unit: () => randomBytes(4).readUInt32BE() / 4_294_967_296,
  bytes: (length) => new Uint8Array(randomBytes(length)),
};
