/**
 * Inflicts faults, drawn from a seed, until it is called off: each as often as every other of its lane, because each
 * round is a shuffle of all. Two lanes run side by side, so that a node may die while the network is parted.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "@openclaw/core/ports.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { shuffled } from "./choice.ts";
import type { Member, RealCluster } from "./cluster.ts";
import type { Fault, Lane, Stage } from "./faults/fault.ts";

/** When a fault held. */
export interface Band {
  readonly fault: string;
  readonly lane: Lane;
  /** In words; the last thing that was reported of it. */
  what: string;
  /** Ms since the start. */
  readonly from: number;
  until: number | null;
}

export interface Pace {
  /** Ms that a fault lasts, from and to. */
  readonly hold: readonly [number, number];
  /** Ms of peace before the next one. */
  readonly peace: readonly [number, number];
}

const READY_POLL_MS = 100;

export interface NemesisOptions {
  readonly cluster: RealCluster;
  readonly faults: readonly Fault[];
  readonly seed: number;
  readonly pace: Pace;
  /** Ms since the start. */
  readonly now: () => number;
  readonly report: (text: string) => void;
  /** Calls it off: what is under way is taken back, or made good. */
  readonly signal: AbortSignal;
  /** Breaks it off: what cannot be had at once is left as it is. Comes with `signal`, or after it. */
  readonly brokenOff: AbortSignal;
}

/** Ms after a fault of the network in which its aftermath may still be to blame: dials back off. */
const AFTERMATH_MS = 15_000;

export class Nemesis {
  readonly bands: Band[] = [];
  /** What faults found wrong, in words. */
  readonly findings: string[] = [];
  /** How often each had no effect. */
  readonly #failures = new Map<string, number>();
  readonly #options: NemesisOptions;
  /** Settled while the network's lane does nothing. */
  #network: Promise<void> = Promise.resolve();
  /** Settled while nothing has to be alone. */
  #alone: Promise<void> = Promise.resolve();

  constructor(options: NemesisOptions) {
    this.#options = options;
  }

  /** How often each of the faults was inflicted; 0 is there to be seen. */
  counts(): Readonly<Record<string, number>> {
    const counts = Object.fromEntries(this.#options.faults.map(({ name }) => [name, 0]));
    for (const { fault } of this.bands) counts[fault] = (counts[fault] ?? 0) + 1;
    return counts;
  }

  /** How often those that had no effect now and then had none. */
  withoutEffect(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#failures);
  }

  /** Resolves when it was called off and everything is taken back. @throws what a fault threw: it could not be had */
  async run(): Promise<void> {
    const { faults, seed } = this.#options;
    const ofLane = (isOf: (lane: Lane) => boolean): readonly Fault[] => faults.filter(({ lane }) => isOf(lane));
    await Promise.all([
      this.#lane(
        ofLane((lane) => lane !== "network"),
        new SeededRandom(seed + 1),
      ),
      this.#lane(
        ofLane((lane) => lane === "network"),
        new SeededRandom(seed + 2),
      ),
    ]);
  }

  async #lane(faults: readonly Fault[], random: Random): Promise<void> {
    if (faults.length === 0) return;
    const { signal, pace } = this.#options;
    let round: readonly Fault[] = [];
    while (!signal.aborted) {
      if (round.length === 0) round = shuffled(random, faults);
      const [fault, ...rest] = round;
      if (fault === undefined) return;
      round = rest;
      await this.#sleep(between(random, pace.peace));
      await this.#inTurn(fault, () => this.#inflict(fault, random));
    }
  }

  async #inTurn(fault: Fault, inflict: () => Promise<void>): Promise<void> {
    switch (fault.lane) {
      case "nodes":
        return inflict();
      case "network":
        await this.#alone;
        this.#network = inflict();
        return this.#network;
      case "alone": {
        // Not begun by the network's lane from now on; what it is at may end.
        const done = Promise.withResolvers<void>();
        this.#alone = done.promise;
        try {
          await this.#network;
          await inflict();
        } finally {
          done.resolve();
        }
      }
    }
  }

  async #inflict(fault: Fault, random: Random): Promise<void> {
    const { cluster, now, report, signal, brokenOff, pace } = this.#options;
    if (signal.aborted) return;
    const band: Band = { fault: fault.name, lane: fault.lane, what: "", from: now(), until: null };
    this.bands.push(band);
    const holdMs = between(random, pace.hold);
    const stage: Stage = {
      cluster,
      random,
      brokenOff,
      report(text) {
        band.what = text;
        report(text);
      },
      failed: (text) => this.#failed(band, text),
      finding: (text) => void this.findings.push(`${fault.name}: ${text}`),
      hold: () => this.#sleep(holdMs),
      over: () => signal.aborted,
      ready: (member) => this.#ready(member),
    };
    try {
      await fault.inflict(stage);
    } catch (error) {
      if (!brokenOff.aborted) throw error;
    }
    band.until = now();
  }

  #failed(band: Band, text: string): void {
    const { report, signal } = this.#options;
    band.what = text;
    report(text);
    this.#failures.set(band.fault, (this.#failures.get(band.fault) ?? 0) + 1);
    const since = band.from - AFTERMATH_MS;
    const disturbed = this.bands.some(
      (other) => other.lane !== band.lane && (other.until ?? Number.POSITIVE_INFINITY) > since,
    );
    if (!disturbed && !signal.aborted) this.findings.push(`${band.fault}: ${text}, and no other fault held`);
  }

  async #sleep(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.#options.signal });
    } catch {
      // Called off: then there is nothing to wait for.
    }
  }

  async #ready({ http }: Member): Promise<void> {
    while (!this.#options.signal.aborted) {
      try {
        const response = await fetch(`${http}/readyz`, { signal: AbortSignal.timeout(2_000) });
        await response.arrayBuffer();
        if (response.ok) return;
      } catch {
        // Not listening yet.
      }
      await this.#sleep(READY_POLL_MS);
    }
  }
}

const between = (random: Random, [from, to]: readonly [number, number]): number => from + random.unit() * (to - from);
