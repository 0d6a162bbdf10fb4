/**
 * R5: one byte of a log's files is wrong. Then it shows the log as it was, or less and a high water that tells, or refuses:
 * never a wrong entry, never an older term or vote.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";
import { live } from "./log-crash.ts";
import {
  afterStep,
  EMPTY,
  everWritten,
  HISTORY,
  lastOf,
  openLog,
  run,
  type Shown,
  type Step,
  shown,
} from "./log-history.ts";
import { type DiskImage, KEPT, LOST, PowerCutDisk } from "./power-cut-disk.ts";

/** Opens what is in an image, and shows it. @throws OpenClawError DATA_CORRUPT */
export type OpenImage = (image: DiskImage) => Shown;

type Verdict = "whole" | "shorter" | "refused";

const FLIPS = 1_000;

/** As a process leaves its files that is killed after the steps. */
function killedAfter(steps: readonly Step[]): DiskImage {
  const disk = new PowerCutDisk();
  const { log } = openLog(disk);
  for (const step of steps) run(log, step);
  return disk.image(KEPT);
}

/** As a power cut leaves the files after the steps. */
function cutAfter(steps: readonly Step[]): DiskImage {
  const disk = new PowerCutDisk();
  const { log } = openLog(disk);
  for (const step of steps) run(log, step);
  return disk.image(LOST, "lost");
}

function flipped(image: DiskImage, name: string, at: number): DiskImage {
  const bytes = (image.get(name) ?? new Uint8Array(0)).slice();
  bytes[at] = (bytes[at] ?? 0) ^ (at % 2 === 0 ? 1 << (at % 8) : 0xff);
  return new Map([...image, [name, bytes]]);
}

function judge(open: OpenImage, image: DiskImage, truth: Shown, written: ReadonlySet<string>): Verdict {
  let found: Shown;
  try {
    found = open(image);
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "DATA_CORRUPT") return "refused";
    throw error;
  }
  expect([found.hardState.term, found.hardState.vote]).toEqual([truth.hardState.term, truth.hardState.vote]);
  expect(found.highWater).toBe(truth.highWater);
  expect(found.base).toEqual(truth.base);
  if (lastOf(found) === lastOf(truth)) {
    expect(found).toEqual(truth);
    return "whole";
  }
  expect(lastOf(found)).toBeLessThan(found.highWater);
  expect(found.hardState.commit).toBeLessThanOrEqual(lastOf(found));
  for (const [i, entry] of found.entries.entries()) {
    expect(Number(entry.split(":")[0])).toBe(found.base.index + 1 + i);
    // An entry whose replacement was lost was never committed; the high water above it keeps it from counting.
    if (found.base.index + 1 + i <= found.hardState.commit) expect(entry).toBe(truth.entries[i]);
    else expect(written).toContain(entry);
  }
  return "shorter";
}

/** So many bytes, evenly over all files. */
function* flips(image: DiskImage, count: number): Generator<{ readonly name: string; readonly at: number }> {
  const total = [...image.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  const step = total / count;
  let before = 0;
  for (const [name, { length }] of [...image].sort()) {
    for (let n = Math.ceil(before / step); n * step < before + length; n++) {
      yield { name, at: Math.floor(n * step - before) };
    }
    before += length;
  }
}

/** Flips so many bytes, one at a time, and judges each. */
function verdicts(open: OpenImage, image: DiskImage, truth: Shown, count: number): Record<Verdict, number> {
  const written = everWritten(HISTORY);
  const counts: Record<Verdict, number> = { whole: 0, shorter: 0, refused: 0 };
  for (const { name, at } of flips(image, count)) {
    try {
      counts[judge(open, flipped(image, name, at), truth, written)]++;
    } catch (error) {
      throw new Error(`byte ${at} of ${name}: ${String(error)}`, { cause: error });
    }
  }
  return counts;
}

export function inMemory(image: DiskImage): Shown {
  const { log, opened } = openLog(new PowerCutDisk(image));
  log.close();
  return shown(opened);
}

export function logRotContract(name: string, open: OpenImage): void {
  test(`R5: ${name} with a wrong byte at each of ${FLIPS} offsets of its files`, () => {
    const counts = verdicts(open, killedAfter(HISTORY), HISTORY.reduce(afterStep, EMPTY), FLIPS);
    expect(counts.whole + counts.shorter + counts.refused).toBeGreaterThanOrEqual(FLIPS);
    expect(counts.whole).toBeGreaterThan(100);
    expect(counts.shorter).toBeGreaterThan(100);
  });
}

const segmentsIn = (image: DiskImage): number => [...image.keys()].filter((name) => name.endsWith(".segment")).length;

/** Whether a second copy of the log's tail is durable at once: the term or the vote moved, or segments were dropped. */
function isWitnessed(steps: readonly Step[]): boolean {
  const [before, after] = [steps.slice(0, -1), steps];
  const [was, is] = [before.reduce(afterStep, EMPTY).hardState, after.reduce(afterStep, EMPTY).hardState];
  return was.term !== is.term || was.vote !== is.vote || segmentsIn(cutAfter(after)) < segmentsIn(cutAfter(before));
}

export function witnessContract(): void {
  test("R5: a vote, and a base whose segments are gone, outlive any wrong byte, though the power was cut at once", () => {
    const lives = HISTORY.map((_, i) => HISTORY.slice(0, i + 1)).filter(isWitnessed);
    expect(lives.length).toBeGreaterThan(8);
    for (const steps of lives) verdicts(inMemory, cutAfter(steps), steps.reduce(afterStep, EMPTY), 300);
  });
  test("R5: the name of a new segment proves the batches before it, though the power was cut before it had one itself", () => {
    const { calls } = live(new PowerCutDisk(), HISTORY).disk;
    let tried = 0;
    for (let cut = 1; cut < calls; cut++) {
      const { disk, acknowledged } = live(new PowerCutDisk(new Map(), cut), HISTORY);
      const image = disk.image(LOST);
      const newest = [...image.keys()]
        .filter((name) => name.endsWith(".segment"))
        .sort()
        .at(-1);
      const isEmpty = image.get(newest ?? "")?.every((byte) => byte === 0) ?? false;
      if (!isEmpty || segmentsIn(image) < 2) continue;
      tried++;
      verdicts(inMemory, image, acknowledged, 300);
    }
    expect(tried).toBeGreaterThan(5);
  });
}
