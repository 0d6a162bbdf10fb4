/** What comes from a site is read and checked behind a port, before anything of it is stored or shown. */

import { inspection as plain } from "@openclaw/browser/worker/plain-inspection.ts";
import type { Inspection } from "@openclaw/core/client/inspection.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { STEP_ITEMS_MAX } from "@openclaw/core/client/run-steps.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { expect, test } from "vitest";
import { World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

/** An inspection that takes as long as the test says. */
class Held implements Inspection {
  /** Records of each call so far. */
  readonly calls: number[] = [];
  holding = false;
  #held: (() => void)[] = [];

  async records(records: readonly Uint8Array[]): ReturnType<Inspection["records"]> {
    this.calls.push(records.length);
    await this.#turn();
    return plain.records(records);
  }

  /** Also those that are provisional (D5). */
  async changes(changes: readonly DocumentChange[]): ReturnType<Inspection["changes"]> {
    await this.#turn();
    return plain.changes(changes);
  }

  async #turn(): Promise<void> {
    if (this.holding) await new Promise<void>((resolve) => this.#held.push(resolve));
  }

  release(): void {
    this.holding = false;
    for (const go of this.#held.splice(0)) go();
  }
}

async function readerAndWriter() {
  const world = new World();
  const site = await world.cluster("california");
  const [inspection, store] = [new Held(), new MemoryClientStore()];
  const [writer, reader] = [await world.client(site), await world.client(site, { inspection, store })];
  const opening = Promise.all(
    [writer, reader].map((client) => client.docs.open<Log>("log", "today", { initial: EMPTY })),
  );
  await world.flush();
  const [left, right] = await opening;
  if (left === undefined || right === undefined) throw new Error("two handles were opened");
  await world.flush();
  return { world, site, inspection, store, writer, reader, left, right };
}

test("D1, D5, S1: nothing is stored, shown or acknowledged before it was checked", async () => {
  const { world, inspection, store, reader, left, right } = await readerAndWriter();
  const { cursor } = reader.status();
  const stored = await store.document("log", "today");
  inspection.holding = true;
  left.change(append("a"));
  await world.flush();
  expect(inspection.calls.at(-1)).toBe(1);
  expect(right.doc().text).toBe("");
  expect(reader.status().cursor).toBe(cursor);
  expect(await store.document("log", "today")).toEqual(stored);
  // Who types here does not wait for it.
  const edit = right.change(append("b"));
  await world.flush();
  expect(await edit.site).toBeGreaterThan(cursor);
  expect(right.doc().text).toBe("b");
  inspection.release();
  await world.flush();
  expect([...right.doc().text].sort().join("")).toBe("ab");
  expect(reader.status().cursor).toBeGreaterThan(cursor);
});

test("1,000 changes at once are read in steps, each with a place of its own, and none is lost", async () => {
  const { world, inspection, writer, reader, site, left, right } = await readerAndWriter();
  writer.goOffline();
  for (let i = 0; i < 1_000; i++) {
    left.change(append(String(i % 10)));
    // Each a row, and a revision, of its own.
    await world.flush();
  }
  const before = inspection.calls.length;
  writer.goOnline();
  await world.flush();
  expect(right.doc().text).toBe(left.doc().text);
  expect(right.doc().text).toHaveLength(1_000);
  expect(reader.status().cursor).toBe(site.position().revision);
  expect(Math.max(...inspection.calls.slice(before))).toBeLessThanOrEqual(STEP_ITEMS_MAX);
});
