/** R5: whatever byte of the log's files is wrong, the log never shows wrong entries, and never hides that some are gone. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { decodeEntries, encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";
import { LogFile } from "@openclaw/edge-runtime/storage/log-file.ts";
import type { LogWrite, OpenedLog } from "@openclaw/edge-runtime/storage/log-protocol.ts";
import { expect, test } from "vitest";
import { base, entriesFrom, entryAt, hardState } from "../../contracts/log-store.ts";
import { CLUSTER, leftByKill, NODE, temporaryFolder } from "./storage-fixture.ts";

const FILES = ["log.db", "log.db-wal", "log.tail"] as const;

const open = (folder: string): { readonly file: LogFile; readonly opened: OpenedLog } =>
  LogFile.open({ folder, cluster: CLUSTER, node: NODE }, (error) => {
    throw error;
  });

function append(state: HardState | null, entries: readonly Entry[]): LogWrite {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return { kind: "append", hardState: state, entries: null };
  const packed = { first: first.index, last: last.index, lastTerm: last.term, packed: encodeEntries(entries) };
  return { kind: "append", hardState: state, entries: packed };
}

const entriesOf = ({ tail, batches }: OpenedLog): readonly Entry[] =>
  batches.flatMap((packed) => decodeEntries(packed)).filter((entry) => entry.index > tail.base.index);

const shown = (entry: Entry): string => `${entry.term} ${Buffer.from(entry.data).toString("latin1")}`;

/** What was written under each index, the last being what stands. */
type Truth = ReadonlyMap<number, readonly string[]>;

/** A log with a history: batches of several sizes, a conflict cut out, a compaction; its last term is 3. */
function writeHistory(file: LogFile): Truth {
  const truth = new Map<number, string[]>();
  const add = (state: HardState | null, entries: readonly Entry[]): void => {
    file.commit([append(state, entries)]);
    for (const entry of entries) truth.set(entry.index, [...(truth.get(entry.index) ?? []), shown(entry)]);
  };
  add(hardState(1, "california-1", 0), entriesFrom(1, 40, 1));
  for (let at = 41; at <= 60; at++) add(hardState(1, "california-1", at - 10), [entryAt(at, 1, "x".repeat(at * 40))]);
  add(hardState(2, null, 50), entriesFrom(57, 64, 2));
  file.commit([{ kind: "compact", base: base(30, 1) }]);
  for (let at = 65; at <= 80; at++) add(null, [entryAt(at, 2, `late ${at}`.repeat(at))]);
  add(hardState(3, "california-2", 78), entriesFrom(81, 83, 3));
  return truth;
}

const LAST = 83;

/** What opening a damaged folder gave; throws if it is a lie. */
function verdict(folder: string, truth: Truth): string {
  let log: ReturnType<typeof open>;
  try {
    log = open(folder);
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "DATA_CORRUPT") return error.code;
    throw error;
  }
  try {
    const { tail } = log.opened;
    const entries = entriesOf(log.opened);
    for (const [i, entry] of entries.entries()) {
      expect(entry.index).toBe(tail.base.index + 1 + i);
      const written = truth.get(entry.index) ?? [];
      // An entry whose replacement was lost was never committed; the high water above it keeps it from counting.
      const mayBeOld = tail.last < LAST && entry.index > tail.hardState.commit;
      expect(mayBeOld ? written : written.slice(-1)).toContain(shown(entry));
    }
    expect(tail.last).toBe(tail.base.index + entries.length);
    expect([tail.hardState.term, tail.hardState.vote]).toEqual([3, "california-2"]);
    expect(tail.hardState.commit).toBeLessThanOrEqual(tail.last);
    expect(tail.highWater).toBe(LAST);
    return tail.last === LAST ? "whole" : "shorter";
  } finally {
    log.file.close();
  }
}

/** The first bytes, where the headers are, and then one in so many. */
function offsets(size: number): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at < Math.min(size, 110); at++) found.push(at);
  for (let at = 110; at < size; at += 1_999) found.push(at);
  return found;
}

function tryEveryFlip(image: string, truth: Truth): Record<string, number> {
  const counts: Record<string, number> = {};
  const folder = temporaryFolder();
  const present = FILES.filter((name) => statSync(join(image, name), { throwIfNoEntry: false }) !== undefined);
  for (const name of present) {
    const bytes = readFileSync(join(image, name));
    for (const at of offsets(bytes.length)) {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      for (const other of present) copyFileSync(join(image, other), join(folder, other));
      const altered = Buffer.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ (at % 2 === 0 ? 0x01 : 0xff);
      writeFileSync(join(folder, name), altered);
      let found: string;
      try {
        found = verdict(folder, truth);
      } catch (error) {
        throw new Error(`byte ${at} of ${name}: ${String(error)}`, { cause: error });
      }
      const key = `${name} ${found}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
  }
  return counts;
}

test("R5: a wrong byte in the files of a log that was closed", () => {
  const folder = temporaryFolder();
  const { file } = open(folder);
  const truth = writeHistory(file);
  file.close();
  const counts = tryEveryFlip(folder, truth);
  expect(counts["log.tail whole"]).toBeGreaterThan(100);
  expect(counts["log.db shorter"]).toBeGreaterThan(0);
  expect(counts["log.db DATA_CORRUPT"]).toBeGreaterThan(0);
});

test("R5: a wrong byte in the files of a log whose process was killed", () => {
  const folder = temporaryFolder();
  const { file } = open(folder);
  const truth = writeHistory(file);
  const counts = tryEveryFlip(leftByKill(folder), truth);
  file.close();
  expect(counts["log.db-wal shorter"]).toBeGreaterThan(10);
});

test("R5: what was lost stays lost until it is written again, over restarts", () => {
  const folder = temporaryFolder();
  const first = open(folder);
  const truth = writeHistory(first.file);
  const image = leftByKill(folder);
  first.file.close();
  const wal = join(image, "log.db-wal");
  truncateSync(wal, Math.floor(statSync(wal).size * 0.9));

  expect(verdict(image, truth)).toBe("shorter");
  expect(verdict(image, truth)).toBe("shorter");
  const { file, opened } = open(image);
  file.commit([append(null, entriesFrom(opened.tail.last + 1, LAST - 1, 3))]);
  file.close();
  const behind = open(image);
  expect([behind.opened.tail.last, behind.opened.tail.highWater]).toEqual([LAST - 1, LAST]);
  behind.file.commit([append(null, entriesFrom(LAST, LAST + 5, 3))]);
  // Whole again: what Raft cuts off now is not missed.
  behind.file.commit([append(null, entriesFrom(LAST + 2, LAST + 3, 4))]);
  behind.file.close();
  const whole = open(image);
  expect([whole.opened.tail.last, whole.opened.tail.highWater]).toEqual([LAST + 3, LAST + 3]);
  whole.file.close();
});

test("R5: a log whose database is gone says how far it once reached, and keeps its vote", () => {
  const folder = temporaryFolder();
  const first = open(folder);
  writeHistory(first.file);
  first.file.close();
  rmSync(join(folder, "log.db"));
  const { file, opened } = open(folder);
  file.close();
  expect(opened).toMatchObject({
    batches: [],
    tail: { last: 0, highWater: LAST, hardState: hardState(3, "california-2", 0) },
  });
});

test("R5: a log without its tail's copy cannot be vouched for", () => {
  const folder = temporaryFolder();
  open(folder).file.close();
  rmSync(join(folder, "log.tail"));
  expect(() => open(folder)).toThrow(expect.objectContaining({ code: "DATA_CORRUPT" }));
});
