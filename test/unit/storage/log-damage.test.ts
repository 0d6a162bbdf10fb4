/** The segment log under power cuts and rot: on a disk in memory, and on real files. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { equalBytes, utf8 } from "@openclaw/core/bytes.ts";
import { packEntries } from "@openclaw/core/segment-log/batch-chain.ts";
import { frameBytes, readFrame, writeFrame } from "@openclaw/core/segment-log/frame.ts";
import type { SegmentLog } from "@openclaw/core/segment-log/segment-log.ts";
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
  showEntry,
  shown,
} from "../../contracts/log-history.ts";
import { inMemory, logRotContract, witnessContract } from "../../contracts/log-rot.ts";
import { entryAt } from "../../contracts/log-store.ts";
import { type DiskImage, KEPT, LOST, PowerCutDisk } from "../../contracts/power-cut-disk.ts";
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
witnessContract();

/** A log on real files that lived through the history and was killed. */
function lived(): { readonly folder: string; readonly disk: NodeLogDisk } {
  const folder = temporaryFolder();
  const disk = new NodeLogDisk(folder);
  const { log } = openLog(disk);
  for (const step of HISTORY) run(log, step);
  return { folder, disk };
}

const SEGMENT = "log-0000000000000001.segment";
const TRUTH: Shown = HISTORY.reduce(afterStep, EMPTY);

/** Where a segment's batches begin: they do with the segment's key. */
function batchStarts(segment: Uint8Array): readonly number[] {
  const key = segment.subarray(0, 4);
  const starts: number[] = [];
  for (let at = 0; at < segment.length; at += 64) if (equalBytes(segment.subarray(at, at + 4), key)) starts.push(at);
  return starts;
}

test("R5: a batch that a disk lost, though it synced it, and one of another lineage behind it", () => {
  const [disk, other] = [new PowerCutDisk(), new PowerCutDisk()];
  const [log, stranger] = [openLog(disk).log, openLog(other).log];
  const write = (to: SegmentLog, at: number, inTerm: number): void =>
    to.commit([{ kind: "append", hardState: null, entries: packEntries([entryAt(at, inTerm)]) }]);
  for (const [to, inTerm] of [
    [log, 1],
    [stranger, 2],
  ] as const) {
    write(to, 1, 1);
    write(to, 2, inTerm);
    write(to, 3, inTerm);
  }
  // The third batch of the other one, at the place of this one's.
  const [own, foreign] = [disk.image(KEPT), other.image(KEPT)].map((image) => image.get(SEGMENT));
  const grafted = Uint8Array.from(own ?? []);
  const third = batchStarts(grafted)[2];
  grafted.set((foreign ?? grafted).subarray(third), third);
  const { opened } = openLog(new PowerCutDisk(new Map([...disk.image(KEPT), [SEGMENT, grafted]])));
  expect(shown(opened)).toMatchObject({ entries: [entryAt(1, 1), entryAt(2, 1)].map(showEntry), highWater: 3 });
});

test("R4, pitfall 26: what only the page cache holds after a sync that failed is made durable before it counts", () => {
  const disk = new PowerCutDisk();
  const { log } = openLog(disk);
  const [first, second] = HISTORY;
  run(log, first ?? null);
  disk.failNextSync();
  expect(() => run(log, second ?? null)).toThrow("the sync failed");
  expect(() => run(log, second ?? null)).toThrow("the sync failed");
  log.close();
  // The process starts again, on the same page cache; then the power goes.
  const found = shown(openLog(disk).opened);
  expect(shown(openLog(new PowerCutDisk(disk.image(LOST, "lost"))).opened)).toEqual(found);
});

test("a frame counts only in the file and at the place it was written for", () => {
  const body = utf8("a batch");
  const page = new Uint8Array(frameBytes(body.length));
  writeFrame(page, body, 7, { key: 11, place: 64, crc32 });
  expect(readFrame(page, 0, { key: 11, place: 64, crc32 })).toMatchObject({ previous: 7, body });
  expect(readFrame(page, 0, { key: 11, place: 128, crc32 })).toBeNull();
  expect(readFrame(page, 0, { key: 12, place: 64, crc32 })).toBeNull();
  expect(readFrame(page.subarray(0, -1), 0, { key: 11, place: 64, crc32 })).toBeNull();
});

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
  const starts: Shown[] = [];
  for (let start = 0; start < 3; start++) {
    const { log, opened } = openLog(disk);
    log.close();
    starts.push(shown(opened));
    expect(starts[start]).toEqual(starts[0]);
    expect(lastOf(shown(opened))).toBeLessThan(lastOf(TRUTH));
    expect(shown(opened)).toMatchObject({ highWater: TRUTH.highWater, base: TRUTH.base });
    expect(opened.tail.hardState).toMatchObject({ term: TRUTH.hardState.term, vote: TRUTH.hardState.vote });
  }
  const behind = openLog(disk);
  behind.log.commit(nextStep(behind.opened));
  behind.log.close();
  const still = openLog(disk);
  expect(shown(still.opened).entries.slice(0, -1)).toEqual(shown(behind.opened).entries);
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
