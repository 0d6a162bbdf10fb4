/** Worker processes that run seeds, one at a time each: as many as there are cores. */

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { NO_HOMES } from "./hierarchy/home-verdict.ts";
import { type RunResult, stepsOf } from "./run-seed.ts";
import type { Task } from "./worker.ts";

const WORKER = fileURLToPath(new URL("./worker.ts", import.meta.url));
const PLANT = new URL("./mutants/plant.ts", import.meta.url).href;

/** What a world makes and drops between two collections is more than V8's default of 16 MiB. */
const YOUNG = "--max-semi-space-size=32";

/** A seed that takes longer than this, ms, does not end: that is a violation, too. */
const SEED_MS_MAX = 120_000;

export interface TimedResult extends RunResult {
  readonly cpuMs: number;
}

export class WorkerPool {
  readonly size: number;
  readonly #idle: ChildProcess[] = [];
  readonly #all = new Set<ChildProcess>();

  readonly #mutant: string | null;

  /** @param mutant a planted bug of mutants/mutants.ts; null: the code as it is */
  constructor(size = availableParallelism(), mutant: string | null = null) {
    this.size = size;
    this.#mutant = mutant;
  }

  /** Runs a seed in a worker that has nothing to do; not more at a time than `size`. */
  async run(task: Task): Promise<TimedResult> {
    const worker = this.#idle.pop() ?? this.#start();
    const outcome = await ask(worker, task);
    if ("result" in outcome) {
      this.#idle.push(worker);
      return outcome.result;
    }
    // What it was doing is lost; the seed itself can be run again.
    worker.kill("SIGKILL");
    this.#all.delete(worker);
    return failed(task, outcome.died);
  }

  /** Runs tasks on every worker until there are none; results as they come. */
  async each(tasks: Iterator<Task, void>, done: (result: TimedResult, task: Task) => void): Promise<void> {
    const lane = async (): Promise<void> => {
      for (let next = tasks.next(); next.done !== true; next = tasks.next())
        done(await this.run(next.value), next.value);
    };
    await Promise.all(Array.from({ length: this.size }, lane));
  }

  stop(): void {
    for (const worker of this.#all) worker.kill("SIGKILL");
    this.#all.clear();
  }

  #start(): ChildProcess {
    const mutant = this.#mutant;
    // What a planted bug prints on its way down is of no use; what the code itself prints is.
    const planted = mutant === null ? {} : { env: { ...process.env, OPENCLAW_MUTANT: mutant } };
    const execArgv = mutant === null ? [YOUNG] : [YOUNG, "--import", PLANT];
    const stderr = mutant === null ? "inherit" : "ignore";
    const worker = fork(WORKER, [], { stdio: ["ignore", "ignore", stderr, "ipc"], execArgv, ...planted });
    this.#all.add(worker);
    return worker;
  }
}

function ask(worker: ChildProcess, task: Task): Promise<{ readonly result: TimedResult } | { readonly died: string }> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end({ died: `did not end within ${SEED_MS_MAX} ms` }), SEED_MS_MAX);
    const end = (outcome: { readonly result: TimedResult } | { readonly died: string }): void => {
      clearTimeout(timer);
      worker.off("message", answered);
      worker.off("exit", exited);
      resolve(outcome);
    };
    const answered = (message: unknown): void => end({ result: message as TimedResult });
    const exited = (code: number | null): void => end({ died: `ended its process with ${code}` });
    worker.once("message", answered);
    worker.once("exit", exited);
    worker.send(task);
  });
}

const failed = (task: Task, why: string): TimedResult => ({
  seed: task.seed,
  violations: [`the run ${why}`],
  operations: 0,
  leaderChanges: 0,
  virtualMs: 0,
  faults: {},
  requests: {},
  forks: { injected: 0, reported: 0 },
  homes: NO_HOMES,
  traceHash: "",
  steps: stepsOf(task.seed, task),
  trace: [],
  cpuMs: 0,
});
