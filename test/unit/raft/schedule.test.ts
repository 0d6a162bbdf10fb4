/** Random schedules from fixed seeds. A failure names its seed: put it into `ONCE_FAILED`. */
import { test } from "vitest";
import { Schedule } from "../../simulation/raft/schedule.ts";

const SEEDS = 300;
const ONCE_FAILED: readonly number[] = [1810847756, 4107829734, 956453525];

function play(seed: number): void {
  try {
    new Schedule(seed).run();
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

for (let from = 1; from <= SEEDS; from += 50) {
  test(`seeds ${from} to ${from + 49}: one leader a term, one history, and healed it goes on`, () => {
    for (let seed = from; seed < from + 50; seed++) play(seed);
  });
}

test.each(ONCE_FAILED)("seed %i, which once failed", play);
