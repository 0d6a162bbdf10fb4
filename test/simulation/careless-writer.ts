/** Writes at both tiers what the outpost writes too: the same changes, and others of their (actor, sequence). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { FOREIGN_COLLECTION, FOREIGN_DOCUMENT, type ForeignChanges } from "./foreign-changes.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const THINK_MS = 900;
const TIMEOUT_MS = 3_000;
/** D2, D3: a push that depends on what is unknown here, or that lost, says so. */
const REFUSALS = new Set(["MISSING", "QUARANTINED"]);
const EXPECTED = new Set(["UNAVAILABLE", "STOPPED", "OVERLOADED", "SESSION_EXPIRED", "DIVERGED"]);

export class CarelessWriter {
  readonly #clusters: readonly SimulatedCluster[];
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #changes: ForeignChanges;
  #ended = false;

  constructor(
    clusters: readonly SimulatedCluster[],
    clock: VirtualClock,
    random: SeededRandom,
    changes: ForeignChanges,
  ) {
    this.#clusters = clusters;
    this.#clock = clock;
    this.#random = random;
    this.#changes = changes;
    this.#think();
  }

  end(): void {
    this.#ended = true;
  }

  #think(): void {
    this.#clock.after(1 + this.#random.below(2 * THINK_MS), () => {
      if (this.#ended) return;
      this.#write(this.#random.pick(this.#clusters));
      this.#think();
    });
  }

  #write(cluster: SimulatedCluster): void {
    const change = this.#changes.again();
    const { ready, failure, replica } = this.#random.pick(cluster.group);
    if (change === null || !ready || failure !== null) return;
    const command = {
      kind: "change",
      collection: FOREIGN_COLLECTION,
      document: FOREIGN_DOCUMENT,
      changes: [change],
    } as const;
    replica.execute(command, { principal: "careless", timeoutMs: TIMEOUT_MS }).then(
      (outcome) => {
        if (!outcome.ok && !REFUSALS.has(outcome.code))
          cluster.violation(`a change was refused: ${outcome.code} ${outcome.details}`);
      },
      (error: unknown) => {
        if (!(error instanceof OpenClawError) || !EXPECTED.has(error.code)) cluster.violation(String(error));
      },
    );
  }
}
