/** Choices that a seed makes. */
import type { Random } from "@openclaw/core/ports.ts";

export function anyOf<T>(random: Random, things: readonly T[]): T {
  const thing = things[Math.floor(random.unit() * things.length)];
  if (thing === undefined) throw new Error("nothing to choose from");
  return thing;
}

export function shuffled<T>(random: Random, things: readonly T[]): readonly T[] {
  return things
    .map((thing) => ({ thing, at: random.unit() }))
    .sort((a, b) => a.at - b.at)
    .map(({ thing }) => thing);
}
