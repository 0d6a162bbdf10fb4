/**
 * Runs seeds in a process of their own: those named as arguments, or those that a parent process deals out by messages.
 * One line of JSON a seed, or one message. Whatever was changed in the code before it was loaded is what runs.
 */
import { poison } from "./poison.ts";
import { type RunOptions, runSeed } from "./run-seed.ts";

export interface Task extends RunOptions {
  readonly seed: number;
}

function isTask(value: unknown): value is Task {
  return typeof value === "object" && value !== null && "seed" in value && typeof value.seed === "number";
}

const reseed = poison();

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

async function timed({ seed, ...options }: Task): Promise<object> {
  const before = cpuMs();
  reseed(seed);
  const result = await runSeed(seed, options);
  return { ...result, cpuMs: cpuMs() - before };
}

const seeds = process.argv.slice(2).map(Number);
for (const seed of seeds) process.stdout.write(`${JSON.stringify(await timed({ seed, world: "site" }))}\n`);
if (seeds.length === 0) {
  process.on("message", (message) => {
    if (!isTask(message)) throw new Error("a task names a seed");
    void timed(message).then((result) => process.send?.(result));
  });
  process.on("disconnect", () => process.exit());
}
