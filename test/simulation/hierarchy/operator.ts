/**
 * Who looks after the hierarchy: sees which links were ended because a ledger forked, and does what the documents say. Of a
 * clone and its original the one that the hub refused is switched off; a site that was set back is restored from a backup.
 */

import { equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { epochsOf } from "@openclaw/core/ledger/lineage.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { carryOutChange, planResolution, type Resolution } from "@openclaw/core/sync/life-change.ts";
import { SeededRandom } from "../seeded-random.ts";
import { sha256 } from "../sha256.ts";
import type { Trace } from "../trace.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import { isForkCode, isWrittenIn } from "./forks.ts";
import type { Hierarchy, Site } from "./hierarchy.ts";
import type { Inhabitant, Place } from "./place.ts";
import { clusterOf, restored } from "./restore.ts";

export interface OperatorOptions {
  readonly world: Hierarchy;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly seed: number;
}

const LOOK_MS = 100;
/** An operator tries again. */
const RETRY_MS = 1_000;
const TRIES_MAX = 60;
const PROPOSE_MS = 5_000;

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
    if (hub !== null) world.forks.look(one, hub, site.place.name);
    const leader = one.life.cluster.leading();
    const error = leader === undefined ? null : (one.tier.uplinkOf(leader)?.status().lastError ?? null);
    if (error === null || !isForkCode(error.code) || this.#seen.has(error)) return;
    this.#seen.add(error);
    trace.tell("operator", `${one.life.shown}: ${error.code} ${error.details}`);
    world.forks.told(one, hub, error.code);
    if (hub === null || this.#busy.has(site.place)) return;
    this.#busy.add(site.place);
    this.#resolve(site, one, hub, error).then(
      () => this.#busy.delete(site.place),
      (cause: unknown) => world.violation(`the operator of ${one.life.shown}: ${String(cause)}`),
    );
  }

  async #resolve({ place }: Site, one: Inhabitant, hub: Inhabitant, { code }: OpenClawError): Promise<void> {
    if (place.present.length > 1) {
      this.#options.trace.tell("operator", `switches off ${one.life.shown}`);
      return place.leave(one);
    }
    return code === "EPOCH_BEHIND" ? this.#follow(place, one, hub) : this.#restore(place, one, hub);
  }

  /** `openclaw site resolve`: the hub follows the life that was restored, from where it departed. */
  async #follow(place: Place, one: Inhabitant, hub: Inhabitant): Promise<void> {
    const { trace, clock } = this.#options;
    const { epoch, shown } = one.life;
    for (let tries = 0; tries < TRIES_MAX && !hub.life.over && !one.life.over; tries++) {
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
      const leader = hub.life.cluster.leading();
      if (leader === undefined) continue;
      try {
        const plan = await planResolution(leader.replica, sha256, clusterOf(place.name), epoch.nonce);
        this.#checkPlan(place, one, hub, plan);
        const options = { principal: "operator", timeoutMs: PROPOSE_MS };
        await carryOutChange((command) => leader.replica.propose(command, options), plan, null);
        trace.tell("operator", `${hub.life.shown} follows ${shown} from ${plan.parting}`);
        return;
      } catch (error) {
        if (!(error instanceof OpenClawError)) throw error;
        trace.tell("operator", `${hub.life.shown} does not follow ${shown} yet: ${error.message}`);
        // It follows another one by now, or the one before was done although nobody heard so.
        if (
          error.code === "WRONG_EPOCH" ||
          (error.code === "NOT_FOUND" && hub.links.get(place.name)?.epoch.nonce === epoch.nonce)
        )
          return;
      }
    }
    if (!hub.life.over && !one.life.over)
      throw new Error(`${hub.life.shown} was not told of ${shown}, or does not follow it`);
  }

  /** What the dry run itemises is what the hub took above the parting, and nothing else. */
  #checkPlan({ name }: Place, { life }: Inhabitant, hub: Inhabitant, { parting, taken, from, to }: Resolution): void {
    // What an epoch wrote above where the next one departed is of a life that was left before.
    const epochs = epochsOf(from);
    const ends = new Map(epochs.map(({ nonce }, i) => [nonce, epochs[i + 1]?.departure ?? Number.POSITIVE_INFINITY]));
    const above = hub.life.ledger
      .map(({ record }) => decodeRecord(record).origin)
      .filter((origin) => origin !== null && origin.cluster === name)
      .filter(
        (origin) => origin !== null && origin.revision > parting && origin.revision <= (ends.get(origin.epoch) ?? 0),
      );
    // Restored twice before anybody decided: both part where the first life that the hub did not follow began.
    const departed = epochsOf(to).find(({ nonce }) => !ends.has(nonce))?.departure;
    if (parting !== departed || above.length !== taken.revisions)
      this.#options.world.violation(
        `the dry run says that ${taken.revisions} revisions of ${name} above ${parting} are put aside; ` +
          `${life.shown} departed at ${departed}, and ${hub.life.shown} has ${above.length} above`,
      );
  }

  /** Whoever goes on must have what the hub has: the newest backup of the life that wrote it. */
  async #restore(place: Place, one: Inhabitant, hub: Inhabitant): Promise<void> {
    const link = hub.links.get(place.name);
    const record = hub.records.get(place.name);
    const donor = place.inhabitants.find(({ life }) => {
      if (record !== undefined) return isWrittenIn(life, record);
      const at = link === undefined ? undefined : life.ledger[link.cursor - 1];
      return at !== undefined && link !== undefined && equalBytes(at.hash, link.hash);
    });
    if (donor === undefined) throw new Error(`nobody wrote what ${hub.life.shown} holds`);
    this.#options.trace.tell("operator", `restores ${place.name} from a backup of ${donor.life.shown}`);
    place.leave(one);
    const { lineage, ledger, revision: at } = donor.life;
    place.settle(await restored({ cluster: place.name, from: lineage, ledger, at, size: place.size }, this.#random));
  }
}
