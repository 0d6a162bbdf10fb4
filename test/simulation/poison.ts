/**
 * Makes every clock and every source of chance of this process throw, so that a run that is not its seed's alone fails
 * loudly. For a process that does nothing else.
 */
import { SeededRandom } from "./seeded-random.ts";

/** @returns begins the only chance that is left anew: Automerge's WebAssembly draws from Web Crypto when it is first used */
export function poison(): (seed: number) => void {
  let random = new SeededRandom(0);
  const refuse = (name: string) => (): never => {
    throw new Error(`${name} was used in a simulated world`);
  };
  const names = ["setTimeout", "setInterval", "setImmediate"] as const;
  for (const name of names) Object.defineProperty(globalThis, name, { value: refuse(name) });
  Object.defineProperty(Math, "random", { value: refuse("Math.random") });
  Object.defineProperty(globalThis.performance, "now", { value: refuse("performance.now") });
  Object.defineProperty(globalThis.crypto, "getRandomValues", {
    value: (bytes: Uint8Array): Uint8Array => {
      bytes.set(random.bytes(bytes.length));
      return bytes;
    },
  });
  Object.defineProperty(globalThis.crypto, "randomUUID", { value: refuse("randomUUID") });
  const date = refuse("Date");
  Object.defineProperty(globalThis, "Date", {
    // `instanceof Date` is no use of a clock.
    value: new Proxy(Date, {
      apply: date,
      construct: date,
      get: (target, name) => (name === "now" ? date : Reflect.get(target, name)),
    }),
  });
  return (seed) => {
    random = new SeededRandom(seed).stream("Web Crypto");
  };
}
