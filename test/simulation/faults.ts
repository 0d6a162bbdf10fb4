/** What a world may do to those in it. Each kind is counted where it takes effect, so that one that never does is seen. */

export const FAULTS = [
  "message loss",
  "delay",
  "reorder",
  "duplication",
  "replay of old messages",
  "symmetric partition",
  "asymmetric partition",
  "bridge partition",
  "crash at any await point",
  "crash losing un-fsynced writes",
  "torn writes",
  "bit rot",
  "misdirected reads",
  "fsync error",
  "disk full",
  "slow disk",
  "event-loop stall",
  "clock jump",
  "clock drift",
  "membership change",
  "leadership transfer",
  "rolling upgrade",
  "snapshot racing with appends",
  "restore of an old disk",
  "rot of a state's row",
  "cut uplink",
  "flapping uplink",
  "client retry",
  "client death",
  "browser storage eviction",
] as const;

/** What happens to the clusters of a hierarchy, besides: lives that end, begin again, and meet. */
export const HIERARCHY_FAULTS = [
  "crash of a node",
  "crash of a cluster",
  "flapping uplink",
  "hub failover",
  "site restored from a backup",
  "hub restored from a backup",
  "site set back to an old disk",
  "site cloned",
  "site moved to another hub",
  "months offline",
] as const;

export type Fault = (typeof FAULTS)[number] | (typeof HIERARCHY_FAULTS)[number];

export class FaultCounts {
  readonly #counts: Map<Fault, number>;

  /** @param kinds those that are counted, also when they never come */
  constructor(kinds: readonly Fault[]) {
    this.#counts = new Map(kinds.map((fault) => [fault, 0]));
  }

  count(fault: Fault): void {
    this.#counts.set(fault, (this.#counts.get(fault) ?? 0) + 1);
  }

  get all(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}
