/**
 * Who looks after the hierarchy: sees which links were ended because a ledger forked, and does what the documents say. Of a
 * clone and its original the one that the hub refused is switched off; a site that was set back is restored from a backup.
 */
import type { OpenClawError } from "@openclaw/core/errors.ts";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { SeededRandom } from "../seeded-random.ts";
import type { Trace } from "../trace.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import { isForkCode } from "./forks.ts";
import type { Inhabitant, Place } from "./place.ts";
import { restored } from "./restore.ts";
import type { HierarchyWorld, Site } from "./world.ts";

export interface OperatorOptions {
  readonly world: HierarchyWorld;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly seed: number;
}

const LOOK_MS = 100;

export class Operator {
  readonly #options: OperatorOptions;
  readonly #random: SeededRandom;
  /** Errors that were seen. */
  readonly #seen = new WeakSet<OpenClawError>();
  /** Sites that somebody is busy with. */
  readonly #busy = new Set<Place>();
  #over = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed).stream("operator");
    this.#look();
  }

  end(): void {
    this.#over = true;
  }

  #look(): void {
    if (this.#over) return;
    for (const site of this.#options.world.sites) for (const one of site.place.present) this.#lookAt(site, one);
    this.#options.clock.after(LOOK_MS, () => this.#look());
  }

  #lookAt(site: Site, one: Inhabitant): void {
    const { world, trace } = this.#options;
    const hub = world.hub(site.parent).first;
    if (hub !== null) world.forks.look(one, hub, hub.links.get(site.place.name));
    const leader = one.life.cluster.leading();
    const error = leader === undefined ? null : (one.tier.uplinkOf(leader)?.status().lastError ?? null);
    if (error === null || !isForkCode(error.code) || this.#seen.has(error)) return;
    this.#seen.add(error);
    trace.tell("operator", `${one.life.shown}: ${error.code} ${error.details}`);
    world.forks.told(one, error.code);
    if (hub === null || this.#busy.has(site.place)) return;
    this.#busy.add(site.place);
    this.#resolve(site, one, hub, error).then(
      () => this.#busy.delete(site.place),
      (cause: unknown) => world.violation(`the operator of ${one.life.shown}: ${String(cause)}`),
    );
  }

  async #resolve({ place }: Site, one: Inhabitant, hub: Inhabitant, { code }: OpenClawError): Promise<void> {
    const { trace } = this.#options;
    if (place.present.length > 1) {
      trace.tell("operator", `switches off ${one.life.shown}`);
      return place.leave(one);
    }
    if (code === "EPOCH_BEHIND") return;
    const link = hub.links.get(place.name);
    const donor = place.inhabitants.find(({ life }) => {
      const at = link === undefined ? undefined : life.ledger[link.cursor - 1];
      return at !== undefined && link !== undefined && equalBytes(at.hash, link.hash);
    });
    if (donor === undefined) throw new Error(`nobody wrote what ${hub.life.shown} holds`);
    trace.tell("operator", `restores ${place.name} from a backup of ${donor.life.shown}`);
    place.leave(one);
    const { epoch, ledger, revision: at } = donor.life;
    const from = epoch.counter > one.life.epoch.counter ? epoch : one.life.epoch;
    place.settle(await restored({ cluster: place.name, from, ledger, at, size: place.size }, this.#random));
  }
}
