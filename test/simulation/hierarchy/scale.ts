/**
 * Many sites at one hub, and what each of them costs it. The hub is a group of three; a site is light: one replica, with its
 * log, its state and its uplink, as in production. Nothing fails, and nothing is compressed: that is the runtime's.
 */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { Origin } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { MemoryCluster } from "../memory-cluster.ts";
import { SeededRandom } from "../seeded-random.ts";
import { Tier, type Traffic } from "../tier.ts";
import { elapse, VirtualClock } from "../virtual-clock.ts";
import { clusterOf } from "./restore.ts";

const HUB = clusterOf("hub");
const HUB_MEMBERS = 3;
const DELAY_MS = 10;
/** Sites come up one after the other within this, ms. */
const START_MS = 10_000;
/** Each writes so often, at any time within `WRITES_MS` after all are there. */
const WRITES = 10;
const WRITES_MS = 60_000;
const KEYS = 4;
const VALUE_BYTES = 100;
/** Until the hub has everything, ms. */
const CAUGHT_UP_MS = 120_000;
const LOOK_MS = 200;
const PUT_MS = 10_000;

/** Of one site, but for `lagMs`: ms from when a write was acknowledged at its site until a majority of the hub had it. */
export interface Cost {
  readonly sites: number;
  readonly writesPerSite: number;
  readonly perSite: Readonly<Traffic> & {
    readonly siteEntries: number;
    readonly hubEntries: number;
    /** Of all that was simulated, the site and its share of the hub; on this machine. */
    readonly cpuMs: number;
  };
  readonly lagMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly virtualMs: number;
  /** What is wrong; empty when all of it came to the hub. */
  readonly violations: readonly string[];
}

interface Site {
  readonly name: string;
  readonly cluster: MemoryCluster;
  readonly tier: Tier;
  /** When each revision was acknowledged that is not at the hub yet. */
  readonly waiting: Map<number, number>;
}

export async function costOf(count: number, seed: number): Promise<Cost> {
  const began = process.cpuUsage();
  const fleet = new Scale(seed);
  await fleet.start(count);
  await fleet.settle();
  const { user, system } = process.cpuUsage(began);
  return fleet.cost((user + system) / 1_000);
}

class Scale {
  readonly #seed: number;
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly #hub: MemoryCluster;
  readonly #tier: Tier;
  readonly #sites = new Map<string, Site>();
  readonly #lags: number[] = [];
  readonly #violations: string[] = [];
  #first = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    const clock = this.#clock;
    this.#hub = new MemoryCluster(HUB_MEMBERS, seed, {
      ...{ name: HUB, clock, network: { delayMs: 1 } },
      // What anybody applies, a majority has.
      observe: () => ({
        appending: () => undefined,
        logged: () => undefined,
        installed: () => undefined,
        applied: (_, { records }) => {
          for (const { record } of records) this.#arrived(decodeRecord(record).origin);
        },
      }),
    });
    this.#tier = new Tier({
      ...{ cluster: { cluster: this.#hub, group: this.#hub.members }, clock, delayMs: DELAY_MS, up: null },
      random: this.#random.stream("hub's lines"),
    });
  }

  async start(count: number): Promise<void> {
    await this.#hub.start();
    await this.#hub.leader();
    this.#first = lastIndex(this.#hub);
    for (let i = 1; i <= count; i++) this.#found(`site-${i}`, this.#seed + i);
  }

  /** Until the hub has all that was written. */
  async settle(): Promise<void> {
    const end = START_MS + WRITES_MS;
    const whole = (): boolean => this.#clock.now() > end && this.#lags.length === WRITES * this.#sites.size;
    while (!whole() && this.#clock.now() < end + CAUGHT_UP_MS) await elapse(this.#clock, LOOK_MS);
    if (!whole()) this.#violations.push(`${this.#lags.length} of ${WRITES * this.#sites.size} writes are at the hub`);
  }

  cost(cpuMs: number): Cost {
    const count = this.#sites.size;
    const per = (total: number): number => Math.round((10 * total) / count) / 10;
    const { framesUp, bytesUp, framesDown, bytesDown } = this.#tier.traffic;
    const lags = this.#lags.sort((a, b) => a - b);
    const quantile = (part: number): number => Math.round(lags[Math.ceil(part * lags.length) - 1] ?? Number.NaN);
    return {
      sites: count,
      writesPerSite: WRITES,
      perSite: {
        siteEntries: per([...this.#sites.values()].reduce((sum, { cluster }) => sum + lastIndex(cluster), 0)),
        hubEntries: per(lastIndex(this.#hub) - this.#first),
        ...{ framesUp: per(framesUp), bytesUp: per(bytesUp), framesDown: per(framesDown), bytesDown: per(bytesDown) },
        cpuMs: per(cpuMs),
      },
      lagMs: { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) },
      virtualMs: this.#clock.now(),
      violations: this.#violations,
    };
  }

  #found(name: string, seed: number): void {
    const clock = this.#clock;
    const random = this.#random.stream(name);
    const cluster = new MemoryCluster(1, seed, { name, clock });
    const tier = new Tier({
      ...{ cluster: { cluster, group: cluster.members }, clock, delayMs: DELAY_MS, random },
      up: {
        parent: () => HUB,
        reach: () => this.#tier,
        subscription: { prefixes: [], collections: [], mirrors: false },
        shipped: () => undefined,
        streamed: () => undefined,
      },
    });
    const site: Site = { name, cluster, tier, waiting: new Map() };
    this.#sites.set(name, site);
    clock.after(random.below(START_MS), () => {
      cluster.start().then(
        () => {
          for (const member of cluster.members) tier.ready(member);
        },
        (error: unknown) => this.#violations.push(`${name} does not start: ${String(error)}`),
      );
    });
    for (let n = 0; n < WRITES; n++)
      clock.after(START_MS + random.below(WRITES_MS), () => void this.#write(site, random));
  }

  async #write({ name, cluster, waiting }: Site, random: SeededRandom): Promise<void> {
    const [member] = cluster.members;
    if (member === undefined) return;
    const command = { kind: "put", key: utf8(`k${random.below(KEYS)}`), value: random.bytes(VALUE_BYTES) } as const;
    try {
      const outcome = await member.replica.execute(command, { principal: "caller", timeoutMs: PUT_MS });
      if (outcome.ok) waiting.set(outcome.revision, this.#clock.now());
      else this.#violations.push(`${name} refused a put: ${outcome.code}`);
    } catch (error) {
      this.#violations.push(`${name} did not answer a put: ${String(error)}`);
    }
  }

  #arrived(origin: Origin | null): void {
    if (origin === null) return;
    const { waiting } = this.#sites.get(origin.cluster) ?? {};
    const since = waiting?.get(origin.revision);
    if (since === undefined || waiting?.delete(origin.revision) !== true) return;
    this.#lags.push(this.#clock.now() - since);
  }
}

const lastIndex = ({ members }: MemoryCluster): number =>
  Math.max(...members.map(({ replica }) => replica.status().raft.lastIndex));
