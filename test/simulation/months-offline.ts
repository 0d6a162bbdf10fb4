/**
 * A site and its hub that are apart for long, again and again: both write, the hub compacts, the site sheds what the hub
 * lacks, what is subscribed to changes, members lose their power in the middle of a snapshot, and the uplink flaps. In the
 * end each has what the other one has, each revision once, and both name the same revisions as shed (S4, S5).
 */
import { EMPTY_BYTES, equalBytes, toHex, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { isLinkId, type LinkId, revision } from "@openclaw/core/ids.ts";
import { isKeyEvent } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { isSame } from "@openclaw/core/ledger/scope.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { type KeyValue, plainRange } from "@openclaw/core/state-machine/operation.ts";
import { FAULTS, FaultCounts } from "./faults.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { replayedContent } from "./replayed.ts";
import { scenario } from "./scenario.ts";
import { SeededRandom } from "./seeded-random.ts";
import { sha256 } from "./sha256.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import { Tier, type TierOptions } from "./tier.ts";
import { Trace } from "./trace.ts";
import { elapse, VirtualClock } from "./virtual-clock.ts";

/** Times that both are apart and come together again. */
const ROUNDS = 4;
/** What each writes while they are apart. */
const WRITES_MAX = 250;
const KEYS = 40;
/** In a row, before the link may stay. */
const FLAPS_MAX = 4;
const FLAP_MS = 1_500;
const CALL_MS = 20_000;
const SETTLED_MS = 240_000;
const PREFIXES = ["a/", "a/1", "b/", "c/"];

export interface MonthsOffline {
  readonly violations: readonly string[];
  /** How often something happened that the world is for. */
  readonly counts: Readonly<Record<"snapshot down" | "snapshot up" | "crash" | "compaction" | "shed", number>>;
}

export async function monthsOffline(seed: number): Promise<MonthsOffline> {
  const world = new World(seed);
  await world.run();
  return { violations: world.violations, counts: world.counts };
}

class World {
  readonly violations: string[] = [];
  readonly counts = { "snapshot down": 0, "snapshot up": 0, crash: 0, compaction: 0, shed: 0 };
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly #site: SimulatedCluster;
  readonly #hub: SimulatedCluster;
  readonly #below: Tier;
  readonly #above: Tier;
  readonly #up: { -readonly [K in keyof NonNullable<TierOptions["up"]>]: NonNullable<TierOptions["up"]>[K] };
  /** A site that never sheds keeps its whole ledger. */
  readonly #sheds: boolean;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed).stream("months offline");
    this.#sheds = this.#random.chance(0.6);
    const trace = new Trace(this.#clock, false);
    const faults = new FaultCounts(FAULTS);
    const cluster = (name: string, tier: () => Tier): SimulatedCluster =>
      new SimulatedCluster({
        ...{ name, size: 3, scenario: scenario(seed), clock: this.#clock, faults, trace },
        violation: (text) => void this.violations.push(text),
        ready: (member) => tier().ready(member),
        lost: (member) => tier().lost(member),
      });
    this.#hub = cluster("hub", () => this.#above);
    this.#site = cluster("site", () => this.#below);
    const common = { clock: this.#clock, delayMs: 5 };
    this.#above = new Tier({ ...common, cluster: this.#hub, random: this.#random.stream("hub"), up: null });
    this.#up = {
      parent: () => this.#above.id,
      reach: () => this.#above,
      subscription: this.#drawn(),
      shipped: () => {},
      streamed: () => {},
      steps: (way) => this.counts[`snapshot ${way}`]++,
    };
    this.#below = new Tier({ ...common, cluster: this.#site, random: this.#random.stream("site"), up: this.#up });
  }

  async run(): Promise<void> {
    this.#hub.start();
    this.#site.start();
    await elapse(this.#clock, 5_000);
    for (let round = 0; round < ROUNDS && this.violations.length === 0; round++) {
      await this.#apart();
      await this.#together();
      if (this.#random.chance(0.5)) await this.#eventually(`round ${round}`);
    }
    if (this.violations.length === 0) await this.#eventually("the end");
    if (this.violations.length === 0) await this.#judge();
  }

  async #apart(): Promise<void> {
    this.#below.cutUplink(3_600_000);
    for (const cluster of [this.#hub, this.#site]) {
      for (let left = this.#random.below(WRITES_MAX); left > 0; left--) await this.#execute(cluster, this.#write());
    }
    const hub = await this.#leader(this.#hub);
    if (this.#random.chance(0.7)) {
      const to = this.#between(hub.replica.position().compacted, hub.replica.position().revision);
      if (to !== null && (await this.#execute(this.#hub, { kind: "compact", revision: revision(to) })))
        this.counts.compaction++;
    }
    const site = await this.#leader(this.#site);
    const { parentHolds, revision: newest, compacted } = site.replica.position();
    const to = this.#sheds && this.#random.chance(0.7) ? this.#between(Math.max(parentHolds, compacted), newest) : null;
    if (to !== null) {
      const options = { principal: `node:${site.id}`, timeoutMs: CALL_MS };
      const shed = await this.#meanwhile(site.replica.propose({ kind: "shed", revision: revision(to) }, options));
      if (shed.kind === "outcome" && shed.outcome.ok) this.counts.shed++;
    }
    if (this.#random.chance(0.5)) await this.#subscribe();
  }

  /** Every member of the site starts again with the new wish, one after the other. */
  async #subscribe(): Promise<void> {
    this.#up.subscription = this.#drawn();
    for (const member of this.#site.members) {
      this.#site.crash(member, 500, { survivors: 1, torn: false });
      await elapse(this.#clock, 4_000);
      await this.#leader(this.#site);
    }
  }

  async #together(): Promise<void> {
    for (let flaps = this.#random.below(FLAPS_MAX + 1); flaps > 0; flaps--) {
      this.#below.healUplink();
      await elapse(this.#clock, this.#random.below(FLAP_MS));
      if (this.#random.chance(0.5)) this.#crash(this.#random.pick([this.#site, this.#hub]));
      this.#below.cutUplink(this.#random.below(FLAP_MS));
      await elapse(this.#clock, FLAP_MS);
    }
    this.#below.healUplink();
  }

  #crash(cluster: SimulatedCluster): void {
    const member = cluster.find(this.#random.pick(["leader", "any"] as const));
    // The others must be able to go on.
    if (member === null || cluster.members.some(({ up }) => !up)) return;
    this.counts.crash++;
    cluster.crash(member, 1_000 + this.#random.below(2_000), { survivors: this.#random.unit(), torn: false });
  }

  /** Both hold all of the other. */
  async #eventually(what: string): Promise<void> {
    const until = this.#clock.now() + SETTLED_MS;
    while (!(await this.#settled())) {
      if (this.#clock.now() >= until)
        return void this.violations.push(`${what}: site and hub do not come together: ${this.#shown()}`);
      await elapse(this.#clock, 500);
    }
  }

  async #settled(): Promise<boolean> {
    const [site, hub] = await Promise.all([this.#leader(this.#site), this.#leader(this.#hub)]);
    const own = site.replica.position();
    if (own.parentHolds !== own.revision) return false;
    const [{ link }, { held, snapshot }] = await this.#meanwhile(
      Promise.all([
        site.replica.read({ kind: "link", link: linkOf("hub") }),
        site.replica.read({ kind: "stream", link: linkOf("hub") }),
      ]),
    );
    const subscribed = isSame(held, this.#up.subscription);
    return snapshot === null && subscribed && link?.cursor === hub.replica.position().revision;
  }

  #shown(): string {
    return [this.#site, this.#hub]
      .map(({ name, cluster }) => `${name} ${JSON.stringify(cluster.leading()?.replica.position().revision)}`)
      .join(", ");
  }

  async #judge(): Promise<void> {
    const [site, hub] = await Promise.all([this.#leader(this.#site), this.#leader(this.#hub)]);
    const { prefixes } = this.#up.subscription;
    const within = ({ key }: KeyValue): boolean =>
      prefixes.some((prefix) => equalBytes(key.subarray(0, prefix.length), prefix));
    const up = [await this.#rows(site, null), await this.#rows(hub, "site")];
    const down = [(await this.#rows(hub, null)).filter(within), await this.#rows(site, "hub")];
    for (const [[own = [], mirror = []], what] of [
      [up, "the hub's mirror of the site"],
      [down, "the site's mirror of the hub"],
    ] as const)
      for (const fault of differences(own, mirror)) this.violations.push(`${what}: ${fault}`);
    await this.#judgeShed(site, hub);
    if (!this.#sheds) await this.#judgeLedger(site);
  }

  /** Both name the same revisions, and the hub has a body of every other one, chained by the site's own hashes. */
  async #judgeShed(site: MemoryMember, hub: MemoryMember): Promise<void> {
    const own = await this.#meanwhile(site.state.read({ kind: "shed" }));
    const theirs = await this.#meanwhile(hub.state.read({ kind: "shed" }));
    const named = (shed: typeof own, link: string | null): string =>
      JSON.stringify(shed.shed.find((one) => one.link === link)?.runs.map(({ from, to }) => [from, to]) ?? []);
    const [ours, hubs] = [named(own, null), named(theirs, "site")];
    if (ours !== hubs) this.violations.push(`the site shed ${ours}, the hub lacks ${hubs}`);
    // A compaction at the hub takes bodies away, too, and gaps that lie before it.
    if (hub.replica.position().compacted > 0) return;
    const { items, fault } = await this.#meanwhile(
      hub.state.history({ kind: "mirror", link: linkOf("site"), from: revision(1), bytes: 1e9 }),
    );
    if (fault !== null) this.violations.push(`the hub's mirror of the site's ledger: ${JSON.stringify(fault)}`);
    const gaps = items.flatMap((item) => (item.kind === "gap" && item.reason === "shed" ? [[item.from, item.to]] : []));
    if (JSON.stringify(gaps) !== hubs) this.violations.push(`the hub's gaps are ${JSON.stringify(gaps)}, shed ${hubs}`);
  }

  /** L2: also with snapshots in it, the ledger alone tells the content; and nothing that was told changed nothing. */
  async #judgeLedger({ state }: MemoryMember): Promise<void> {
    const { records } = await this.#meanwhile(state.ledger(revision(1), Number.MAX_SAFE_INTEGER));
    const { content } = await this.#meanwhile(state.read({ kind: "stateHash" }));
    if (!equalBytes(replayedContent(records, sha256), content.hash))
      this.violations.push("the content of the site is not what its ledger tells");
    for (const fault of repeats(records)) this.violations.push(fault);
  }

  async #rows({ state }: MemoryMember, of: string | null): Promise<readonly KeyValue[]> {
    const origin = of === null ? null : this.#tier(of).id;
    const range = { kind: "range", origin, ...plainRange(EMPTY_BYTES, null, 10_000) } as const;
    return (await this.#meanwhile(state.read(range))).rows;
  }

  #tier(name: string): Tier {
    return name === "site" ? this.#below : this.#above;
  }

  #write(): UserCommand {
    const key = utf8(`${this.#random.pick(PREFIXES)}${this.#random.below(KEYS)}`);
    if (this.#random.chance(0.35)) return { kind: "deleteRange", keys: { kind: "key", key } };
    return { kind: "put", key, value: utf8(String(this.#random.below(1_000_000))) };
  }

  #drawn(): Subscription {
    const prefixes = PREFIXES.filter(() => this.#random.chance(0.5));
    return { prefixes: (prefixes.length === 0 ? ["a/"] : prefixes).map(utf8), collections: [], mirrors: false };
  }

  /** A whole number in (low, high]; null: there is none. */
  #between(low: number, high: number): number | null {
    return high <= low ? null : this.#random.below(high + 1, low + 1);
  }

  async #execute(cluster: SimulatedCluster, command: UserCommand): Promise<boolean> {
    const { replica } = await this.#leader(cluster);
    const outcome = await this.#meanwhile(replica.execute(command, { principal: "somebody", timeoutMs: CALL_MS }));
    return outcome.ok;
  }

  async #leader({ cluster, name }: SimulatedCluster): Promise<MemoryMember> {
    const until = this.#clock.now() + CALL_MS;
    for (;;) {
      const leader = cluster.leading();
      if (leader !== undefined) return leader;
      if (this.#clock.now() >= until) throw new Error(`${name} has no leader`);
      await elapse(this.#clock, 100);
    }
  }

  async #meanwhile<T>(answer: Promise<T>): Promise<T> {
    let waiting = true;
    const done = (): void => {
      waiting = false;
    };
    answer.then(done, done);
    while (waiting) await elapse(this.#clock, 5);
    return answer;
  }
}

function differences(own: readonly KeyValue[], mirror: readonly KeyValue[]): readonly string[] {
  const [before, after] = [own.map(shown), mirror.map(shown)];
  return [
    ...before.filter((row) => !after.includes(row)).map((row) => `lacks ${row}`),
    ...after.filter((row) => !before.includes(row)).map((row) => `has ${row}`),
  ];
}

const shown = ({ key, value, createRevision, modRevision, version }: KeyValue): string =>
  `${utf8Text(key)} = ${utf8Text(value)} (${createRevision}, ${modRevision}, put ${version} times)`;

/** A snapshot's put of what stood there already, or its delete of what did not. */
function repeats(ledger: readonly StoredRecord[]): readonly string[] {
  const stands = new Map<string, string>();
  const faults: string[] = [];
  for (const { revision: at, record } of ledger) {
    const { origin, events, snapshot } = decodeRecord(record);
    for (const event of events) {
      if (!isKeyEvent(event)) continue;
      const name = `${origin?.cluster} ${toHex(event.key)}`;
      const now = event.kind === "put" ? `${toHex(event.value)} ${JSON.stringify(event.numbers)}` : undefined;
      if (snapshot && stands.get(name) === now) faults.push(`revision ${at} of the site tells again of ${name}`);
      if (now === undefined) stands.delete(name);
      else stands.set(name, now);
    }
  }
  return faults;
}

function linkOf(cluster: string): LinkId {
  if (!isLinkId(cluster)) throw new Error(cluster);
  return cluster;
}
