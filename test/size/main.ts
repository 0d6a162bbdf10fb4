/** `npm run size`: what an app loads, beside the limits. The exit code is 1 when one is missed. */
import { LIMITS, weigh } from "./weigh.ts";

/** Packages that are printed. */
const PACKAGES_MAX = 15;

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const kb = (size: number): string => size.toFixed(1).padStart(8);

const { files, first, all, packages } = await weigh();
say("KB, gzipped, of docs/first-app.md built by Vite\n");
for (const { name, gz, when } of files) say(`${kb(gz)}  ${when.padEnd(5)}  ${name}`);
say("\nheaviest packages, module by module, unminified");
for (const [name, gz] of packages.slice(0, PACKAGES_MAX)) say(`${kb(gz)}  ${name}`);
say("");
const missed = [
  { what: "loaded before the first document opens", size: first, limit: LIMITS.first },
  { what: "everything without WebAssembly", size: all, limit: LIMITS.all },
].filter(({ what, size, limit }) => {
  const verdict = size <= limit ? "ok" : `${(size - limit).toFixed(1)} too many`;
  say(`${kb(size)}  of ${String(limit).padStart(3)}  ${what}: ${verdict}`);
  return size > limit;
});
process.exitCode = missed.length === 0 ? 0 : 1;
