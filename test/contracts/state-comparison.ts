/** How every StateStore compares, and how a state that was found to be wrong is replaced. */
import { equalBytes } from "@openclaw/core/bytes.ts";
import { index, revision, term } from "@openclaw/core/ids.ts";
import type { StateStore } from "@openclaw/core/ports.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { commandsAt, headerOf, putAt, STATE_MEMBERSHIP, type StateDisk, textUnder } from "./state-store.ts";

const roundAt = (at: number): Entry => {
  const { voters } = STATE_MEMBERSHIP;
  const header = {
    principal: "node:california-1",
    time: 0,
    salt: new Uint8Array(16),
    request: at,
    proposer: "00000000000000aa",
    session: null,
  };
  const data = encodeCommands([{ kind: "compareStates", voters, header }]);
  return { term: term(1), index: index(at), kind: "commands", stamp: 0, data };
};

export function stateComparisonContract(name: string, create: () => StateDisk): void {
  describe(`${name} as a state store that is compared`, () => {
    const disks: StateDisk[] = [];
    const stores: StateStore[] = [];
    const opened = async (): Promise<StateStore> => {
      const disk = create();
      disks.push(disk);
      const store = disk.store();
      stores.push(store);
      await store.open();
      return store;
    };
    let store: StateStore;
    beforeEach(async () => {
      store = await opened();
    });
    afterEach(async () => {
      for (const one of stores.splice(0)) await one.close();
      for (const disk of disks.splice(0)) await disk.destroy();
    });

    test("C1: rows are hashed as of the entry that began the round, in whatever run it was applied, while more is applied", async () => {
      const many = (from: number, count: number, value: string): Entry[] =>
        Array.from({ length: count }, (_, i) => putAt(from + i, `key/${i}`, value.repeat(1 + (i % 40))));
      const before = many(1, 300, "a");
      await store.apply([...before, roundAt(301)]);
      const { hash } = await store.read({ kind: "stateHash" });
      expect(await store.compare(index(301))).toEqual({ hash, rows: 302 });

      const other = await opened();
      await other.apply(before);
      // The round in the middle of a run, and overwritten at once.
      await other.apply([roundAt(301), ...many(302, 300, "b")]);
      const comparing = other.compare(index(301));
      for (let at = 602; at < 632; at++) await other.apply([putAt(at, `key/${at % 300}`, `${at}`)]);
      const sum = await comparing;
      expect(sum !== null && equalBytes(sum.hash, hash)).toBe(true);
      expect((await other.read({ kind: "stateHash" })).hash).not.toEqual(hash);
      // The ledger has what came after the round as well.
      expect((await other.ledger(revision(1), 1e9)).revision).toBe(630);
    });

    test("of a round that it knows nothing of it says nothing, and of the last one it says the same again", async () => {
      await store.apply([putAt(1, "a", "1"), roundAt(2)]);
      expect(await store.compare(index(1))).toBeNull();
      const sum = await store.compare(index(2));
      expect(sum).not.toBeNull();
      expect(await store.compare(index(2))).toEqual(sum);
      await store.apply([roundAt(3)]);
      expect(await store.compare(index(2))).toBeNull();
      expect(await store.compare(index(3))).not.toBeNull();
    });

    test("C1: a snapshot takes the place of a wrong state, also of one that is ahead of it", async () => {
      await store.apply([putAt(1, "a", "right"), putAt(2, "b", "right")]);
      const snapshot = await store.snapshot(index(2));
      const wrong = await opened();
      await wrong.apply([commandsAt(1, []), putAt(2, "a", "wrong"), putAt(3, "b", "wrong")]);
      await (await wrong.snapshot(index(0))).dispose();
      await wrong.stage(headerOf(snapshot), snapshot.chunks);
      expect(await wrong.replace(snapshot.meta, index(3))).toMatchObject({ applied: 2, position: { revision: 2 } });
      expect((await wrong.checkpoint()).installed).toBe(2);
      expect(await textUnder(wrong, "a")).toBe("right");
      await wrong.apply([putAt(3, "c", "goes on")]);
      await store.apply([putAt(3, "c", "goes on")]);
      expect((await wrong.read({ kind: "stateHash" })).hash).toEqual((await store.read({ kind: "stateHash" })).hash);
      // Nobody is sent a copy of what was wrong.
      const copy = await wrong.snapshot(index(0));
      expect(copy.meta.index).toBe(3);
      await copy.dispose();
      await snapshot.dispose();
    });

    test("C1: a state says which snapshot it came from, for as long as it lives, and tells nobody who is sent a copy", async () => {
      await store.apply([putAt(1, "a", "1"), putAt(2, "b", "2")]);
      const disk = create();
      disks.push(disk);
      const follower = disk.store();
      expect((await follower.open()).installed).toBe(0);
      const snapshot = await store.snapshot(index(2));
      await follower.stage(headerOf(snapshot), snapshot.chunks);
      expect((await follower.install(snapshot.meta)).installed).toBe(2);
      await snapshot.dispose();
      await follower.apply([putAt(3, "c", "3")]);
      await follower.close();
      const again = disk.store();
      stores.push(again);
      expect(await again.open()).toMatchObject({ applied: 3, installed: 2 });

      const copy = await again.snapshot(index(3));
      const third = await opened();
      await third.stage(headerOf(copy), copy.chunks);
      expect((await third.install(copy.meta)).installed).toBe(3);
      await copy.dispose();
      expect((await store.checkpoint()).installed).toBe(0);
    });
  });
}
