/**
 * R5: one byte of a log's files is wrong. Then it shows the log as it was, or less and a high water that tells, or refuses:
 * never a wrong entry, never an older term or vote.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";
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

/** The power is cut right after a vote, and the batch that holds it rots as well. */
export function voteRotContract(): void {
  test("R5: a vote outlives any wrong byte, though the power was cut right after it was given", () => {
    for (const votes of [3, 4, HISTORY.length]) {
      const steps = HISTORY.slice(0, votes);
      const image = cutAfter(steps);
      const truth = steps.reduce(afterStep, EMPTY);
      const written = everWritten(steps);
      for (const { name: file, at } of flips(image, FLIPS)) {
        try {
          judge(inMemory, flipped(image, file, at), truth, written);
        } catch (error) {
          throw new Error(`byte ${at} of ${file}: ${String(error)}`, { cause: error });
        }
      }
    }
  });
}

export function inMemory(image: DiskImage): Shown {
  const { log, opened } = openLog(new PowerCutDisk(image));
  log.close();
  return shown(opened);
}

export function logRotContract(name: string, open: OpenImage): void {
  test(`R5: ${name} with a wrong byte at each of ${FLIPS} offsets of its files`, () => {
    const image = killedAfter(HISTORY);
    const truth = HISTORY.reduce(afterStep, EMPTY);
    const written = everWritten(HISTORY);
    const counts: Record<Verdict, number> = { whole: 0, shorter: 0, refused: 0 };
    for (const { name: file, at } of flips(image, FLIPS)) {
      try {
        counts[judge(open, flipped(image, file, at), truth, written)]++;
      } catch (error) {
        throw new Error(`byte ${at} of ${file}: ${String(error)}`, { cause: error });
      }
    }
    expect(counts.whole + counts.shorter + counts.refused).toBeGreaterThanOrEqual(FLIPS);
    expect(counts.whole).toBeGreaterThan(100);
    expect(counts.shorter).toBeGreaterThan(100);
  });
}
