/** A site and its hub, and devices at both: edits travel up and down, and all copies must become one. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { isLinkId, type LinkId } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { divergence } from "./checkers/convergence.ts";
import { History } from "./checkers/history.ts";
import { mirrorFaults, upFaults } from "./checkers/mirror.ts";
import { COLLECTION, Device, DOCUMENTS } from "./device.ts";
import type { FaultCounts } from "./faults.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import type { Scenario } from "./scenario.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import { Tier } from "./tier.ts";
import type { Trace } from "./trace.ts";
import { verdict } from "./verdict.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface FleetOptions {
  readonly site: SimulatedCluster;
  readonly hub: SimulatedCluster;
  readonly scenario: Scenario;
  readonly clock: VirtualClock;
  readonly faults: FaultCounts;
  readonly trace: Trace;
  readonly violation: (text: string) => void;
  /** Of the site's keys. */
  readonly history: History;
}

type Meanwhile = <T>(answer: Promise<T>) => Promise<T>;

export class Fleet {
  readonly hubHistory = new History();
  readonly #options: FleetOptions;
  readonly #site: Tier;
  readonly #hub: Tier;
  readonly #devices: readonly Device[];
  /** The site has taken the hub's ledger up to here. */
  #tookOfHub = 0;

  constructor(options: FleetOptions) {
    const { site, hub, scenario, clock, faults, trace, violation, history } = options;
    this.#options = options;
    const random = new SeededRandom(scenario.seed);
    const common = { clock, delayMs: scenario.networkMs };
    this.#hub = new Tier({ ...common, cluster: hub, random: random.stream("hub's lines"), up: null });
    this.#site = new Tier({
      ...common,
      cluster: site,
      random: random.stream("site's lines"),
      up: {
        parent: this.#hub,
        subscription: { prefixes: [utf8("d")], collections: [COLLECTION], mirrors: false },
      },
    });
    // One of three is at the hub.
    this.#devices = Array.from({ length: scenario.devices }, (_, i) => {
      const atHub = i % 3 === 2;
      return new Device({
        name: `device ${i + 1}`,
        tier: atHub ? this.#hub : this.#site,
        history: atHub ? this.hubHistory : history,
        ...{ clock, faults, trace, violation, keys: scenario.keys },
        random: random.stream(`device ${i + 1}`),
      });
    });
  }

  ready(cluster: string, member: MemoryMember): void {
    this.#tier(cluster).ready(member);
  }

  lost(cluster: string, member: MemoryMember): void {
    this.#tier(cluster).lost(member);
  }

  cutUplink(forMs: number): void {
    this.#site.cutUplink(forMs);
  }

  kill(device: number, downMs: number, evicted: boolean): void {
    this.#devices[device % this.#devices.length]?.die(downMs, evicted);
  }

  heal(): void {
    this.#site.healUplink();
  }

  /** No more edits. */
  end(): void {
    for (const device of this.#devices) device.end();
  }

  /** Every edit is at its cluster, and the hub holds the whole ledger of the site, and the site knows. */
  get settled(): boolean {
    const [site, hub] = [this.#position(this.#site), this.#position(this.#hub)];
    if (site === null || hub === null) return false;
    this.#lookDown();
    return (
      this.#devices.every(({ synced }) => synced) &&
      site.parentHolds === site.revision &&
      this.#tookOfHub === hub.revision &&
      this.#devices.every((device) => device.cursor === (device.tier === this.#site ? site : hub).revision)
    );
  }

  /** For whoever wonders why it does not settle. */
  get shown(): string {
    const devices = this.#devices.map(({ name, shown }) => `${name} ${shown}`);
    const positions = [this.#site, this.#hub].map((tier) => {
      const position = this.#position(tier);
      return `${tier.id} revision ${position?.revision}, its parent holds ${position?.parentHolds}`;
    });
    return [...positions, `the site took ${this.#tookOfHub} of the hub`, ...devices].join("\n");
  }

  async judge(ledger: readonly StoredRecord[], meanwhile: Meanwhile): Promise<void> {
    const { site, hub, violation } = this.#options;
    const hubLedger = await verdict(hub, this.hubHistory, meanwhile);
    const [below, above] = [
      { cluster: "site", ledger },
      { cluster: "hub", ledger: hubLedger },
    ];
    const cursor = await this.#cursor(meanwhile);
    for (const fault of [...upFaults(below, above, cursor), ...mirrorFaults(above, below)]) violation(fault);
    for (const document of DOCUMENTS) {
      const copies = [];
      for (const { group, name } of [site, hub]) {
        for (const { id, state } of group) {
          const query = { kind: "document", collection: COLLECTION, document, after: 0, limit: 10_000 } as const;
          const { changes } = await meanwhile(state.read(query));
          copies.push({ holder: `${name}/${id}`, hashes: changes.map(({ hash }) => hash) });
        }
      }
      for (const device of this.#devices) copies.push({ holder: device.name, hashes: await device.hashes(document) });
      const acknowledged = this.#devices.flatMap((device) => [...(device.acknowledged.get(document) ?? [])]);
      for (const fault of divergence(document, copies, acknowledged)) violation(fault);
    }
  }

  /** Asks how far the site has taken the hub's ledger; the answer is there at the next look. */
  #lookDown(): void {
    const leader = this.#site.cluster.cluster.leading();
    leader?.replica.read({ kind: "link", link: linkOf("hub") }).then(
      ({ link }) => {
        this.#tookOfHub = link?.cursor ?? 0;
      },
      () => {},
    );
  }

  async #cursor(meanwhile: Meanwhile): Promise<number> {
    const [member] = this.#options.hub.group;
    if (member === undefined) return 0;
    const { link } = await meanwhile(member.state.read({ kind: "link", link: linkOf("site") }));
    return link?.cursor ?? 0;
  }

  #tier(cluster: string): Tier {
    return cluster === "site" ? this.#site : this.#hub;
  }

  #position({ cluster }: Tier): ReturnType<MemoryMember["replica"]["position"]> | null {
    const leader = cluster.cluster.leading();
    return leader === undefined ? null : leader.replica.position();
  }
}

function linkOf(cluster: string): LinkId {
  if (!isLinkId(cluster)) throw new Error(cluster);
  return cluster;
}
