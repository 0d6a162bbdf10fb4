/**
 * Sites and hubs from one plan, through crashes, restores, copies and moves; then everything heals, and each site must be
 * whole at its hub: nothing lost, nothing twice, nothing forked that nobody was told of.
 */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { FaultCounts } from "../faults.ts";
import type { Trace } from "../trace.ts";
import { elapse, type VirtualClock } from "../virtual-clock.ts";
import { Forks } from "./forks.ts";
import type { Hierarchy, Site } from "./hierarchy.ts";
import { HomeOperator } from "./home-operator.ts";
import { type HomeCounts, homeCounts, homeFaults, waiting } from "./home-verdict.ts";
import { Operator } from "./operator.ts";
import { CALLED, Place } from "./place.ts";
import { HIERARCHY_TROUBLE_MS, type HierarchyPlan, HUBS, siteName } from "./plan.ts";
import { clusterOf } from "./restore.ts";
import { Rungs } from "./rungs.ts";
import { Troubles } from "./troubles.ts";
import { hierarchyFaults } from "./verdict.ts";

/** Healed, tiers have all of each other within this, ms: the longest backoff, a silence, an operator, a whole ledger again. */
const CONVERGED_MS = 180_000;
const HEALED_MS = 20_000;
const LOOK_MS = 100;
/** Callers go on for so long after everything healed, ms. */
const PEACE_MS = 3_000;
/** The longest that a caller waits, ms. */
const CALLS_END_MS = 7_000;
const VIOLATIONS_MAX = 20;

export class HierarchyWorld implements Hierarchy {
  readonly violations: string[] = [];
  readonly forks: Forks;
  readonly sites: readonly Site[];
  /** The first is where all sites begin. */
  readonly hubs: readonly Place[];
  readonly #plan: HierarchyPlan;
  readonly #clock: VirtualClock;
  readonly #trace: Trace;
  readonly #operator: Operator;
  readonly #homes: HomeOperator;
  readonly #troubles: Troubles;

  constructor(plan: HierarchyPlan, clock: VirtualClock, trace: Trace, faults: FaultCounts) {
    this.#plan = plan;
    this.#clock = clock;
    this.#trace = trace;
    const violation = (text: string): void => this.violation(text);
    this.forks = new Forks(violation);
    const rungs = new Rungs(violation);
    const common = { plan, clock, trace, violation };
    const names = plan.sites.map((_, i) => siteName(i));
    this.hubs = HUBS.map(
      (name) =>
        new Place({
          ...{ ...common, name, size: plan.hub, up: null, others: names, below: names },
          reached: ({ life, links }) => rungs.committed(life.epoch.nonce, links),
          lost: (children) => {
            if (children > 0) faults.count("hub failover");
          },
        }),
    );
    this.sites = plan.sites.map((size, i) => {
      const name = names[i] ?? "";
      const whose = { parent: HUBS[0], hasMoved: false };
      const place = new Place({
        ...{ ...common, name, size, others: HUBS, below: [] },
        up: {
          parent: () => clusterOf(whose.parent),
          reach: (parent) => this.hub(parent).first?.tier ?? null,
          subscription: { prefixes: [utf8(CALLED)], collections: [], mirrors: plan.mirrors },
        },
        reached: (_, { parentHolds, parentEpoch }) => rungs.told(name, parentHolds, parentEpoch),
        lost: () => undefined,
      });
      return Object.assign(whose, { place });
    });
    this.#operator = new Operator({ world: this, clock, trace, seed: plan.seed });
    this.#homes = new HomeOperator({ world: this, clock, trace });
    this.#troubles = new Troubles({ world: this, plan, clock, trace, faults, homes: this.#homes });
  }

  hub(name: string): Place {
    const found = this.hubs.find((place) => place.name === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }

  get places(): readonly Place[] {
    return [...this.hubs, ...this.sites.map(({ place }) => place)];
  }

  get operations(): number {
    return this.places.reduce((sum, { operations }) => sum + operations, 0);
  }

  get homes(): HomeCounts {
    return homeCounts(this, this.#homes.moved);
  }

  violation(text: string): void {
    this.#trace.tell("VIOLATION", text.split("\n")[0] ?? "");
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(text);
  }

  async run(): Promise<void> {
    this.#trace.tell("world", `sites of ${this.#plan.sites.join(", ")}, hubs of ${this.#plan.hub}`);
    while (this.#clock.now() < HIERARCHY_TROUBLE_MS && !this.#failed) await elapse(this.#clock, 1_000);
    this.#trace.tell("world", "heals");
    this.#troubles.end();
    const heal = (): void => this.places.forEach((place) => void place.heal());
    heal();
    this.#homes.settle();
    await elapse(this.#clock, PEACE_MS);
    for (const place of this.places) place.quiet();
    await elapse(this.#clock, CALLS_END_MS);
    await this.#eventually("lives that have one leader each", () => this.#led, HEALED_MS);
    await this.#eventually("tiers that have all of each other", () => this.#converged, CONVERGED_MS);
    await this.#eventually("an end of what was queued", () => this.#converged && waiting(this).length === 0, HEALED_MS);
    this.#operator.end();
    this.#homes.end();
    if (this.#failed) return;
    for (const fault of [
      ...this.places.flatMap((place) => place.judge()),
      ...(await this.#meanwhile(hierarchyFaults(this))),
      ...homeFaults(this),
    ])
      this.violation(fault);
  }

  get #failed(): boolean {
    return this.violations.length > 0;
  }

  get #led(): boolean {
    return this.places.every(({ present }) => present.length > 0 && present.every(({ life }) => life.agreed));
  }

  /** Each site is alone at its place, its hub has all of it, and it has all of its hub. */
  get #converged(): boolean {
    return this.#led && this.sites.every((site) => site.place.present.length === 1 && this.#isWhole(site));
  }

  #isWhole({ place, parent }: Site): boolean {
    const [site, hub] = [place.first, this.hub(parent).first];
    if (site === null || hub === null) return false;
    return (
      hub.links.get(place.name)?.cursor === site.life.revision &&
      (site.links.get(parent)?.cursor ?? 0) === hub.life.revision &&
      site.life.members.every(({ replica }) => replica.position().parentHolds === site.life.revision)
    );
  }

  /** For whoever wonders why it does not converge. */
  get shown(): string {
    const stands = this.places.flatMap(({ name, present }) =>
      present.map((inhabitant) => {
        const leader = inhabitant.life.cluster.leading();
        const uplink = leader === undefined ? null : inhabitant.tier.uplinkOf(leader);
        const links = [...inhabitant.links].map(([other, { cursor }]) => `${cursor} of ${other}`);
        const error = uplink?.status().lastError;
        const holds = leader?.replica.position().parentHolds;
        return `${inhabitant.life.shown} at ${name}: revision ${inhabitant.life.revision}, parent holds ${holds}, took ${links.join(", ")}; ${error ?? "no error"}`;
      }),
    );
    return [...stands, ...waiting(this)].join("\n");
  }

  async #eventually(what: string, holds: () => boolean, withinMs: number): Promise<void> {
    const until = this.#clock.now() + withinMs;
    while (!this.#failed && !holds()) {
      if (this.#clock.now() >= until)
        return this.violation(`healed, the world does not come to ${what} within ${withinMs} ms:\n${this.shown}`);
      await elapse(this.#clock, LOOK_MS);
    }
  }

  /** Lets time pass until there is an answer. */
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
