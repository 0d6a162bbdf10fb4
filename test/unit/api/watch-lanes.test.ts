import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { type LaneWatch, WatchLanes } from "@openclaw/edge-runtime/api/watch-lanes.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

describe("K7: lanes", () => {
  const records: StoredRecord[] = [];
  beforeAll(async () => {
    for (let i = 0; i < 20; i++) await node.put("lane", String(i));
    records.push(...(await node.replica.ledger(revision(1), 1_000_000)).records.slice(-20));
  });

  /** A ledger that is kept from `kept` on, read in pages of so many records. */
  const source = (kept: number, page = 1) => ({
    position: () => node.replica.position(),
    follow: () => () => {},
    onAgreement: () => () => {},
    ledger: async (from: Revision) => {
      if (from < kept) throw new OpenClawError("COMPACTED", `kept from ${kept}`);
      const at = records.findIndex((record) => record.revision === from);
      return { records: at < 0 ? [] : records.slice(at, at + page), revision: node.replica.position().revision };
    },
  });
  const watchAt = (next: number) => {
    const seen: number[] = [];
    const errors: string[] = [];
    const watch: LaneWatch = {
      next,
      offer: ({ record }) => seen.push(record.revision),
      cancelled: (error) => errors.push(error.code),
    };
    return { watch, seen, errors };
  };

  test("a watch of what is compacted is cancelled, those beside it go on", async () => {
    const first = records[0]?.revision ?? 0;
    const stop = new AbortController();
    const caughtUp = Promise.withResolvers<void>();
    const sink = { full: false, flush: async () => {}, caughtUp: () => caughtUp.resolve() };
    const lanes = new WatchLanes(source(first + 10), sink, stop.signal);
    const [old, kept] = [watchAt(first), watchAt(first + 10)];
    lanes.add(old.watch);
    lanes.add(kept.watch);
    const running = lanes.run();
    await caughtUp.promise;
    await expect.poll(() => lanes.reached).not.toBeNull();
    expect(old).toMatchObject({ seen: [], errors: ["COMPACTED"] });
    expect(kept.seen).toEqual(records.slice(10).map((record) => record.revision));
    expect(kept.errors).toEqual([]);
    stop.abort();
    await running;
  });

  test("X1: a reader that takes nothing holds everything up, and is told nothing of progress", async () => {
    const first = records[0]?.revision ?? 0;
    const stop = new AbortController();
    const gate = Promise.withResolvers<void>();
    let told = 0;
    let flushes = 0;
    const sink = {
      full: true,
      flush: () => {
        flushes++;
        return gate.promise;
      },
      caughtUp: () => told++,
    };
    const lanes = new WatchLanes(source(1), sink, stop.signal);
    const watched = watchAt(first);
    lanes.add(watched.watch);
    const running = lanes.run();
    await expect.poll(() => flushes).toBeGreaterThan(0);
    expect(watched.seen).toEqual([first]);
    expect(told).toBe(0);
    gate.resolve();
    await expect.poll(() => lanes.reached).not.toBeNull();
    expect(watched.seen).toEqual(records.map((record) => record.revision));
    stop.abort();
    await running;
  });

  test("one that begins before what is being caught up on misses nothing, and the other sees nothing twice", async () => {
    const first = records[0]?.revision ?? 0;
    const stop = new AbortController();
    const early = watchAt(first);
    let lanes: WatchLanes | null = null;
    let flushes = 0;
    const sink = {
      full: false,
      flush: async () => {
        if (++flushes === 3) lanes?.add(early.watch);
      },
      caughtUp: () => {},
    };
    lanes = new WatchLanes(source(1), sink, stop.signal);
    const late = watchAt(first + 5);
    lanes.add(late.watch);
    const running = lanes.run();
    await expect.poll(() => early.seen.length + late.seen.length).toBe(20 + 15);
    expect(early.seen).toEqual(records.map((record) => record.revision));
    expect(late.seen).toEqual(records.slice(5).map((record) => record.revision));
    stop.abort();
    await running;
  });

  test("pitfall 23: one that is added while a page for another is being sent misses nothing before its place in it", async () => {
    const first = records[0]?.revision ?? 0;
    const stop = new AbortController();
    const later = watchAt(first);
    let lanes: WatchLanes | null = null;
    let offered = 0;
    const sink = {
      full: true,
      flush: async () => {
        if (++offered === 5) lanes?.add(later.watch);
      },
      caughtUp: () => {},
    };
    lanes = new WatchLanes(source(1, 20), sink, stop.signal);
    const earlier = watchAt(first);
    lanes.add(earlier.watch);
    const running = lanes.run();
    await expect.poll(() => lanes.reached).not.toBeNull();
    await expect.poll(() => later.seen.at(-1)).toBe(records.at(-1)?.revision);
    for (const { seen } of [earlier, later]) expect(seen).toEqual(records.map((record) => record.revision));
    stop.abort();
    await running;
  });

  test("what fails to be sent ends the stream", async () => {
    const sink = {
      full: false,
      flush: () => Promise.reject(new OpenClawError("OVERLOADED")),
      caughtUp: () => {},
    };
    const stop = new AbortController();
    const lanes = new WatchLanes(source(1), sink, stop.signal);
    lanes.add(watchAt(records[0]?.revision ?? 0).watch);
    await expect(lanes.run()).rejects.toMatchObject({ code: "OVERLOADED" });
    stop.abort();
  });
});
