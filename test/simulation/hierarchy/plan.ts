/** What a seed of the hierarchy is: its tiers, their habits, and the schedule of what happens to them. */
import type { Home } from "@openclaw/core/ledger/record.ts";
import type { RetentionLimits } from "@openclaw/core/replica/log-retention.ts";
import { SeededRandom } from "../seeded-random.ts";
import { MOVABLE } from "./home-keys.ts";

/** A site, by its place; or the hub. */
export type Tiered = { readonly tier: "site"; readonly site: number } | { readonly tier: "hub" };

export type HierarchyStep = { readonly at: number } & (
  | {
      readonly kind: "crash";
      readonly whose: Tiered;
      readonly downMs: number;
      readonly survivors: number;
      readonly torn: boolean;
    }
  | { readonly kind: "blackout"; readonly whose: Tiered; readonly downMs: number }
  /** What leads the hub, and with it most uplinks, dies or is cut off. */
  | { readonly kind: "hubFailover"; readonly how: "crash" | "partition"; readonly forMs: number }
  | {
      readonly kind: "flap";
      readonly site: number;
      readonly times: number;
      readonly cutMs: number;
      readonly upMs: number;
    }
  /** `ageMs`: what the backup lacks of the newest. */
  | { readonly kind: "restore"; readonly whose: Tiered; readonly ageMs: number; readonly downMs: number }
  /** The disks of a whole cluster are set back to a copy, and nobody begins an epoch. */
  | { readonly kind: "rollBack"; readonly site: number; readonly ageMs: number }
  /** A copy of a whole cluster runs beside it. */
  | { readonly kind: "clone"; readonly site: number }
  | { readonly kind: "reparent"; readonly site: number }
  /** Months pass while the uplink is cut, and the past is compacted meanwhile at both ends. */
  | { readonly kind: "offline"; readonly site: number; readonly forMs: number; readonly days: number }
  /** An operator moves the home of a prefix (Q3). */
  | {
      readonly kind: "home";
      readonly place: string;
      readonly prefix: string;
      readonly home: Exclude<Home, "private">;
    }
);

export interface HierarchyPlan {
  readonly seed: number;
  /** Members of each. */
  readonly sites: readonly number[];
  readonly hub: number;
  readonly callers: number;
  readonly keys: number;
  readonly thinkMs: number;
  readonly fsyncMs: number;
  readonly applyMs: number;
  readonly networkMs: number;
  readonly retention: RetentionLimits;
  /** Sites see each other's keys, by way of the hub. */
  readonly mirrors: boolean;
  /** At each place, of keys that have homes. */
  readonly writers: number;
  readonly steps: readonly HierarchyStep[];
}

/** Trouble comes until then, ms; then everything heals. */
export const HIERARCHY_TROUBLE_MS = 40_000;
const FIRST_STEP_MS = 2_000;
const HOMES_MS = 1_000;
/** All sites begin at the first. */
export const HUBS: readonly [string, string] = ["hub", "other-hub"];
export const siteName = (at: number): string => `site-${at + 1}`;

const retention = (max: number, kept: number, between: number): RetentionLimits => ({
  ...{ entriesMax: max, bytesMax: 1e9, entriesKept: kept, bytesKept: 1e9, entriesBetween: between, bytesBetween: 1e9 },
});

export function hierarchyPlan(seed: number): HierarchyPlan {
  const random = new SeededRandom(seed).stream("hierarchy");
  const sites = Array.from({ length: random.below(4, 1) }, () => random.pick([1, 1, 3]));
  const site = (): number => random.below(sites.length);
  const whose = (): Tiered => (random.chance(0.3) ? { tier: "hub" } : { tier: "site", site: site() });
  const downMs = (): number => random.pick([0, 300, random.below(5_000)]);
  const kinds: readonly (readonly [() => Omit<HierarchyStep, "at">, number])[] = [
    [
      () => ({ kind: "crash", whose: whose(), downMs: downMs(), survivors: random.unit(), torn: random.chance(0.3) }),
      6,
    ],
    [() => ({ kind: "blackout", whose: whose(), downMs: downMs() }), 2],
    [() => ({ kind: "hubFailover", how: random.pick(["crash", "partition"]), forMs: random.below(4_000, 300) }), 4],
    [
      () => ({
        kind: "flap",
        ...{ site: site(), times: random.below(8, 2), cutMs: random.below(1_500, 50), upMs: random.below(1_000, 20) },
      }),
      3,
    ],
    [() => ({ kind: "restore", whose: whose(), ageMs: random.pick([0, 0, random.below(8_000)]), downMs: downMs() }), 4],
    [() => ({ kind: "rollBack", site: site(), ageMs: random.below(8_000, 500) }), 1.5],
    [() => ({ kind: "clone", site: site() }), 1.5],
    [() => ({ kind: "reparent", site: site() }), 1.5],
    [() => ({ kind: "offline", site: site(), forMs: random.below(12_000, 3_000), days: random.below(120, 20) }), 2],
  ];
  // Each seed has some kinds only (swarm testing, Groce et al. 2012).
  const chosen = kinds.filter(() => random.chance(0.6));
  const steps = Array.from({ length: chosen.length === 0 ? 0 : random.below(9, 3) }, () => {
    const at = random.below(HIERARCHY_TROUBLE_MS, FIRST_STEP_MS);
    return { at, ...random.weighted(chosen)() } as HierarchyStep;
  });
  const homes = homeSteps(new SeededRandom(seed).stream("homes"), sites.length);
  const compacts = steps.some(({ kind }) => kind === "offline");
  return {
    seed,
    sites,
    hub: random.pick([1, 3, 3]),
    callers: random.below(4, 2),
    keys: random.pick([2, 5, 40]),
    thinkMs: random.pick([250, 500]),
    fsyncMs: random.pick([1, 5, 20]),
    applyMs: random.pick([0, 2, 10]),
    networkMs: random.pick([1, 5, 20]),
    retention: random.pick([retention(20, 4, 5), retention(100, 10, 20), retention(1e6, 1e6, 1e6)]),
    mirrors: random.chance(0.3),
    writers: homes === null ? 0 : 2,
    steps: [...steps.filter((step) => !compacts || !needsAll(step)), ...(homes ?? [])].sort((a, b) => a.at - b.at),
  };
}

/** Null: nobody knows of homes. */
function homeSteps(random: SeededRandom, sites: number): readonly HierarchyStep[] | null {
  if (random.chance(0.25)) return null;
  // Each seed moves some of them.
  const prefixes = MOVABLE.filter(() => random.chance(0.7));
  return Array.from({ length: prefixes.length === 0 ? 0 : random.below(14, 2) }, () => ({
    at: random.below(HIERARCHY_TROUBLE_MS, HOMES_MS),
    kind: "home" as const,
    place: random.weighted([
      [HUBS[0], 12],
      [HUBS[1], 3],
      [siteName(random.below(sites)), 1],
    ]),
    prefix: random.pick(prefixes),
    home: random.pick(["hub", "site"] as const),
  }));
}

/** A hub that knows nothing of a site wants its ledger from the beginning. */
const needsAll = (step: HierarchyStep): boolean =>
  step.kind === "reparent" || (step.kind === "restore" && step.whose.tier === "hub");
