/** The browser's clock, random source and turns, as core's ports. */
import type { Clock, NextTurn, Random } from "@openclaw/core/ports.ts";

export const browserClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** A message to oneself: a timer would wait for 4 ms, and in a page that nobody sees for a second. */
export const browserTurn: NextTurn = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

export const browserRandom: Random = {
  unit: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
