/**
 * Makes every clock and every source of chance of this process throw, so that a run that is not its seed's alone fails
 * loudly. For a process that does nothing else.
 */

export function poison(): void {
  const refuse = (name: string) => (): never => {
    throw new Error(`${name} was used in a simulated world`);
  };
  const names = ["setTimeout", "setInterval", "setImmediate"] as const;
  for (const name of names) Object.defineProperty(globalThis, name, { value: refuse(name) });
  Object.defineProperty(Math, "random", { value: refuse("Math.random") });
  Object.defineProperty(globalThis.performance, "now", { value: refuse("performance.now") });
  Object.defineProperty(globalThis.crypto, "getRandomValues", { value: refuse("getRandomValues") });
  Object.defineProperty(globalThis.crypto, "randomUUID", { value: refuse("randomUUID") });
  const date = refuse("Date");
  Object.defineProperty(globalThis, "Date", {
    value: new Proxy(Date, { apply: date, construct: date, get: (_, name) => (name === "now" ? date : undefined) }),
  });
}
