/** What every LogStore does. Call it inside a test file with the store to be tested. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { type Index, index, isNodeId, term } from "@openclaw/core/ids.ts";
import type { LogBase, LogStore, StoredLog } from "@openclaw/core/ports.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

/** One node's disk. A new store on it finds what an earlier one, closed by now, has written. */
export interface LogFolder {
  store(): LogStore;
  destroy(): Promise<void>;
}

export const entryAt = (at: number, inTerm: number, text = `entry ${at} of term ${inTerm}`): Entry => ({
  term: term(inTerm),
  index: index(at),
  kind: "commands",
  stamp: 0,
  data: utf8(text),
});

export const entriesFrom = (first: number, last: number, inTerm: number): readonly Entry[] =>
  Array.from({ length: last - first + 1 }, (_, i) => entryAt(first + i, inTerm));

export const base = (at: number, inTerm: number): LogBase => ({ index: index(at), term: term(inTerm) });

export function hardState(inTerm: number, vote: string | null, commit: number): HardState {
  if (vote !== null && !isNodeId(vote)) throw new Error(`not a node id: ${vote}`);
  return { term: term(inTerm), vote, commit: index(commit) };
}

/** A log in a form that compares well: entries as `index:term:text`. */
const shown = (stored: StoredLog) => ({
  hardState: stored.hardState,
  base: stored.base,
  highWater: stored.highWater,
  entries: stored.entries.map((entry) => `${entry.index}:${entry.term}:${entry.kind}:${utf8Text(entry.data)}`),
});

const shownEntries = (entries: readonly Entry[]): readonly string[] =>
  entries.map((entry) => `${entry.index}:${entry.term}:${entry.kind}:${utf8Text(entry.data)}`);

export function logStoreContract(name: string, create: () => LogFolder): void {
  describe(`${name} as a log store`, () => {
    let disk: LogFolder;
    let store: LogStore;
    beforeEach(async () => {
      disk = create();
      store = disk.store();
      await store.open();
    });
    afterEach(async () => {
      await store.close();
      await disk.destroy();
    });
    const reopened = async (): Promise<StoredLog> => {
      await store.close();
      store = disk.store();
      return store.open();
    };
    const expectLog = async (from: LogBase, entries: readonly Entry[]): Promise<void> => {
      const stored = await reopened();
      const last: Index = entries.at(-1)?.index ?? from.index;
      expect(shown(stored)).toMatchObject({ base: from, entries: shownEntries(entries), highWater: last });
    };

    test("a new log is empty", async () => {
      const stored = await reopened();
      expect(stored).toEqual({ hardState: hardState(0, null, 0), base: base(0, 0), entries: [], highWater: 0 });
    });

    test("R4: entries and hard state are there after a restart", async () => {
      await store.append(hardState(1, "a-1", 0), entriesFrom(1, 3, 1));
      await store.append(null, entriesFrom(4, 4, 1));
      await store.append(hardState(2, null, 3), []);
      await store.append(null, [{ ...entryAt(5, 2, ""), kind: "noop" }]);
      const stored = await reopened();
      expect(stored.hardState).toEqual(hardState(2, null, 3));
      expect(shown(stored).entries).toEqual([...shownEntries(entriesFrom(1, 4, 1)), "5:2:noop:"]);
      expect(stored.highWater).toBe(5);
    });

    test("R3: appends that wait together complete in order", async () => {
      const order: number[] = [];
      const all = Array.from({ length: 50 }, (_, i) =>
        store.append(hardState(1, null, i), [entryAt(i + 1, 1)]).then(() => order.push(i)),
      );
      await Promise.all(all);
      expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i));
      await expectLog(base(0, 0), entriesFrom(1, 50, 1));
    });

    test("entries replace everything at and above the first one's index, in the middle of a batch too", async () => {
      await store.append(null, entriesFrom(1, 10, 1));
      await store.append(null, entriesFrom(11, 20, 1));
      await store.append(hardState(2, null, 5), entriesFrom(7, 8, 2));
      await expectLog(base(0, 0), [...entriesFrom(1, 6, 1), ...entriesFrom(7, 8, 2)]);
      await store.append(null, entriesFrom(9, 12, 3));
      await store.append(null, entriesFrom(9, 9, 4));
      await expectLog(base(0, 0), [...entriesFrom(1, 6, 1), ...entriesFrom(7, 8, 2), ...entriesFrom(9, 9, 4)]);
      await store.append(null, entriesFrom(1, 1, 5));
      await expectLog(base(0, 0), entriesFrom(1, 1, 5));
    });

    test("replacement holds among appends that share one fsync", async () => {
      await Promise.all([
        store.append(null, entriesFrom(1, 8, 1)),
        store.append(null, entriesFrom(5, 6, 2)),
        store.append(null, entriesFrom(7, 7, 2)),
      ]);
      await expectLog(base(0, 0), [...entriesFrom(1, 4, 1), ...entriesFrom(5, 7, 2)]);
    });

    test("compact forgets entries up to the base, in the middle of a batch too", async () => {
      await store.append(null, entriesFrom(1, 5, 1));
      await store.append(null, entriesFrom(6, 10, 2));
      await store.compact(base(3, 1));
      await expectLog(base(3, 1), [...entriesFrom(4, 5, 1), ...entriesFrom(6, 10, 2)]);
      await store.compact(base(8, 2));
      await store.append(null, entriesFrom(11, 11, 2));
      await expectLog(base(8, 2), entriesFrom(9, 11, 2));
      await store.append(null, entriesFrom(9, 9, 3));
      await expectLog(base(8, 2), entriesFrom(9, 9, 3));
    });

    test("compact up to the last entry leaves a log that goes on after the base", async () => {
      await store.append(hardState(4, "a-2", 5), entriesFrom(1, 5, 4));
      await store.compact(base(5, 4));
      await expectLog(base(5, 4), []);
      await store.append(null, entriesFrom(6, 7, 4));
      await expectLog(base(5, 4), entriesFrom(6, 7, 4));
    });

    test("R8: reset forgets every entry, and the next one follows the base", async () => {
      await store.append(hardState(3, "a-1", 2), entriesFrom(1, 5, 3));
      await store.reset(base(100, 7));
      await expectLog(base(100, 7), []);
      await store.append(null, entriesFrom(101, 103, 8));
      const stored = await reopened();
      expect(stored.hardState.vote).toBe("a-1");
      expect(shown(stored).entries).toEqual(shownEntries(entriesFrom(101, 103, 8)));
    });

    test("large batches come back whole", async () => {
      const data = new Uint8Array(1_048_576).map((_, i) => i % 251);
      await store.append(
        null,
        [1, 2, 3].map((at) => ({ ...entryAt(at, 1), data })),
      );
      const stored = await reopened();
      expect(stored.entries.map((entry) => Buffer.compare(entry.data, data))).toEqual([0, 0, 0]);
    });
  });
}
