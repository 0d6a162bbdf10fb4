/** Makes a failing schedule shorter while it still fails: drops halves, then quarters, … then single steps (Zeller's ddmin). */
import type { World } from "./run-seed.ts";
import type { TimedResult, WorkerPool } from "./worker-pool.ts";

/** The shortest failing run that was found within `ms`: at most the one given. */
export async function shrink(pool: WorkerPool, world: World, failing: TimedResult, ms: number): Promise<TimedResult> {
  const until = performance.now() + ms;
  let best = failing;
  for (let parts = 2; ; ) {
    const numbers = best.steps.map(({ number }) => number);
    if (numbers.length === 0) return best;
    const size = Math.ceil(numbers.length / parts);
    let shorter: TimedResult | null = null;
    const tasks = (function* () {
      for (let at = 0; at < numbers.length && shorter === null && performance.now() < until; at += size) {
        yield { seed: failing.seed, world, steps: [...numbers.slice(0, at), ...numbers.slice(at + size)] };
      }
    })();
    await pool.each(tasks, (result) => {
      if (result.violations.length > 0 && (shorter === null || result.steps.length < shorter.steps.length))
        shorter = result;
    });
    if (performance.now() >= until) return shorter ?? best;
    if (shorter !== null) best = shorter;
    else if (size === 1) return best;
    parts = shorter === null ? Math.min(2 * parts, numbers.length) : Math.max(2, parts - 1);
  }
}
