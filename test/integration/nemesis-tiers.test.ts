/** The nemesis against a site of three and a hub of three on loopback, for a moment; `npm run nemesis -- --tiers 2` at length. */
import { expect, test } from "vitest";
import { run } from "../nemesis/run.ts";
import { temporaryFolder } from "./site.ts";

const FAULTS = ["freeze-leader", "kill-all", "kill-leader", "uplink-paused"];
const TEST_MS = 600_000;

test(
  "L2, L4, S3: nodes of site and hub die and freeze, and what the site acknowledged is at the hub once, in order",
  async () => {
    const outcome = await run({
      folder: await temporaryFolder(),
      tiers: 2,
      nodes: 3,
      durationMs: 25_000,
      seed: 5,
      pace: { hold: [1_000, 2_000], peace: [200, 800] },
      withoutNamespaces: "this test needs no root",
      only: FAULTS,
      report: () => undefined,
      signal: new AbortController().signal,
    });
    expect(outcome.findings).toEqual([]);
    const kept = { lost: 0, linearizable: true, hashesAgree: true };
    expect(outcome.clusters).toMatchObject([
      { name: "site", ...kept },
      { name: "hub", ...kept },
    ]);
    const crossed = { lost: 0, doubled: 0, altered: 0 };
    expect(outcome.mirror).toMatchObject({ up: crossed, down: crossed });
    expect(outcome.mirror?.up.revisions).toBeGreaterThan(0);
    expect(outcome.mirror?.down.revisions).toBeGreaterThan(0);
    expect(Object.keys(outcome.faults).sort()).toEqual([
      ...["hub/freeze-leader", "hub/kill-all", "hub/kill-leader"],
      ...["site/freeze-leader", "site/kill-all", "site/kill-leader", "uplink-paused"],
    ]);
    // Those that did not come are counted, too: each of the three had some.
    for (const lane of ["hub/", "site/", "uplink-"]) {
      const inflicted = Object.entries(outcome.faults).filter(([name, times]) => name.startsWith(lane) && times > 0);
      expect(inflicted, lane).not.toEqual([]);
    }
  },
  TEST_MS,
);
