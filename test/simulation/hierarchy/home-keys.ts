/** The keys of the hierarchy that have homes (Q3). */
import { SECRET } from "../checkers/private.ts";
import type { SeededRandom } from "../seeded-random.ts";

/** Their homes move; one is within another. */
export const MOVABLE = ["m/", "m/n/", "o/"] as const;
/** Private at each cluster, in all its life. */
export const PRIVATE = "p/";
/** Each cluster's own: a hub asks for them, too. */
const OWN = "a/";

export const NAMES = ["x", "y", "z"] as const;

export const movableKey = (random: SeededRandom, prefix: string): string => `${prefix}${random.pick(NAMES)}`;

export const privateKey = (random: SeededRandom): string => `${PRIVATE}${SECRET} ${random.pick(NAMES)}`;

export const ownKey = (random: SeededRandom): string => `${OWN}${random.pick(NAMES)}`;
