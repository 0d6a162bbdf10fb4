/**
 * What a seed is: the size of its clusters, its habits, and its schedule of faults. Each seed draws which faults it has at
 * all (swarm testing, Groce et al. 2012): a world with every fault at once hides what a few of them do together.
 */
import type { RetentionLimits } from "@openclaw/core/replica/log-retention.ts";
import type { Unreliability } from "./memory-network.ts";
import { type RotState, rotStateSteps } from "./rotten-row.ts";
import { SeededRandom } from "./seeded-random.ts";

/** Which member a step means, when it comes. */
export type Target = "leader" | "follower" | "any";

/** Steps happen to the site unless they say that they happen to the hub. */
export type Step = { readonly at: number; readonly hub?: true } & StepKind;

export type StepKind =
  /** `survivors`: of what the write under way has to do, this share is done; 1: all of it. */
  | {
      readonly kind: "crash";
      readonly target: Target;
      readonly downMs: number;
      readonly survivors: number;
      readonly torn: boolean;
    }
  /** At the so-manieth call of a store, answer, or send from now on. */
  | { readonly kind: "crashAtPoint"; readonly target: Target; readonly points: number; readonly downMs: number }
  | { readonly kind: "blackout"; readonly downMs: number; readonly survivors: number }
  /** `share`: of the log behind the place. `read`: the disk is whole, and was read at the wrong place. */
  | {
      readonly kind: "rot";
      readonly target: Target;
      readonly share: number;
      readonly read: boolean;
      readonly downMs: number;
    }
  | { readonly kind: "misdirectChunk" }
  | RotState
  | {
      readonly kind: "diskError";
      readonly target: Target;
      readonly full: boolean;
      readonly downMs: number;
    }
  | { readonly kind: "slowDisk"; readonly target: Target; readonly ms: number; readonly forMs: number }
  | { readonly kind: "hungDisk"; readonly target: Target; readonly log: boolean; readonly forMs: number }
  | { readonly kind: "checkpoint"; readonly target: Target }
  | { readonly kind: "stall"; readonly target: Target; readonly forMs: number }
  /** A leader stops, is cut off, and is read from before it can notice either (pitfall 3). */
  | { readonly kind: "oversleep"; readonly forMs: number }
  | { readonly kind: "clockJump"; readonly target: Target; readonly ms: number }
  | { readonly kind: "drift"; readonly rates: readonly number[] }
  | {
      readonly kind: "partition";
      readonly shape: "leader" | "symmetric" | "asymmetric" | "bridge";
      readonly forMs: number;
    }
  | { readonly kind: "network"; readonly unreliability: Unreliability; readonly forMs: number }
  | { readonly kind: "oldDisk"; readonly target: Target; readonly ageMs: number }
  /** `replace`: a newcomer takes the place of the one that is meant; `return`: one that was removed is added again. */
  | {
      readonly kind: "membership";
      readonly change: "add" | "replace" | "remove" | "return";
      readonly target: Target;
      readonly timeoutMs: number;
    }
  | { readonly kind: "transfer"; readonly target: Target; readonly timeoutMs: number }
  /** A later release, node after node, with so much time in between. */
  | { readonly kind: "upgrade"; readonly everyMs: number; readonly downMs: number }
  | { readonly kind: "cutUplink"; readonly forMs: number; readonly times: number }
  | { readonly kind: "deviceDeath"; readonly device: number; readonly downMs: number; readonly evicted: boolean };

export interface Scenario {
  readonly seed: number;
  readonly members: number;
  /** Members of the hub; 0 for none, and then there are no clients that sync either. */
  readonly hubMembers: number;
  readonly devices: number;
  readonly callers: number;
  readonly txnClients: number;
  readonly leaseHolders: number;
  readonly thinkMs: number;
  readonly keys: number;
  readonly fsyncMs: number;
  readonly applyMs: number;
  readonly networkMs: number;
  readonly encoded: boolean;
  readonly retention: RetentionLimits;
  readonly watchers: number;
  /** After everything healed: does the fleet fall silent (L1)? */
  readonly idle: boolean;
  readonly steps: readonly Step[];
}

/** Faults come until then, ms; then everything heals. */
export const TROUBLE_MS = 52_000;
/** A monotonic clock runs that share too fast or too slow at most. */
export const DRIFT = 0.1;
const FIRST_STEP_MS = 1_500;
const DECADE_MS = 10 * 365.25 * 86_400_000;

const limits = (max: number, kept: number, between: number): RetentionLimits => ({
  entriesMax: max,
  bytesMax: 1e9,
  entriesKept: kept,
  bytesKept: 1e9,
  entriesBetween: between,
  bytesBetween: 1e9,
});

export function scenario(seed: number): Scenario {
  const random = new SeededRandom(seed).stream("scenario");
  const members = random.weighted([
    [1, 4],
    [2, 4],
    [3, 46],
    [4, 6],
    [5, 32],
    [6, 3],
    [7, 5],
  ]);
  const tiers = random.chance(0.1);
  return {
    seed,
    members: tiers ? Math.min(members, 5) : members,
    hubMembers: tiers ? random.pick([1, 1, 3]) : 0,
    devices: tiers ? random.below(5, 2) : 0,
    callers: tiers ? 3 : random.below(5, 3),
    txnClients: tiers ? 1 : random.below(3, 1),
    leaseHolders: tiers ? 1 : random.below(3, 1),
    thinkMs: random.pick([300, 400]),
    keys: random.pick([1, 3, 6]),
    fsyncMs: random.pick([1, 5, 30]),
    applyMs: random.pick([0, 2, 20]),
    networkMs: random.pick([1, 5, 20]),
    encoded: random.chance(0.3),
    retention: random.weighted([
      [limits(20, 4, 5), 3],
      [limits(1, 0, 1), 2],
      [limits(100, 10, 20), 3],
      [limits(1e6, 1e6, 1e6), 2],
    ]),
    watchers: random.below(4, 1),
    idle: random.chance(tiers ? 0.3 : 0.1),
    steps: [...steps(random, tiers), ...rotStateSteps(seed, FIRST_STEP_MS, TROUBLE_MS)].sort((a, b) => a.at - b.at),
  };
}

