/** A site and its hub, and devices at both: edits travel up and down, and all copies must become one. */
import { EMPTY_BYTES, utf8 } from "@openclaw/core/bytes.ts";
import { isClusterId, isLinkId, type LinkId } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { CarelessWriter } from "./careless-writer.ts";
import { divergence } from "./checkers/convergence.ts";
import { echoFaults } from "./checkers/echo.ts";
import { History } from "./checkers/history.ts";
import { mirrorFaults, type Side, upFaults } from "./checkers/mirror.ts";
import { prefixFaults } from "./checkers/mirror-prefix.ts";
import { mirrorStateFaults } from "./checkers/mirror-state.ts";
import { Rung } from "./checkers/rung.ts";
import { type KnownChange, standingFaults } from "./checkers/standing.ts";
import { COLLECTION, Device, DOCUMENTS } from "./device.ts";
import type { FaultCounts } from "./faults.ts";
import { FOREIGN_COLLECTION, FOREIGN_DOCUMENT, ForeignChanges } from "./foreign-changes.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { OUTPOST, Outpost } from "./outpost.ts";
import type { Scenario } from "./scenario.ts";
import { SeededRandom } from "./seeded-random.ts";
import { sha256 } from "./sha256.ts";
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

/** Small, so that a mirror is read in several pages. */
const MIRROR_PAGE_BYTES = 4_096;

type Meanwhile = <T>(answer: Promise<T>) => Promise<T>;

export class Fleet {
  readonly hubHistory = new History();
  readonly #options: FleetOptions;
  readonly #site: Tier;
  readonly #hub: Tier;
  readonly #devices: readonly Device[];
  readonly #outpost: Outpost;
  readonly #careless: CarelessWriter;
  readonly #rung: Rung;
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
        parent: () => this.#hub.id,
        reach: () => this.#hub,
        subscription: { prefixes: [utf8("d")], collections: [COLLECTION, FOREIGN_COLLECTION], mirrors: false },
        shipped: (items) => this.#echoes("site", "hub", items),
        streamed: (items) => this.#echoes("hub", "site", items),
      },
    });
    this.#rung = new Rung(violation);
    const changes = new ForeignChanges(random.stream("foreign changes"));
    this.#outpost = new Outpost({
      ...{ hub: this.#hub, clock, changes, sha256, violation },
      random: random.stream(OUTPOST),
    });
    this.#careless = new CarelessWriter([site, hub], clock, random.stream("careless writer"), changes);
    // One of three is at the hub.
    this.#devices = Array.from({ length: scenario.devices }, (_, i) => {
      const atHub = i % 3 === 2;
      return new Device({
        name: `device ${i + 1}`,
        tier: atHub ? this.#hub : this.#site,
        history: atHub ? this.hubHistory : history,
        ...{ clock, faults, trace, violation, keys: scenario.keys },
        rung: atHub ? null : this.#rung,
        documents: i % 2 === 0 ? "whole" : "opened",
        random: random.stream(`device ${i + 1}`),
      });
    });
  }

  ready(cluster: string, member: MemoryMember): void {
    this.#tier(cluster).ready(member);
  }

  /** A member has applied up to `position`. */
  reached(cluster: string, member: MemoryMember, { parentHolds }: Position): void {
    if (cluster === "site") return this.#rung.told(`site/${member.id}`, parentHolds);
    const { link } = query(member.state.view, { kind: "link", link: linkOf("site") }, sha256);
    this.#rung.committed(link?.cursor ?? 0);
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
    this.#careless.end();
    this.#outpost.end();
  }

  /** Every edit is at its cluster, and the hub holds the whole ledger of the site, and the site knows. */
  get settled(): boolean {
    const [site, hub] = [this.#position(this.#site), this.#position(this.#hub)];
    if (site === null || hub === null) return false;
    this.#lookDown();
    return (
      this.#devices.every(({ synced }) => synced) &&
      this.#outpost.settled &&
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
    return [...positions, `the site took ${this.#tookOfHub} of the hub`, this.#outpost.shown, ...devices].join("\n");
  }

  async judge(ledger: readonly StoredRecord[], meanwhile: Meanwhile): Promise<void> {
    const { site, hub, violation } = this.#options;
    const hubLedger = await verdict(hub, this.hubHistory, meanwhile);
    const [above, below, beside] = [
      { cluster: "hub", ledger: hubLedger },
      { cluster: "site", ledger },
      { cluster: OUTPOST, ledger: this.#outpost.ledger },
    ];
    const faults = [...mirrorFaults(above, below), ...mirrorFaults(beside, below)];
    for (const child of [below, beside]) faults.push(...(await this.#shippedFaults(child, above, meanwhile)));
    faults.push(...(await this.#standingFaults([above, below], meanwhile)));
    for (const fault of faults) violation(fault);
    for (const document of DOCUMENTS) {
      const copies = [];
      for (const { group, name } of [site, hub]) {
        for (const { id, state } of group) {
          const whole = { kind: "document", collection: COLLECTION, document, after: 0, limit: 10_000 } as const;
          const { changes } = await meanwhile(state.read(whole));
          copies.push({ holder: `${name}/${id}`, hashes: changes.map(({ hash: it }) => it) });
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

  /** What the hub has of a child: each of its revisions once, in order, without a gap, and the state that they leave. */
  async #shippedFaults(child: Side, above: Side, meanwhile: Meanwhile): Promise<readonly string[]> {
    const [member] = this.#options.hub.group;
    const { cluster: origin } = child;
    if (member === undefined || !isClusterId(origin)) return [];
    const { link } = await meanwhile(member.state.read({ kind: "link", link: linkOf(origin) }));
    const cursor = link?.cursor ?? 0;
    const all = { kind: "range", origin, ...plainRange(EMPTY_BYTES, null, 10_000) } as const;
    const { rows } = await meanwhile(member.state.read(all));
    const prefix = await prefixFaults(child, cursor, (from) =>
      meanwhile(member.state.history({ kind: "mirror", link: linkOf(origin), from, bytes: MIRROR_PAGE_BYTES })),
    );
    return [...upFaults(child, above, cursor), ...mirrorStateFaults(child, cursor, rows), ...prefix];
  }

  async #standingFaults(sides: readonly Side[], meanwhile: Meanwhile): Promise<readonly string[]> {
    const { site, hub } = this.#options;
    const known = new Map<string, KnownChange>();
    for (const { ledger } of sides) {
      for (const event of ledger.flatMap(({ record }) => decodeRecord(record).events)) {
        if (event.kind === "change" && event.collection === FOREIGN_COLLECTION)
          known.set(event.change.hash, event.change);
      }
    }
    const [collection, document] = [FOREIGN_COLLECTION, FOREIGN_DOCUMENT];
    const copies = [];
    for (const { group, name } of [site, hub]) {
      for (const { id, state } of group) {
        const whole = { kind: "document", collection, document, after: 0, limit: 10_000 } as const;
        const { changes, quarantined, pending } = await meanwhile(state.read(whole));
        const hashes = (of: readonly { readonly hash: string }[]): readonly string[] => of.map(({ hash: it }) => it);
        copies.push({
          holder: `${name}/${id}`,
          accepted: hashes(changes),
          quarantined: hashes(quarantined),
          pending,
        });
      }
    }
    return standingFaults(document, known, copies);
  }

  #echoes(from: string, to: string, items: Parameters<typeof echoFaults>[2]): void {
    for (const fault of echoFaults(from, to, items)) this.#options.violation(fault);
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
