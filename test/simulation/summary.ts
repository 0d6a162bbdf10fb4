/** What many seeds came to. */
import { FAULTS, HIERARCHY_FAULTS } from "./faults.ts";
import { NO_HOMES } from "./hierarchy/home-verdict.ts";
import type { World } from "./run-seed.ts";
import type { TimedResult } from "./worker-pool.ts";

const HOUR_MS = 3_600_000;

export class Summary {
  readonly #first: number;
  readonly #began = performance.now();
  readonly #leaderChanges: number[] = [];
  readonly #cpuMs: number[] = [];
  readonly #world: World;
  readonly #faults: Map<string, number>;
  readonly #forks = { injected: 0, reported: 0 };
  readonly #homes = new Map(Object.entries(NO_HOMES));
  #operations = 0;
  #virtualMs = 0;
  #failed = 0;

  constructor(first: number, world: World) {
    this.#first = first;
    this.#world = world;
    this.#faults = new Map((world === "site" ? FAULTS : HIERARCHY_FAULTS).map((fault) => [fault, 0]));
  }

  get seeds(): number {
    return this.#leaderChanges.length;
  }

  /** Seeds in which something was wrong. */
  get violations(): number {
    return this.#failed;
  }

  /** Of the hierarchy: how often something was done to it. */
  get cycles(): number {
    return [...this.#faults.values()].reduce((sum, count) => sum + count, 0);
  }

  add({ violations, operations, leaderChanges, virtualMs, faults, forks, homes, cpuMs }: TimedResult): void {
    if (violations.length > 0) this.#failed++;
    this.#operations += operations;
    this.#virtualMs += virtualMs;
    this.#leaderChanges.push(leaderChanges);
    this.#cpuMs.push(cpuMs);
    this.#forks.injected += forks.injected;
    this.#forks.reported += forks.reported;
    for (const [what, count] of Object.entries(homes)) this.#homes.set(what, (this.#homes.get(what) ?? 0) + count);
    for (const [fault, count] of Object.entries(faults))
      this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + count);
  }

  json(): object {
    const simulatedHours = this.#virtualMs / HOUR_MS;
    return {
      firstSeed: this.#first,
      seeds: this.seeds,
      violations: this.#failed,
      operations: this.#operations,
      ...(this.#world === "site"
        ? { leaderChanges: median(this.#leaderChanges) }
        : { cycles: this.cycles, forks: this.#forks, homes: Object.fromEntries(this.#homes) }),
      simulatedHours: rounded(simulatedHours),
      simulatedHoursPerSecond: rounded(simulatedHours / ((performance.now() - this.#began) / 1_000)),
      faults: Object.fromEntries(this.#faults),
    };
  }

  lines(): readonly string[] {
    return [
      `${this.seeds} seeds, ${this.#failed} with violations; ${this.#operations} operations`,
      this.#world === "site"
        ? `medians of a seed: ${median(this.#leaderChanges)} leader changes, ${Math.round(median(this.#cpuMs))} ms of CPU`
        : `${this.cycles} cycles; forks: ${this.#forks.injected} injected, ${this.#forks.reported} reported; ` +
          `homes: ${[...this.#homes].map(([what, count]) => `${count} ${what}`).join(", ")}`,
      ...[...this.#faults].map(([fault, count]) => `${String(count).padStart(10)}  ${fault}`),
    ];
  }
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