/** The steps of a seed in their order. Their numbers name them when a failing schedule is made shorter. */
function steps(random: SeededRandom, tiers: boolean): readonly Step[] {
  const kinds = drawers(random).filter(({ tier }) => tiers || tier !== true);
  const chosen = kinds.filter(({ always }) => always === true || random.chance(0.55));
  const weights = chosen.map((kind) => [kind, kind.weight * random.pick([0.3, 1, 3])] as const);
  const count = random.below(26, 10);
  const drawn: Step[] = [];
  if (random.chance(0.5))
    drawn.push({ at: 0, kind: "drift", rates: Array.from({ length: 7 }, () => 1 - DRIFT + 2 * DRIFT * random.unit()) });
  for (let i = 0; i < count; i++) {
    const { draw, tier } = random.weighted(weights);
    const hub = tiers && tier !== true && random.chance(0.25) ? ({ hub: true } as const) : {};
    drawn.push({ at: random.below(TROUBLE_MS, FIRST_STEP_MS), ...hub, ...draw() });
  }
  return drawn;
}

interface Drawer {
  readonly weight: number;
  /** Leaders change in every seed. */
  readonly always?: true;
  readonly tier?: true;
  draw(): StepKind;
}

function drawers(random: SeededRandom): readonly Drawer[] {
  const target = (): Target =>
    random.weighted([
      ["leader", 5],
      ["follower", 2],
      ["any", 3],
    ] as const);
  const whileMs = (): number =>
    random.pick([random.below(400, 20), random.below(3_000, 400), random.below(9_000, 2_000)]);
  const share = (): number => random.pick([0, random.unit(), 1]);
  return [
    {
      weight: 4,
      always: true,
      draw: () => ({
        kind: "crash",
        target: target(),
        downMs: whileMs(),
        survivors: share(),
        torn: random.chance(0.5),
      }),
    },
    {
      weight: 4,
      draw: () => ({ kind: "crashAtPoint", target: target(), points: random.below(40), downMs: whileMs() }),
    },
    { weight: 1, draw: () => ({ kind: "blackout", downMs: random.below(2_000), survivors: share() }) },
    {
      weight: 2,
      draw: () => ({
        kind: "rot",
        target: target(),
        share: random.unit() ** 2,
        read: random.chance(0.4),
        downMs: random.below(2_000),
      }),
    },
    { weight: 1, draw: () => ({ kind: "misdirectChunk" }) },
    {
      weight: 2,
      draw: () => ({
        kind: "diskError",
        target: target(),
        full: random.chance(0.5),
        downMs: whileMs(),
      }),
    },
    {
      weight: 2,
      draw: () => ({ kind: "slowDisk", target: target(), ms: random.pick([50, 300, 1_000]), forMs: whileMs() }),
    },
    { weight: 1, draw: () => ({ kind: "hungDisk", target: target(), log: random.chance(0.6), forMs: whileMs() }) },
    { weight: 2, draw: () => ({ kind: "checkpoint", target: target() }) },
    {
      weight: 3,
      draw: () => ({
        kind: "stall",
        target: target(),
        forMs: random.pick([random.below(900, 100), random.below(10_000, 900)]),
      }),
    },
    { weight: 2, draw: () => ({ kind: "oversleep", forMs: random.below(4_000, 2_000) }) },
    {
      weight: 2,
      draw: () => ({
        kind: "clockJump",
        target: "any",
        ms: (random.chance(0.5) ? 1 : -1) * random.pick([3_600_000, DECADE_MS]),
      }),
    },
    {
      weight: 5,
      always: true,
      draw: () => ({
        kind: "partition",
        shape: random.pick(["leader", "leader", "symmetric", "asymmetric", "bridge"]),
        forMs: random.below(7_000, 800),
      }),
    },
    {
      weight: 4,
      draw: () => ({ kind: "network", unreliability: unreliability(random), forMs: random.below(20_000, 1_000) }),
    },
    {
      weight: 3,
      draw: () => ({
        kind: "membership",
        change: random.pick(["add", "add", "replace", "replace", "remove", "return"]),
        target: target(),
        timeoutMs: random.pick([1_000, 10_000]),
      }),
    },
    { weight: 3, draw: () => ({ kind: "transfer", target: target(), timeoutMs: random.pick([500, 4_000]) }) },
    { weight: 1.5, draw: () => ({ kind: "oldDisk", target: "follower", ageMs: random.below(15_000, 500) }) },
    { weight: 1, draw: () => ({ kind: "upgrade", everyMs: random.below(4_000, 200), downMs: random.below(1_500) }) },
    { weight: 3, tier: true, draw: () => ({ kind: "cutUplink", forMs: whileMs(), times: random.pick([1, 1, 4]) }) },
    {
      weight: 3,
      tier: true,
      draw: () => ({ kind: "deviceDeath", device: random.below(8), downMs: whileMs(), evicted: random.chance(0.3) }),
    },
  ];
}

function unreliability(random: SeededRandom): Unreliability {
  return {
    lost: random.pick([0, 0.02, 0.2]),
    repeated: random.pick([0, 0.1]),
    replayed: random.pick([0, 0.05]),
    delayed: random.pick([0, 0.05]),
    delayMs: random.pick([200, 1_500]),
    jitterMs: random.pick([0, 5, 120]),
  };
}
