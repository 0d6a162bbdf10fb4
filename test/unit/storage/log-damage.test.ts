/** The segment log under power cuts and rot: on a disk in memory, and on real files. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeLogDisk } from "@openclaw/edge-runtime/storage/node-log-disk.ts";
import { afterAll, expect, test } from "vitest";
import { logCrashContract, recoveryCrashContract } from "../../contracts/log-crash.ts";
import {
  afterStep,
  EMPTY,
  HISTORY,
  lastOf,
  nextStep,
  openLog,
  run,
  type Shown,
  shown,
} from "../../contracts/log-history.ts";
import { inMemory, logRotContract, voteRotContract } from "../../contracts/log-rot.ts";
import type { DiskImage } from "../../contracts/power-cut-disk.ts";
import { temporaryFolder } from "./storage-fixture.ts";

/** Where files cost no disk, if there is such a place: what is tried here is what they hold. */
const MEMORY = "/dev/shm";

/** Opens logs on real files, one after the other in one folder. */
function onFiles(): (image: DiskImage) => Shown {
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "openclaw-damage-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (image) => {
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    for (const [name, bytes] of image) writeFileSync(join(folder, name), bytes);
    const { log, opened } = openLog(new NodeLogDisk(folder));
    log.close();
    return shown(opened);
  };
}

logCrashContract("a segment log in memory", inMemory, "all");
logCrashContract("a segment log on files", onFiles(), "one");
recoveryCrashContract();
logRotContract("a segment log in memory", inMemory);
logRotContract("a segment log on files", onFiles());
voteRotContract();

/** A log on real files that lived through the history and was killed. */
function lived(): { readonly folder: string; readonly disk: NodeLogDisk } {
  const folder = temporaryFolder();
  const disk = new NodeLogDisk(folder);
  const { log } = openLog(disk);
  for (const step of HISTORY) run(log, step);
  return { folder, disk };
}

const TRUTH: Shown = HISTORY.reduce(afterStep, EMPTY);

test("R5: what was lost stays lost until it is written again, over restarts", () => {
  const { folder, disk } = lived();
  const newest =
    readdirSync(folder)
      .filter((name) => name.endsWith(".segment"))
      .sort()
      .at(-1) ?? "";
  const bytes = readFileSync(join(folder, newest));
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  writeFileSync(join(folder, newest), bytes);
  for (let start = 0; start < 3; start++) {
    const { log, opened } = openLog(disk);
    log.close();
    expect(lastOf(shown(opened))).toBeLessThan(lastOf(TRUTH));
    expect(shown(opened)).toMatchObject({ highWater: TRUTH.highWater, base: TRUTH.base });
    expect(opened.tail.hardState).toMatchObject({ term: TRUTH.hardState.term, vote: TRUTH.hardState.vote });
  }
  const behind = openLog(disk);
  behind.log.commit(nextStep(behind.opened));
  behind.log.close();
  const still = openLog(disk);
  expect(still.opened.tail.last).toBe(behind.opened.tail.last + 1);
  expect(still.opened.tail.highWater).toBe(TRUTH.highWater);
  for (let { last } = still.opened.tail; last < TRUTH.highWater + 2; last++) {
    still.log.commit(nextStep({ ...still.opened, tail: { ...still.opened.tail, last } }));
  }
  still.log.close();
  const whole = openLog(disk);
  whole.log.close();
  expect([whole.opened.tail.last, whole.opened.tail.highWater]).toEqual([TRUTH.highWater + 2, TRUTH.highWater + 2]);
});

test("R5: a log whose segments are gone says how far it once reached, and keeps its vote", () => {
  const { folder, disk } = lived();
  for (const name of readdirSync(folder)) if (name.endsWith(".segment")) rmSync(join(folder, name));
  const { log, opened } = openLog(disk);
  log.close();
  const { term, vote } = TRUTH.hardState;
  expect(opened).toMatchObject({ runs: [], tail: { highWater: TRUTH.highWater, hardState: { term, vote } } });
  expect(opened.tail.last).toBeLessThan(TRUTH.highWater);
});

test("R5: a log without its mark cannot be vouched for", () => {
  const { folder, disk } = lived();
  rmSync(join(folder, "log.mark"));
  expect(() => openLog(disk)).toThrow(expect.objectContaining({ code: "DATA_CORRUPT" }));
});
