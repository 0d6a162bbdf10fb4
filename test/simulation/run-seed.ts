/** One seed, from its first election to its last check. Everything in it follows from the seed and the options. */

import { FaultCounts } from "./faults.ts";
import { Schedule } from "./raft/schedule.ts";
import { type Step, scenario } from "./scenario.ts";
import { Simulation } from "./simulation.ts";
import { Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface RunOptions {
  /** Numbers of the scenario's steps that are taken; all of them unless given. */
  readonly steps?: readonly number[];
  /** Keeps lines to read. */
  readonly trace?: boolean;
}

export interface RunResult {
  readonly seed: number;
  /** What is wrong; empty for a run of code that keeps its promises. */
  readonly violations: readonly string[];
  /** Calls of clients that were answered. */
  readonly operations: number;
  /** At the site; the first election is none. */
  readonly leaderChanges: number;
  readonly virtualMs: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Of keys and leases at the site, by kind and by refusal. */
  readonly requests: Readonly<Record<string, number>>;
  /** Equal for two runs that took the same course. */
  readonly traceHash: string;
  /** The schedule of faults that was taken, with the steps' numbers. */
  readonly steps: readonly { readonly number: number; readonly step: Step }[];
  /** Empty unless asked for. */
  readonly trace: readonly string[];
}

/** Schedules of bare Raft groups in each seed: a thousand times as many interleavings for a tenth of the time. */
const RAFT_SCHEDULES = 20;

/** Runs them; at the first that breaks a promise, says which. */
function raftViolations(seed: number): readonly string[] {
  for (let at = 0; at < RAFT_SCHEDULES; at++) {
    // Mixed, so that seeds that follow each other share no schedule.
    const own = (Math.imul(seed, 0x9e3779b1) + at) >>> 0;
    try {
      new Schedule(own).run();
    } catch (error) {
      return [`raft schedule ${own}: ${error instanceof Error ? error.message : String(error)}`];
    }
  }
  return [];
}

/** The steps of a seed that the options leave. */
export function stepsOf(seed: number, options: RunOptions): RunResult["steps"] {
  const numbered = scenario(seed).steps.map((step, number) => ({ number, step }));
  return numbered.filter(({ number }) => options.steps?.includes(number) !== false);
}

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const whole = scenario(seed);
  const steps = stepsOf(seed, options);
  const clock = new VirtualClock();
  const trace = new Trace(clock, options.trace === true);
  const faults = new FaultCounts();
  const simulation = new Simulation({ ...whole, steps: steps.map(({ step }) => step) }, clock, trace, faults);
  // What no code waits for is thrown nowhere else.
  const unhandled = (error: unknown): void =>
    simulation.violation(`unhandled: ${error instanceof Error ? error.stack : String(error)}`);
  process.on("unhandledRejection", unhandled);
  // A schedule that is being shortened is one of the whole world's.
  if (options.steps === undefined) for (const violation of raftViolations(seed)) simulation.violation(violation);
  try {
    await simulation.run();
  } catch (error) {
    simulation.violation(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
  return {
    seed,
    violations: simulation.violations,
    operations: simulation.operations,
    leaderChanges: simulation.leaderChanges,
    virtualMs: clock.now(),
    faults: faults.all,
    requests: simulation.requests,
    traceHash: trace.hash,
    steps,
    trace: trace.lines,
  };
}
