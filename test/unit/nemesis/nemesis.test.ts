/** When faults hold: as lanes allow, and never after the run is called off. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { RealCluster } from "../../nemesis/cluster.ts";
import type { Fault, Lane } from "../../nemesis/faults/fault.ts";
import { type Band, Nemesis } from "../../nemesis/nemesis.ts";

const nobody: RealCluster = {
  members: [],
  everyone: [],
  name: "nobody",
  directory: "",
  token: "",
  status: async () => null,
  hashedStatus: async () => null,
  voters: async () => null,
  leader: async () => null,
  succeed: async () => {
    throw new Error("nobody is there");
  },
};

const fault = (name: string, lane: Lane): Fault => ({
  name,
  lane,
  inflict: async (stage) => {
    stage.report(`${name} holds`);
    await stage.hold();
  },
});

const PLAN = [
  fault("kill", "nodes"),
  fault("freeze", "nodes"),
  fault("old-disk", "alone"),
  fault("partition", "network"),
  fault("lossy", "network"),
];

/** Runs until each has held a few times. */
async function attack(): Promise<Nemesis> {
  const off = new AbortController();
  const started = performance.now();
  const nemesis = new Nemesis({
    cluster: nobody,
    faults: PLAN,
    seed: 7,
    pace: { hold: [4, 12], peace: [0, 3] },
    now: () => performance.now() - started,
    report: () => undefined,
    signal: off.signal,
    brokenOff: new AbortController().signal,
  });
  const running = nemesis.run();
  while (Math.min(...Object.values(nemesis.counts())) < 4) await sleep(5);
  off.abort();
  await running;
  return nemesis;
}

const overlap = (a: Band, b: Band): boolean =>
  a !== b && a.from < (b.until ?? Number.POSITIVE_INFINITY) && b.from < (a.until ?? Number.POSITIVE_INFINITY);

test("faults of one lane follow one another, those of two run side by side, and what must be alone is alone", async () => {
  const { bands } = await attack();
  const pairs = bands.flatMap((a, i) => bands.slice(i + 1).flatMap((b) => (overlap(a, b) ? [[a.lane, b.lane]] : [])));
  expect(pairs.filter(([a, b]) => a === b)).toEqual([]);
  expect(pairs.flat()).not.toContain("alone");
  expect(pairs.length).toBeGreaterThan(0);
});

test("every fault of a lane has its turn before one has its second, and all are taken back at the end", async () => {
  const nemesis = await attack();
  for (const lane of [
    ["kill", "freeze", "old-disk"],
    ["partition", "lossy"],
  ]) {
    const counts = lane.map((name) => nemesis.counts()[name] ?? 0);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  }
  expect(nemesis.bands.every(({ until }) => until !== null)).toBe(true);
  expect(nemesis.bands.map(({ what }) => what)).toEqual(nemesis.bands.map(({ fault: name }) => `${name} holds`));
});
