/** Q2, Q3, of a hierarchy that has converged: where everything ran, who accepted it, and what each reads of it. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Outcome } from "@openclaw/core/state-machine/command.ts";
import type { CommandState } from "@openclaw/core/state-machine/query.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { HandoverChecker } from "../checkers/handover.ts";
import { askFaults, isQueued, processOrderFaults, type Ran, ranOf, repeatFaults } from "../checkers/home-commands.ts";
import type { MemoryMember } from "../memory-cluster.ts";
import { sha256 } from "../sha256.ts";
import type { Hierarchy, Site } from "./hierarchy.ts";
import { MOVABLE, NAMES } from "./home-keys.ts";
import type { TimedAsk } from "./home-writers.ts";
import type { Inhabitant, Place } from "./place.ts";

const COMMANDS_MAX = 10_000;
/** What a command may fail with where it was queued. */
const FAILS: ReadonlySet<string> = new Set(["READ_ONLY", "CROSS_HOME", "OUTCOME_UNKNOWN", "UNKNOWN_CHILD"]);

/** What came of all that was asked on keys that have homes. */
export interface HomeCounts {
  readonly moves: number;
  /** Run where they were asked for. */
  readonly direct: number;
  readonly queued: number;
  /** Of those that were queued. */
  readonly done: number;
  readonly failed: number;
  readonly unknown: number;
}

export const NO_HOMES: HomeCounts = { moves: 0, direct: 0, queued: 0, done: 0, failed: 0, unknown: 0 };

export function homeCounts(world: Hierarchy, moves: number): HomeCounts {
  const asks = world.places.flatMap(({ inhabitants }) => inhabitants.flatMap(({ writers }) => writers.asks));
  const queued = asks.filter(({ answer }) => answer !== null && isQueued(answer));
  const lost = queued.filter(({ settled, forgotten }) => forgotten || isUnknown(settled));
  return {
    moves,
    direct: asks.filter(({ answer }) => answer?.ok === true && !isQueued(answer)).length,
    queued: queued.length,
    done: queued.filter(({ settled }) => settled?.ok === true).length,
    failed: queued.filter(({ settled }) => settled?.ok === false && !isUnknown(settled)).length,
    unknown: lost.length,
  };
}

const isUnknown = (settled: Outcome | null): boolean => settled?.ok === false && settled.code === "OUTCOME_UNKNOWN";

/** All that one inhabitant wrote. */
interface Looked extends Ran {
  readonly place: Place;
  readonly one: Inhabitant;
  readonly handover: HandoverChecker;
}

export function homeFaults(world: Hierarchy): readonly string[] {
  const looked = world.places.flatMap((place) => place.inhabitants.map((one) => lookAt(world, place, one)));
  const present = looked.filter(({ one }) => !one.life.over);
  return [
    ...looked.flatMap((at) => [
      ...repeatFaults(at),
      ...at.handover.faults,
      ...at.one.writers.asks.flatMap((ask) => askFaultsAt(world, ask, at, looked)),
    ]),
    ...looked.flatMap(({ one }) => present.flatMap((at) => processOrderFaults(one.writers.asks, at))),
    ...world.sites.flatMap((site) => readingFaults(site, world.hub(site.parent), present)),
  ];
}

function lookAt(world: Hierarchy, place: Place, one: Inhabitant): Looked {
  const records = one.life.ledger.map(({ record }) => decodeRecord(record));
  const isHub = world.hubs.includes(place);
  const parents = isHub ? [] : world.hubs.map(({ name }) => name);
  const handover = new HandoverChecker(one.life.shown, place.name, parents);
  for (const record of records) handover.take(record);
  return { ...ranOf(one.life.shown, records), place, one, handover };
}

function askFaultsAt(world: Hierarchy, ask: TimedAsk, own: Looked, looked: readonly Looked[]): readonly string[] {
  // Whoever runs under an identity that another one has, too, may be told what became of the other one's command.
  const isCopy = own.place.inhabitants.some(
    ({ life }) => life !== own.one.life && life.epoch.nonce === own.one.life.epoch.nonce,
  );
  const homes = looked.filter(({ place }) => place !== own.place);
  const others = homes.filter(({ one }) => !one.life.over && ask.began >= one.since);
  const failure = ask.settled?.ok === false ? ask.settled.code : null;
  // No word came of the parent before, or of its life before.
  const isMoved = world.sites.some(
    ({ place, hasMoved, parent }) => place === own.place && (hasMoved || world.hub(parent).inhabitants.length > 1),
  );
  const wrong =
    failure === null || (FAILS.has(failure) && (failure !== "OUTCOME_UNKNOWN" || isMoved))
      ? []
      : [`${ask.mark} failed with ${failure}`];
  if (isCopy && own.one.life.over) return wrong;
  return [...wrong, ...askFaults(ask, { own, homes, others })];
}

/** What a site reads of keys whose home is its hub is what the hub has. */
function readingFaults(site: Site, above: Place, present: readonly Looked[]): readonly string[] {
  const [at, hub] = [site.place, above].map((place) => present.find((one) => one.place === place));
  if (at === undefined || hub === undefined) return [];
  const faults = hub.handover.unopened.map((prefix) => `${hub.name} never opened ${prefix}`);
  for (const prefix of MOVABLE) {
    for (const name of NAMES) {
      const key = `${prefix}${name}`;
      const standing = hub.handover.homeOf(key);
      const here = at.handover.homeOf(key);
      if (standing?.home !== "ours") {
        if (here?.home === "parent") faults.push(`${at.name} takes ${key} for its parent's, ${hub.name} does not`);
        continue;
      }
      if (here?.home !== "parent") faults.push(`${at.name} takes ${key} for its own, its home is ${hub.name}`);
      if (at.handover.own.has(key)) faults.push(`${at.name} still has a ${key} of its own, its home is ${hub.name}`);
      for (const { state, id } of at.one.life.members) {
        const { row, origin } = query(state.view, { kind: "get", origin: null, key: utf8(key) }, sha256);
        const theirs = hub.handover.own.get(key);
        const read = row === null ? undefined : utf8Text(row.value);
        if (origin !== above.name || read !== theirs)
          faults.push(`${at.name} ${id} reads ${key} = ${read} of ${origin}, ${hub.name} has ${theirs}`);
      }
    }
  }
  return faults;
}

/**
 * Commands that still wait, at who runs now. One for a child that went to another hub waits until it is forgotten, also where
 * the child came back: it takes a snapshot then (S4), and not the records between (SPEC.md, Q2).
 */
export function waiting(world: Hierarchy): readonly string[] {
  return world.places.flatMap((place) =>
    place.present.flatMap(({ life }) => {
      const member = life.members.find(({ ready }) => ready);
      const gone = ({ via }: CommandState): boolean =>
        world.sites.some((site) => site.place.name === via && site.hasMoved);
      return (member === undefined ? [] : waitingAt(member))
        .filter((command) => !gone(command))
        .map(({ revision: at, via }) => `${life.shown}'s ${at} waits at ${via ?? "its parent"}`);
    }),
  );
}

const waitingAt = ({ state }: MemoryMember): readonly CommandState[] =>
  query(state.view, { kind: "commands", after: revision(0), limit: COMMANDS_MAX }, sha256).commands.filter(
    ({ outcome }) => outcome === null,
  );
