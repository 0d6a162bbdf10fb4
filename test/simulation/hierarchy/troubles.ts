/** Does to the hierarchy what its plan says, step by step. */

import { unreachable } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { FaultCounts } from "../faults.ts";
import { SeededRandom } from "../seeded-random.ts";
import type { Trace } from "../trace.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import type { Hierarchy, Site } from "./hierarchy.ts";
import type { HomeOperator } from "./home-operator.ts";
import { copyOf, type Inhabitant, type Place } from "./place.ts";
import type { HierarchyPlan, HierarchyStep, Tiered } from "./plan.ts";
import { restored } from "./restore.ts";

export interface TroublesOptions {
  readonly world: Hierarchy;
  readonly plan: HierarchyPlan;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly faults: FaultCounts;
  readonly homes: HomeOperator;
}

const DAY_MS = 86_400_000;
const COMPACT_MS = 5_000;
/** Between the restarts of two members whose configuration was changed. */
const ROLLING_MS = 300;

export class Troubles {
  readonly #options: TroublesOptions;
  readonly #random: SeededRandom;
  #over = false;

  constructor(options: TroublesOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.plan.seed).stream("troubles");
    for (const step of options.plan.steps) this.#at(step.at, () => this.#take(step));
  }

  /** No step comes any more; a cluster that is away comes back. */
  end(): void {
    this.#over = true;
  }

  #at(ms: number, run: () => void): void {
    this.#options.clock.after(ms, () => {
      if (!this.#over) run();
    });
  }

  #take(step: HierarchyStep): void {
    const { trace, faults, homes } = this.#options;
    trace.tell("troubles", JSON.stringify(step));
    switch (step.kind) {
      case "crash":
        return this.#with(this.#placeOf(step.whose), ({ life }) => {
          faults.count("crash of a node");
          life.crash(this.#random.pick(life.members), step.downMs, step);
        });
      case "blackout":
        return this.#with(this.#placeOf(step.whose), ({ life }) => {
          faults.count("crash of a cluster");
          for (const member of life.members)
            life.crash(member, this.#random.below(step.downMs + 1), { survivors: this.#random.unit(), torn: false });
        });
      case "hubFailover":
        return this.#with(this.#placeOf({ tier: "hub" }), ({ life }) => {
          const leader = life.cluster.leading();
          if (leader === undefined) return;
          if (step.how === "crash") return life.crash(leader, step.forMs, { survivors: 1, torn: false });
          faults.count("hub failover");
          life.isolate(leader, step.forMs);
        });
      case "flap":
        return this.#flap(this.#site(step.site).place, step);
      case "restore":
        return this.#restore(this.#placeOf(step.whose), step.ageMs, step.downMs);
      case "rollBack":
        return this.#alone(this.#site(step.site).place, (inhabitant, place) => {
          const copied = copyOf(inhabitant);
          this.#at(step.ageMs, () => {
            if (place.first !== inhabitant || place.present.length > 1) return;
            faults.count("site set back to an old disk");
            place.leave(inhabitant);
            place.settleCopy(copied);
          });
        });
      case "clone":
        return this.#alone(this.#site(step.site).place, (inhabitant, place) => {
          faults.count("site cloned");
          place.settleCopy(copyOf(inhabitant));
        });
      case "reparent":
        return this.#reparent(this.#site(step.site));
      case "offline":
        return this.#offline(this.#site(step.site), step.forMs, step.days);
      case "home":
        return homes.move(step);
      default:
        return unreachable(step);
    }
  }

  #site(at: number): Site {
    const site = this.#options.world.sites[at];
    if (site === undefined) throw new Error(`there is no site ${at}`);
    return site;
  }

  #placeOf(whose: Tiered): Place {
    const { world } = this.#options;
    return whose.tier === "hub" ? world.hub("hub") : this.#site(whose.site).place;
  }

  #with(place: Place, run: (inhabitant: Inhabitant, place: Place) => void): void {
    if (place.first !== null) run(place.first, place);
  }

  /** Unless there is a clone. */
  #alone(place: Place, run: (inhabitant: Inhabitant, place: Place) => void): void {
    if (place.present.length === 1) this.#with(place, run);
  }

  #flap(place: Place, { times, cutMs, upMs }: Extract<HierarchyStep, { kind: "flap" }>): void {
    this.#options.faults.count("flapping uplink");
    for (let i = 0; i < times; i++)
      this.#at(i * (cutMs + upMs), () => this.#with(place, ({ tier }) => tier.cutUplink(cutMs)));
  }

  /** The backup is of now; some time later the cluster is lost, and made again from it. */
  #restore(place: Place, ageMs: number, downMs: number): void {
    this.#alone(place, (inhabitant) => {
      const { life } = inhabitant;
      const plan = { cluster: place.name, from: life.lineage, at: life.revision, size: place.size };
      this.#at(ageMs, () => {
        if (place.first !== inhabitant || place.present.length > 1) return;
        this.#options.faults.count(place.name === "hub" ? "hub restored from a backup" : "site restored from a backup");
        place.leave(inhabitant);
        const begins = restored({ ...plan, ledger: life.ledger }, this.#random);
        // It comes back, too, when the trouble is over meanwhile.
        this.#options.clock.after(downMs, () => void begins.then((it) => place.settle(it)));
      });
    });
  }

  #reparent(site: Site): void {
    const { faults, trace, clock, world } = this.#options;
    this.#alone(site.place, ({ life }) => {
      faults.count("site moved to another hub");
      site.parent = world.hubs.find(({ name }) => name !== site.parent)?.name ?? site.parent;
      site.hasMoved = true;
      trace.tell(site.place.name, `moves to ${site.parent}`);
      // One member after the other, as an operator does; all of them, also when the trouble is over meanwhile.
      for (const [i, member] of life.members.entries())
        clock.after(i * ROLLING_MS, () => life.crash(member, 0, { survivors: 1, torn: false }));
    });
  }

  #offline({ place }: Site, forMs: number, days: number): void {
    const { faults, world } = this.#options;
    this.#alone(place, ({ life, tier }) => {
      faults.count("months offline");
      tier.cutUplink(forMs);
      this.#at(forMs / 2, () => {
        for (const { present } of world.places)
          for (const other of present) for (const { clock } of other.life.members) clock.leap(days * DAY_MS);
        const leader = life.cluster.leading();
        if (leader === undefined) return;
        const { parentHolds } = leader.replica.position();
        // What may be compacted of a child is what its parent has (S5).
        leader.replica
          .execute(
            { kind: "compact", revision: revision(parentHolds) },
            { principal: "operator", timeoutMs: COMPACT_MS },
          )
          .catch(() => undefined);
      });
    });
  }
}
