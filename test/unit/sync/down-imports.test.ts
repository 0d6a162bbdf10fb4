/** What a site takes of its parent's stream, and when it says so. */
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import type { SnapshotStep } from "@openclaw/core/ledger/snapshot.ts";
import type { CommandResult, SystemCommand } from "@openclaw/core/state-machine/command.ts";
import type { EventRun } from "@openclaw/core/sync/child-link.ts";
import { DownImports } from "@openclaw/core/sync/down-imports.ts";
import { describe, expect, test } from "vitest";
import { settle, VirtualClock } from "../../simulation/virtual-clock.ts";
import { clusterId, linkId } from "./world.ts";

const HASH = new Uint8Array(32);
const EPOCH = { counter: 1, nonce: "0".repeat(32), parent: null, departure: revision(0) };

const run = (item: LinkItem, to: number): EventRun => ({ items: [item], to: revision(to), hash: HASH });
const skip = (at: number): EventRun => run({ kind: "skip", from: revision(at), to: revision(at), hash: HASH }, at);
const body = (at: number): EventRun => run({ kind: "body", revision: revision(at), record: new Uint8Array(9) }, at);
const END: SnapshotStep = { kind: "end", at: revision(7) };

function imports() {
  const told: (Revision | "step")[] = [];
  const proposed: { readonly command: SystemCommand; readonly done: (result: CommandResult) => void }[] = [];
  const all = new DownImports({
    link: linkId("hub"),
    parent: clusterId("hub"),
    lineage: { epoch: EPOCH, ancestors: [] },
    clock: new VirtualClock(),
    propose: (command) => new Promise((done) => proposed.push({ command, done })),
    taken: { taken: (cursor) => told.push(cursor), snapshotTaken: () => told.push("step") },
    failed: (error) => {
      throw error;
    },
  });
  const answer = async (result: CommandResult): Promise<void> => {
    proposed.shift()?.done(result);
    await settle();
  };
  return { all, told, proposed, answer };
}

const imported = (cursor: number): CommandResult => ({ kind: "imported", cursor: revision(cursor), outcomes: [] });

describe("S4: a site takes what its parent streams", () => {
  test("and acknowledges a run of nothing only behind what is stored before it", async () => {
    const { all, told, answer } = imports();
    all.begin();
    all.events(skip(1));
    expect(told).toEqual([1]);
    all.events(body(2));
    all.events(skip(3));
    all.events(body(4));
    all.events(skip(5));
    expect(told).toEqual([1]);
    await answer(imported(2));
    await answer(imported(5));
    expect(told).toEqual([1, 2, 5]);
  });

  test("and has a bound on runs of nothing that come before it knows who its parent is", () => {
    const { all, told } = imports();
    for (let at = 1; at <= 100; at++) all.events(skip(at));
    expect(told.length).toBe(63);
  });

  test("and says nothing of it over the next connection", async () => {
    const { all, told, answer } = imports();
    all.begin();
    all.events(body(1));
    all.close();
    await answer(imported(1));
    expect(told).toEqual([]);
    const steps = imports();
    steps.all.begin();
    steps.all.snapshot(END);
    steps.all.close();
    await steps.answer({ kind: "snapshotTaken", cursor: revision(7), more: false });
    expect(steps.told).toEqual([]);
  });

  test("and proposes what one entry does not do again, before it acknowledges it and before what follows", async () => {
    const { all, told, proposed, answer } = imports();
    all.begin();
    all.events(body(1));
    all.events(body(2));
    const first = proposed[0]?.command;
    await answer({ kind: "unfinished", cursor: 0 });
    await answer({ kind: "unfinished", cursor: 1 });
    expect(proposed.map(({ command }) => command)).toEqual([first]);
    expect(told).toEqual([]);
    await answer(imported(1));
    expect(told).toEqual([1]);
    expect(proposed).toMatchObject([{ command: { items: [{ revision: 2 }] } }]);
  });

  test("and is level with it at the end of a snapshot", async () => {
    const { all, told, answer } = imports();
    all.begin();
    all.snapshot(END);
    await answer({ kind: "snapshotTaken", cursor: revision(7), more: false });
    expect(told).toEqual([7, "step"]);
  });
});
