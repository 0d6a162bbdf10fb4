/** What excuses a mirror from a revision: a snapshot that came in its stead (S4, L4), and nothing else. */

import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { expect, test } from "vitest";
import { FaultCounts, HIERARCHY_FAULTS } from "../../simulation/faults.ts";
import type { HierarchyPlan } from "../../simulation/hierarchy/plan.ts";
import { replacedFor } from "../../simulation/hierarchy/replaced.ts";
import { hierarchyFaults } from "../../simulation/hierarchy/verdict.ts";
import { HierarchyWorld } from "../../simulation/hierarchy/world.ts";
import { Trace } from "../../simulation/trace.ts";
import { VirtualClock } from "../../simulation/virtual-clock.ts";

/** What matters of each record is its hash: the letter of whoever wrote it there. */
const ledger = (letters: string): StoredRecord[] =>
  [...letters].map((letter, i) => ({
    revision: revision(i + 1),
    hash: utf8(letters.slice(0, i) + letter),
    record: utf8(letter),
  }));

const HUB = ledger("hhhhhhhh");
/** In the stead of the hub's 3 to 6, when the site was at 4. */
const RUN = { from: 3, to: 6, hash: utf8("hhhhhh"), at: 4 };
const took = { ledger: ledger("ssssss"), runs: [RUN] };
const excused = (is: (at: number) => boolean): readonly number[] => [1, 2, 3, 4, 5, 6, 7, 8].filter(is);

test("S4, L4: what a life took as a snapshot, one that was restored from its backup has so, too", () => {
  const hub = { lives: [HUB], ledger: HUB };
  const restored = ledger("sssszz");
  expect(excused(replacedFor({ lives: [took], ledger: took.ledger }, hub))).toEqual([3, 4, 5, 6]);
  expect(excused(replacedFor({ lives: [took, { ledger: restored, runs: [] }], ledger: restored }, hub))).toEqual([
    3, 4, 5, 6,
  ]);
});

test("S4: it excuses no life that was restored from a backup of before", () => {
  const restored = ledger("ssszzz");
  const lives = [took, { ledger: restored, runs: [] }];
  expect(excused(replacedFor({ lives, ledger: restored }, { lives: [HUB], ledger: HUB }))).toEqual([]);
});

test("L3, S4: nor does it stand for what another life of the sender wrote", () => {
  const later = ledger("hhhhxxxx");
  const lives = [HUB, later];
  expect(excused(replacedFor({ lives: [took], ledger: took.ledger }, { lives, ledger: later }))).toEqual([3, 4]);
});

/** No log is ever cut, so that nothing is on a disk but in its log: the state of a life that ended is as it began. */
const WHOLE_LOGS = {
  ...{ entriesMax: 1e6, bytesMax: 1e9, entriesKept: 1e6, bytesKept: 1e9, entriesBetween: 1e6, bytesBetween: 1e9 },
};

const MOVED_AND_RESTORED: HierarchyPlan = {
  ...{ seed: 1, sites: [1], hub: 1, callers: 2, keys: 5, thinkMs: 250, fsyncMs: 1, applyMs: 0, networkMs: 1 },
  ...{ retention: WHOLE_LOGS, mirrors: false, writers: 0 },
  steps: [
    { at: 5_000, kind: "reparent", site: 0 },
    { at: 10_000, kind: "reparent", site: 0 },
    { at: 15_000, kind: "restore", whose: { tier: "site", site: 0 }, ageMs: 0, downMs: 300 },
  ],
};

// Simulated hierarchy, seed 88536887786: the judge asked the disk of the life that had ended, which had forgotten.
test("S4, L4: a site that came back to a hub, and is restored, lacks nothing; and what it does lack is told", async () => {
  const clock = new VirtualClock();
  const world = new HierarchyWorld(
    MOVED_AND_RESTORED,
    clock,
    new Trace(clock, false),
    new FaultCounts(HIERARCHY_FAULTS),
  );
  await world.run();
  expect(world.violations).toEqual([]);
  const [site] = world.sites;
  const [before, restored] = site?.place.inhabitants ?? [];
  if (before === undefined || restored === undefined) throw new Error("the site has two lives");
  const runs = before.replaced.of("hub");
  expect(runs).not.toEqual([]);
  expect(restored.replaced.of("hub")).toEqual([]);
  // Where no snapshot came, whatever is taken away is missed: of the life before, and of what came since.
  const lost = [0, restored.departure].map((from) => {
    const at = restored.life.ledger.findIndex(
      ({ revision: own, record }) => own > from && isOfHub(decodeRecord(record)),
    );
    const [gone] = restored.life.ledger.splice(at, 1);
    return gone === undefined ? null : decodeRecord(gone.record).origin?.revision;
  });
  const faults = await hierarchyFaults(world);
  for (const at of lost) expect(faults).toContain(`site-1#2 lacks revision ${at} of hub#1`);
});

const isOfHub = ({ origin, snapshot }: LedgerRecord): boolean => origin?.cluster === "hub" && !snapshot;
