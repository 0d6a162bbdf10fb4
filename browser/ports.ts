/** The browser's clock, random source and turns, as core's ports. */
import type { Clock, Digest, NextTurn, Random } from "@openclaw/core/ports.ts";

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

/** A page of ours is in a secure context, where this is. */
export const browserDigest: Digest = async (bytes) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));

export const browserRandom: Random = {
  unit: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
