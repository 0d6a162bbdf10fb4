/** A life of a Raft log with everything in it, and what it must hold after each step: told apart from any implementation. */
import { crc32 } from "node:zlib";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { isClusterId, isNodeId } from "@openclaw/core/ids.ts";
import type { LogBase } from "@openclaw/core/ports.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";
import { packEntries, readRun } from "@openclaw/core/segment-log/batch-chain.ts";
import type { LogDisk } from "@openclaw/core/segment-log/log-disk.ts";
import type { LogWrite, OpenedLog } from "@openclaw/core/segment-log/log-write.ts";
import { SegmentLog } from "@openclaw/core/segment-log/segment-log.ts";
import { base, entriesFrom, entryAt, hardState } from "./log-store.ts";

/** Small, so that the history fills several. */
const SEGMENT_BYTES = 8_192;

const [cluster, node]: readonly string[] = ["california", "california-1"];

export function openLog(disk: LogDisk): { readonly log: SegmentLog; readonly opened: OpenedLog } {
  if (!isClusterId(cluster) || !isNodeId(node)) throw new Error("names");
  return SegmentLog.open(disk, { cluster, node, crc32, salt: utf8("0123456789abcdef"), segmentBytes: SEGMENT_BYTES });
}

/** A step is one commit; null is a rest. */
export type Step = readonly LogWrite[] | null;

const append = (state: HardState | null, entries: readonly Entry[]): LogWrite => ({
  kind: "append",
  hardState: state,
  entries: packEntries(entries),
});
const compact = (at: number, inTerm: number): LogWrite => ({ kind: "compact", base: base(at, inTerm) });
const reset = (at: number, inTerm: number): LogWrite => ({
  kind: "reset",
  base: base(at, inTerm),
  missing: null,
});

function* history(): Generator<Step> {
  yield [append(hardState(1, "california-1", 0), entriesFrom(1, 3, 1))];
  yield [append(null, entriesFrom(4, 5, 1)), append(hardState(1, "california-1", 3), entriesFrom(6, 9, 1))];
  yield [append(hardState(2, null, 4), [])];
  yield [append(hardState(2, "california-2", 4), [])];
  // A conflict, in the middle of a batch.
  yield [append(null, entriesFrom(7, 8, 2))];
  yield null;
  for (let at = 9; at <= 40; at++)
    yield [append(hardState(2, "california-2", at - 2), [entryAt(at, 2, `${at} `.repeat(200))])];
  yield [compact(20, 2)];
  yield [append(null, entriesFrom(41, 44, 2)), append(hardState(3, "california-3", 40), entriesFrom(42, 43, 3))];
  // Larger than a segment.
  yield [append(null, [entryAt(44, 3, "large ".repeat(3_000))])];
  yield [append(hardState(3, "california-3", 43), entriesFrom(45, 60, 3)), compact(43, 3)];
  yield null;
  yield [append(hardState(5, null, 44), entriesFrom(58, 59, 4))];
  yield [compact(59, 4)];
  yield [reset(100, 5)];
  for (let at = 101; at <= 112; at++) yield [append(hardState(5, null, 100), [entryAt(at, 5, `${at} `.repeat(150))])];
  // A state that was installed and ends within the log, at another entry.
  yield [reset(105, 6)];
  yield [append(hardState(7, "california-2", 105), entriesFrom(106, 108, 7))];
  for (let at = 109; at <= 125; at++) yield [append(null, [entryAt(at, 7, `${at} `.repeat(100))])];
  yield [append(hardState(8, "california-1", 123), entriesFrom(124, 126, 8))];
}

export const HISTORY: readonly Step[] = [...history()];

/** A log in a form that compares well. */
export interface Shown {
  readonly hardState: HardState;
  readonly base: LogBase;
  readonly highWater: number;
  /** `index:term:text` */
  readonly entries: readonly string[];
}

export const EMPTY: Shown = { hardState: hardState(0, null, 0), base: base(0, 0), highWater: 0, entries: [] };

export const showEntry = (entry: Entry): string => `${entry.index}:${entry.term}:${utf8Text(entry.data)}`;
const indexOf = (entry: string): number => Number(entry.split(":")[0]);

export function shown({ tail, runs }: OpenedLog): Shown {
  const entries = runs.flatMap(readRun).filter((entry) => entry.index > tail.base.index);
  return { hardState: tail.hardState, base: tail.base, highWater: tail.highWater, entries: entries.map(showEntry) };
}

export const lastOf = ({ base: { index }, entries }: Shown): number => index + entries.length;

/** What a whole log holds after a write. */
function after(log: Shown, write: LogWrite): Shown {
  switch (write.kind) {
    case "append": {
      const next = { ...log, hardState: write.hardState ?? log.hardState };
      if (write.entries === null) return next;
      const { first, last, packed } = write.entries;
      const entries = readRun({ first, last, packed }).map(showEntry);
      return { ...next, highWater: last, entries: [...log.entries.filter((one) => indexOf(one) < first), ...entries] };
    }
    case "compact":
      return { ...log, base: write.base, entries: log.entries.filter((one) => indexOf(one) > write.base.index) };
    case "reset":
      return { ...log, base: write.base, highWater: write.base.index, entries: [] };
  }
}

export const afterStep = (log: Shown, step: Step): Shown => (step ?? []).reduce(after, log);

/** What was ever written under each index, in the form of `Shown`. */
export function everWritten(steps: readonly Step[]): ReadonlySet<string> {
  const writes = steps.flatMap((step) => step ?? []);
  return new Set(
    writes.flatMap((write) =>
      write.kind === "append" && write.entries !== null ? readRun(write.entries).map(showEntry) : [],
    ),
  );
}

/** One more step of a log that stands there. */
export const nextStep = ({ tail }: OpenedLog): readonly LogWrite[] => [
  append(hardState(tail.hardState.term + 9, "california-3", tail.hardState.commit), [
    entryAt(tail.last + 1, tail.lastTerm + 9, "one more".repeat(50)),
  ]),
];

export function run(log: SegmentLog, step: Step): void {
  if (step === null) log.rest();
  else log.commit(step);
}
