/** Faults of the network between nodes: parts that do not hear each other, in both directions or in one. */

import { anyOf, shuffled } from "../choice.ts";
import type { Namespaces } from "../namespaces.ts";
import { type Fault, leaderOf, type Stage } from "./fault.ts";

type Link = readonly [from: number, to: number];

interface Cut {
  readonly what: string;
  /** Directions in which nothing arrives. */
  readonly links: readonly Link[];
}

/** Nothing between the two sides, in either direction. */
const between = (one: readonly number[], other: readonly number[]): readonly Link[] =>
  one.flatMap((a) => other.flatMap((b): Link[] => [[a, b], [b, a]])); // biome-ignore format: a pair a line says less

const said = (places: readonly number[]): string => places.map((place) => place + 1).join(" ");

function split(side: readonly number[], all: readonly number[]): Cut {
  const rest = all.filter((place) => !side.includes(place));
  return { what: `partition: ${said(side)} | ${said(rest)}`, links: between(side, rest) };
}

const cuts: Readonly<Record<string, (stage: Stage, all: readonly number[]) => Promise<Cut>>> = {
  "partition-one": async ({ random }, all) => split([anyOf(random, all)], all),
  "partition-leader": async (stage, all) => split([(await leaderOf(stage)).place], all),
  /** The leader and as many as a minority holds, on one side. */
  "partition-minority": async (stage, all) => {
    const leader = (await leaderOf(stage)).place;
    const others = shuffled(
      stage.random,
      all.filter((place) => place !== leader),
    );
    return split([leader, ...others.slice(0, Math.ceil(all.length / 2) - 2)], all);
  },
  /** Everybody is alone: nobody has a majority. */
  "partition-all": async (_, all) => ({ what: "partition: everybody alone", links: between(all, all) }),
  /** One hears the others and is not heard, or the other way round. */
  "partition-one-way": async ({ random }, all) => {
    const one = anyOf(random, all);
    const rest = all.filter((place) => place !== one);
    return random.unit() < 0.5
      ? { what: `${one + 1} is not heard by the others`, links: rest.map((place) => [one, place]) }
      : { what: `${one + 1} does not hear the others`, links: rest.map((place) => [place, one]) };
  },
  /** One direction of one link. */
  "partition-one-link": async ({ random }, all) => {
    const [from = 0, to = 0] = shuffled(random, all);
    return { what: `nothing of ${from + 1} arrives at ${to + 1}`, links: [[from, to]] };
  },
  /** Two halves that do not hear each other, and one between them that hears and is heard by all. */
  "partition-bridge": async ({ random }, all) => {
    const [bridge = 0, ...others] = shuffled(random, all);
    const half = Math.ceil(others.length / 2);
    const [left, right] = [others.slice(0, half), others.slice(half)];
    return { what: `partition: ${said(left)} | ${said(right)}, bridged by ${bridge + 1}`, links: between(left, right) };
  },
};

export const partitionNames: readonly string[] = Object.keys(cuts);

export const partitionFaults = (namespaces: Namespaces): readonly Fault[] =>
  Object.entries(cuts).map(([name, choose]) => ({
    name,
    lane: "network",
    async inflict(stage) {
      const { what, links } = await choose(
        stage,
        stage.cluster.members.map(({ place }) => place),
      );
      stage.report(what);
      const rules = namespaces.rules();
      try {
        for (const [from, to] of links) if (from !== to) await rules.drop(from, to, 1);
        await stage.hold();
      } finally {
        await rules.heal();
      }
    },
  }));
