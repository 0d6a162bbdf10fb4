/** One seed, from its first election to its last check. Everything in it follows from the seed and the options. */

import { FAULTS, FaultCounts, HIERARCHY_FAULTS } from "./faults.ts";
import { type HomeCounts, NO_HOMES } from "./hierarchy/home-verdict.ts";
import { type HierarchyPlan, type HierarchyStep, hierarchyPlan } from "./hierarchy/plan.ts";
import { HierarchyWorld } from "./hierarchy/world.ts";
import { Schedule } from "./raft/schedule.ts";
import { type Scenario, type Step, scenario } from "./scenario.ts";
import { Simulation } from "./simulation.ts";
import { Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** `site`: one site in detail, sometimes with a hub; `hierarchy`: sites and hubs, and what becomes of their lives. */
export type World = "site" | "hierarchy";

export interface RunOptions {
  readonly world: World;
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
  /** Of the hierarchy: lives that parted from what their hub holds while both were there, and those of them that were told. */
  readonly forks: { readonly injected: number; readonly reported: number };
  /** Of the hierarchy: of keys that have homes. */
  readonly homes: HomeCounts;
  /** Equal for two runs that took the same course. */
  readonly traceHash: string;
  /** The schedule of faults that was taken, with the steps' numbers. */
  readonly steps: readonly { readonly number: number; readonly step: Step | HierarchyStep }[];
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
  return options.world === "site" ? left(scenario(seed).steps, options) : left(hierarchyPlan(seed).steps, options);
}

const left = <S>(steps: readonly S[], options: RunOptions): readonly { readonly number: number; readonly step: S }[] =>
  steps.map((step, number) => ({ number, step })).filter(({ number }) => options.steps?.includes(number) !== false);

/** What a run of either world is asked and tells. */
interface Running {
  readonly violations: readonly string[];
  readonly operations: number;
  violation(text: string): void;
  run(): Promise<void>;
}

type Told = Pick<RunResult, "leaderChanges" | "requests" | "forks" | "homes">;

export function runSeed(seed: number, options: RunOptions): Promise<RunResult> {
  return options.world === "site" ? runSite(seed, options) : runHierarchy(seed, options);
}

async function runSite(seed: number, options: RunOptions): Promise<RunResult> {
  const whole = scenario(seed);
  const steps = left(whole.steps, options);
  const plan: Scenario = { ...whole, steps: steps.map(({ step }) => step) };
  const faults = new FaultCounts(FAULTS);
  return run(
    { seed, options, steps, faults },
    (clock, trace) => new Simulation(plan, clock, trace, faults),
    (simulation) => {
      // A schedule that is being shortened is one of the whole world's.
      if (options.steps === undefined) for (const violation of raftViolations(seed)) simulation.violation(violation);
    },
    ({ leaderChanges, requests }) => ({
      leaderChanges,
      requests,
      forks: { injected: 0, reported: 0 },
      homes: NO_HOMES,
    }),
  );
}

async function runHierarchy(seed: number, options: RunOptions): Promise<RunResult> {
  const whole = hierarchyPlan(seed);
  const steps = left(whole.steps, options);
  const plan: HierarchyPlan = { ...whole, steps: steps.map(({ step }) => step) };
  const faults = new FaultCounts(HIERARCHY_FAULTS);
  return run(
    { seed, options, steps, faults },
    (clock, trace) => new HierarchyWorld(plan, clock, trace, faults),
    () => undefined,
    ({ forks, homes }) => ({ leaderChanges: 0, requests: {}, forks: forks.counts, homes }),
  );
}

interface Asked {
  readonly seed: number;
  readonly options: RunOptions;
  readonly steps: RunResult["steps"];
  readonly faults: FaultCounts;
}

async function run<W extends Running>(
  { seed, options, steps, faults }: Asked,
  make: (clock: VirtualClock, trace: Trace) => W,
  before: (world: W) => void,
  tell: (world: W) => Told,
): Promise<RunResult> {
  const clock = new VirtualClock();
  const trace = new Trace(clock, options.trace === true);
  const world = make(clock, trace);
  // What no code waits for is thrown nowhere else.
  const unhandled = (error: unknown): void =>
    world.violation(`unhandled: ${error instanceof Error ? error.stack : String(error)}`);
  process.on("unhandledRejection", unhandled);
  before(world);
  try {
    await world.run();
  } catch (error) {
    world.violation(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
  return {
    ...{ seed, violations: world.violations, operations: world.operations, virtualMs: clock.now() },
    ...{ faults: faults.all, traceHash: trace.hash, steps, trace: trace.lines },
    ...tell(world),
  };
}
