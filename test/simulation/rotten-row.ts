/** When a row of a state rots, and which: what comes of it is in rotten-state.ts. */
import { SeededRandom } from "./seeded-random.ts";

/** Under a tag of mirrors of a cluster that there is not: no caller reads it, and what is answered stays right. */
export const ROTTEN_ROW: Uint8Array = Uint8Array.of(0x11, 3, 0x72, 0x6f, 0x74);

/** A row of the state is another one than was applied. */
export interface RotState {
  readonly kind: "rotState";
  readonly target: "leader" | "follower";
}

/** Drawn apart: seeds keep what else happens in them. */
export function rotStateSteps(seed: number, from: number, to: number): readonly ({ readonly at: number } & RotState)[] {
  const random = new SeededRandom(seed).stream("rot of states");
  if (!random.chance(0.4)) return [];
  return Array.from({ length: random.below(4, 1) }, () => ({
    at: random.below(to, from),
    kind: "rotState" as const,
    target: random.pick(["leader", "follower", "follower"] as const),
  }));
}
