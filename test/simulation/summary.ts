/** What many seeds came to. */
import { FAULTS } from "./faults.ts";
import type { TimedResult } from "./worker-pool.ts";

const HOUR_MS = 3_600_000;

export class Summary {
  readonly #first: number;
  readonly #began = performance.now();
  readonly #leaderChanges: number[] = [];
  readonly #cpuMs: number[] = [];
  readonly #faults = new Map<string, number>(FAULTS.map((fault) => [fault, 0]));
  #operations = 0;
  #virtualMs = 0;
  #failed = 0;

  constructor(first: number) {
    this.#first = first;
  }

  get seeds(): number {
    return this.#leaderChanges.length;
  }

  /** Seeds in which something was wrong. */
  get violations(): number {
    return this.#failed;
  }

  add({ violations, operations, leaderChanges, virtualMs, faults, cpuMs }: TimedResult): void {
    if (violations.length > 0) this.#failed++;
    this.#operations += operations;
    this.#virtualMs += virtualMs;
    this.#leaderChanges.push(leaderChanges);
    this.#cpuMs.push(cpuMs);
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
      leaderChanges: median(this.#leaderChanges),
      simulatedHours: rounded(simulatedHours),
      simulatedHoursPerSecond: rounded(simulatedHours / ((performance.now() - this.#began) / 1_000)),
      faults: Object.fromEntries(this.#faults),
    };
  }

  lines(): readonly string[] {
    return [
      `${this.seeds} seeds, ${this.#failed} with violations; ${this.#operations} operations`,
      `medians of a seed: ${median(this.#leaderChanges)} leader changes, ${Math.round(median(this.#cpuMs))} ms of CPU`,
      ...[...this.#faults].map(([fault, count]) => `${String(count).padStart(10)}  ${fault}`),
    ];
  }
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
