/** One cluster under attack: its clients, what is done to it, and what it has to show for itself afterwards. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "../history/history.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import type { RealCluster } from "./cluster.ts";
import type { Fault } from "./faults/fault.ts";
import type { Versioned } from "./key-value-client.ts";
import { Nemesis, type Pace } from "./nemesis.ts";
import { unexpectedEnds } from "./node-logs.ts";
import { Observations } from "./observations.ts";
import { comesBack, disagreement, judgeHistory, readAll, storedUniqueKeys, wrongVoters } from "./verdict.ts";
import { Watcher } from "./watcher.ts";
import { type Load, Workload } from "./workload.ts";

/** Ms that clients go on after the cluster is back: it must serve, not only say so. */
const PEACE_MS = 3_000;

export interface SiegeOptions {
  readonly cluster: RealCluster;
  readonly load: Load;
  readonly faults: readonly Fault[];
  readonly seed: number;
  readonly pace: Pace;
  readonly report: (text: string) => void;
  /** Calls the faults off. */
  readonly off: AbortSignal;
  /** Breaks the run off. */
  readonly signal: AbortSignal;
}

/** What is said of one cluster. */
export interface Figures {
  readonly acknowledged: number;
  readonly lost: number;
  readonly linearizable: boolean | "unknown";
  readonly hashesAgree: boolean;
  readonly maxWriteGapMs: number;
}

export interface Judged extends Figures {
  readonly findings: readonly string[];
  readonly operations: readonly Operation[];
}

export class Siege {
  readonly cluster: RealCluster;
  readonly observations: Observations;
  readonly nemesis: Nemesis;
  readonly #options: SiegeOptions;
  readonly #workload: Workload;
  readonly #watcher: Watcher;
  readonly #findings: string[] = [];
  #maxWriteGapMs = 0;

  private constructor(options: SiegeOptions, observations: Observations, workload: Workload) {
    const { cluster, faults, seed, pace, report, off, signal } = options;
    this.cluster = cluster;
    this.observations = observations;
    this.#options = options;
    this.#workload = workload;
    this.#watcher = new Watcher(cluster, new SeededRandom(seed + 3));
    this.nemesis = new Nemesis({
      ...{ cluster, faults, seed, pace },
      report: (text) => report(`${cluster.name}: ${text}`),
      now: () => observations.now(),
      signal: off,
      brokenOff: signal,
    });
  }

  /** Of a cluster that runs: its clients begin. */
  static async lay(options: SiegeOptions): Promise<Siege> {
    const observations = new Observations();
    const random = new SeededRandom(options.seed);
    return new Siege(options, observations, await Workload.start(options.cluster, options.load, random, observations));
  }

  /** Resolves when the faults were called off and are taken back. */
  async endure(): Promise<void> {
    await this.nemesis.run();
  }

  /** Resolves with why a client failed; else pending until the clients stop. */
  get failure(): Promise<string> {
    return this.#workload.failure.then(
      () => new Promise<never>(() => undefined),
      (error: unknown) => `a client of ${this.cluster.name} failed: ${error}`,
    );
  }

  get progress(): string {
    const { acknowledged, all } = this.observations;
    const now = this.nemesis.bands.filter(({ until }) => until === null).map(({ fault }) => fault);
    const inflicted = `${this.nemesis.bands.length} faults; now: ${now.join(", ") || "peace"}`;
    return `${this.cluster.name}: ${acknowledged} writes acknowledged, ${all.length} operations, ${inflicted}`;
  }

  /** All are back, clients were served for a while, and are gone. */
  async lift(): Promise<void> {
    const { cluster } = this;
    const notBack = (await comesBack(cluster)) ?? (await wrongVoters(cluster));
    if (notBack !== null) this.#findings.push(notBack);
    else await sleep(PEACE_MS);
    this.#maxWriteGapMs = Math.round(this.observations.maxWriteGapMs);
    const notEnded = await this.#workload.stop();
    if (notEnded !== null) this.#findings.push(notEnded);
  }

  /** What is there of the unique keys that clients of `origin`, or of this cluster (null), wrote; null if nobody answers. */
  stored(origin: string | null): Promise<ReadonlyMap<string, Versioned> | null> {
    return storedUniqueKeys(() => this.#workload.anyClient(), origin);
  }

  /** Unique keys that were acknowledged here and are not among those, in words. */
  missing(stored: ReadonlyMap<string, Versioned>): readonly string[] {
    return this.#workload.uniqueKeys.missing(stored);
  }

  /** After `lift`. */
  async judge(): Promise<Judged> {
    const { cluster } = this;
    const { report } = this.#options;
    const { registers, finalReader } = this.#workload;
    const findings = [...this.#findings, ...this.nemesis.findings];
    findings.push(...(await readAll(registers, finalReader, () => this.#workload.anyClient())));
    const stored = await this.stored(null);
    if (stored === null) findings.push(`nobody at ${cluster.name} answers what is there of the unique keys`);
    else findings.push(...(await this.#watcher.conclude(stored)));
    const lost = stored === null ? [] : this.missing(stored);
    findings.push(...lost);
    const differ = await disagreement(cluster);
    if (differ !== null) findings.push(differ);
    findings.push(...(await unexpectedEnds(cluster)));

    const operations = registers.recorder.operations();
    report(`looking for an order of ${operations.length} operations on ${registers.keys.length} registers`);
    const judged = judgeHistory(operations);
    findings.push(...judged.findings);
    return {
      acknowledged: this.observations.acknowledged,
      lost: lost.length,
      linearizable: judged.linearizable,
      hashesAgree: differ === null,
      maxWriteGapMs: this.#maxWriteGapMs,
      findings,
      operations,
    };
  }

  async abandon(): Promise<void> {
    await Promise.all([this.#workload.abandon(), this.#watcher.stop()]);
  }
}
