/** The nemesis against three real nodes on loopback, for a moment; `npm run nemesis` does it for as long as you like. */
import { expect, test } from "vitest";
import { run } from "../nemesis/run.ts";
import { temporaryFolder } from "./site.ts";

const FAULTS = ["freeze-leader", "kill", "kill-leader", "restart"];

test("R2, R4: nodes die, freeze and restart under load, and no acknowledged write is lost or out of order", async () => {
  const outcome = await run({
    folder: await temporaryFolder(),
    tiers: 1,
    nodes: 3,
    durationMs: 20_000,
    seed: 3,
    pace: { hold: [1_000, 2_000], peace: [200, 500] },
    withoutNamespaces: "this test needs no root",
    only: FAULTS,
    report: () => undefined,
    signal: new AbortController().signal,
  });
  expect(outcome.findings).toEqual([]);
  expect(outcome.clusters).toMatchObject([{ lost: 0, linearizable: true, hashesAgree: true }]);
  expect(Object.keys(outcome.faults).sort()).toEqual(FAULTS);
  expect(outcome.bands.length).toBeGreaterThan(1);
  expect(outcome.clusters[0]?.acknowledged).toBeGreaterThan(0);
  expect(outcome.clusters[0]?.operations.length).toBeGreaterThan(0);
});
