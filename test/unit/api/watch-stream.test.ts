import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { openAuthority } from "@openclaw/edge-runtime/api/auth.ts";
import type { EventStream } from "@openclaw/edge-runtime/api/event-stream.ts";
import { PreviousRows } from "@openclaw/edge-runtime/api/previous-rows.ts";
import type { ServerEvent } from "@openclaw/edge-runtime/api/stream-format.ts";
import { WatchStream } from "@openclaw/edge-runtime/api/watch-stream.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";
import { EventReader, type Received } from "./sse.ts";

let node: TestNode;
let base: string;
const readers: EventReader[] = [];
beforeAll(async () => {
  node = await startTestNode();
  base = await node.listen();
});
afterAll(async () => {
  for (const reader of readers) reader.close();
  await node.stop();
});

const b64 = (text: string) => Buffer.from(text).toString("base64");
const text = (base64: string) => Buffer.from(base64, "base64").toString();
const open = async (watches: readonly object[]): Promise<EventReader> => {
  const reader = await EventReader.post(`${base}/v1/watch`, { watches });
  readers.push(reader);
  await reader.until((all) => all.filter(({ event }) => event === "created").length === watches.length);
  return reader;
};
const ask = (reader: EventReader, body: object) =>
  fetch(`${base}/v1/watch/${reader.received[0]?.data.stream}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const eventsOf = (received: readonly Received[], watch: number) =>
  received.filter(({ event, data }) => event === "events" && data.watch === watch);
const keysOf = (received: readonly Received[], watch: number): string[] =>
  eventsOf(received, watch).flatMap(({ data }) =>
    data.events.map(({ kind, key }: { kind: string; key: string }) => `${kind} ${text(key)}`),
  );
const progressed = (received: readonly Received[], at: number) =>
  received.some(({ event, data }) => event === "progress" && data.revision >= at);
const txn = async (success: readonly object[]): Promise<Revision> => {
  const response = await node.app.inject({ method: "POST", url: "/v1/txn", payload: { success } });
  expect(response.statusCode).toBe(200);
  return response.json().revision;
};
const put = (key: string, value: string) => ({ op: "put", key: b64(key), value: b64(value) });

describe("K7: many watches on one stream", () => {
  test("each is told of its keys alone: a key, a range, all from a key on", async () => {
    const reader = await open([
      { watch: 1, key: b64("m/b") },
      { watch: 2, key: b64("m/b"), rangeEnd: b64("m/d") },
      { watch: 3, key: b64("m/c"), rangeEnd: "AA==" },
    ]);
    for (const key of ["m/a", "m/b", "m/c", "m/d"]) await node.put(key, "1");
    const last = await node.put("a", "1");
    await reader.until((all) => progressed(all, last));
    expect(keysOf(reader.received, 1)).toEqual(["put m/b"]);
    expect(keysOf(reader.received, 2)).toEqual(["put m/b", "put m/c"]);
    expect(keysOf(reader.received, 3)).toEqual(["put m/c", "put m/d"]);
  });

  test("the events of one revision are one message, whatever a transaction wrote", async () => {
    const reader = await open([{ watch: 7, key: b64("t/"), rangeEnd: b64("t0") }]);
    await node.put("t/gone", "x");
    const at = await txn([
      put("t/1", "a"),
      put("other", "b"),
      put("t/2", "c"),
      { op: "deleteRange", key: b64("t/gone") },
    ]);
    await reader.until((all) => progressed(all, at));
    expect(eventsOf(reader.received, 7).map(({ data }) => data)).toEqual([
      expect.objectContaining({ revision: at - 1 }),
      {
        watch: 7,
        revision: at,
        origin: null,
        principal: "anonymous",
        time: expect.any(Number),
        events: [
          { kind: "put", key: b64("t/1"), value: b64("a") },
          { kind: "put", key: b64("t/2"), value: b64("c") },
          { kind: "delete", key: b64("t/gone") },
        ],
      },
    ]);
  });

  test("filters leave out puts or deletes", async () => {
    const range = { key: b64("f/"), rangeEnd: b64("f0") };
    const reader = await open([
      { watch: 1, ...range, filters: ["noput"] },
      { watch: 2, ...range, filters: ["nodelete"] },
      { watch: 3, ...range, filters: ["noput", "nodelete"] },
    ]);
    await node.put("f/k", "1");
    const at = (await node.app.inject({ method: "DELETE", url: "/v1/kv/f/k" })).json().revision;
    await reader.until((all) => progressed(all, at));
    expect(keysOf(reader.received, 1)).toEqual(["delete f/k"]);
    expect(keysOf(reader.received, 2)).toEqual(["put f/k"]);
    expect(keysOf(reader.received, 3)).toEqual([]);
  });

  test("from the past and from the future, each event once and in order, beside live ones", async () => {
    const first = await node.put("p/0", "");
    for (let i = 1; i < 100; i++) await node.put(`p/${i}`, "");
    const future = first + 150;
    const range = { key: b64("p/"), rangeEnd: b64("p0") };
    const reader = await open([
      { watch: 1, ...range },
      { watch: 2, ...range, from: first },
      { watch: 3, ...range, from: first + 50 },
      { watch: 4, ...range, from: future },
    ]);
    let last = first;
    for (let i = 100; i < 200; i++) {
      last = await node.put(`p/${i}`, "");
      if (i === 120) expect((await ask(reader, { create: [{ watch: 5, ...range, from: first }] })).status).toBe(200);
    }
    await reader.until((all) => progressed(all, last));
    const keys = (from: number) => Array.from({ length: 200 - from }, (_, i) => `put p/${from + i}`);
    expect(keysOf(reader.received, 1)).toEqual(keys(100));
    expect(keysOf(reader.received, 2)).toEqual(keys(0));
    expect(keysOf(reader.received, 3)).toEqual(keys(50));
    expect(keysOf(reader.received, 4)).toEqual(keys(150));
    expect(keysOf(reader.received, 5)).toEqual(keys(0));
  });

  test("with previous, an event tells what was there before its revision", async () => {
    const reader = await open([
      { watch: 1, key: b64("b/"), rangeEnd: b64("b0"), previous: true },
      { watch: 2, key: b64("b/"), rangeEnd: b64("b0") },
    ]);
    const first = await node.put("b/k", "1");
    const second = await txn([put("b/k", "2"), put("b/new", "x")]);
    const last = (await node.app.inject({ method: "DELETE", url: "/v1/kv/b/k" })).json().revision;
    await node.put("b/k", "3");
    await reader.until((all) => progressed(all, last + 1));
    const row = { createRevision: first, lease: null };
    expect(eventsOf(reader.received, 1).flatMap(({ data }) => data.events)).toEqual([
      { kind: "put", key: b64("b/k"), value: b64("1"), previous: null },
      {
        kind: "put",
        key: b64("b/k"),
        value: b64("2"),
        previous: { value: b64("1"), text: "1", modRevision: first, version: 1, ...row },
      },
      { kind: "put", key: b64("b/new"), value: b64("x"), previous: null },
      {
        kind: "delete",
        key: b64("b/k"),
        previous: { value: b64("2"), text: "2", modRevision: second, version: 2, ...row },
      },
      { kind: "put", key: b64("b/k"), value: b64("3"), previous: null },
    ]);
    expect(eventsOf(reader.received, 2).flatMap(({ data }) => data.events)).not.toContainEqual(
      expect.objectContaining({ previous: expect.anything() }),
    );
    const single = await EventReader.open(`${base}/v1/watch?prefix=b/k&from=${second}&previous=true`);
    readers.push(single);
    await single.until((all) => all.some(({ data }) => data.revision === last));
    expect(single.received.slice(1, 3).map(({ data }) => data.previous.text)).toEqual(["1", "2"]);
  });

  test("X1: rows before the events of one revision are bounded, and many watches ask for few at a time", async () => {
    let reading = 0;
    let most = 0;
    const value = new Uint8Array(1_000_000);
    const rows = new PreviousRows({
      history: async (query) => {
        most = Math.max(most, ++reading);
        await new Promise((resolve) => setImmediate(resolve));
        reading--;
        if (query.kind === "get" && query.key[0] === 0) throw new OpenClawError("COMPACTED");
        const at = revision(1);
        return {
          row: { key: utf8("k"), value, createRevision: at, modRevision: at, version: 1, lease: null },
        } as never;
      },
    });
    const record = { revision: revision(9), origin: null } as LedgerRecord;
    const deletes = (key: Uint8Array) => Array.from({ length: 20 }, () => ({ kind: "delete", key }) as const);
    const all = await Promise.all(Array.from({ length: 30 }, () => rows.before(record, deletes(utf8("k")))));
    for (const before of all) expect(before.filter(({ previous }) => previous !== undefined)).toHaveLength(9);
    expect(most).toBe(8);
    expect(await rows.before(record, deletes(Uint8Array.of(0)))).toEqual(Array.from({ length: 20 }, () => ({})));
  });

  test("what one lane took is sent before anything that another one flushes", async () => {
    const at = await node.put("order", "1");
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const rows = new PreviousRows({
      history: async () => {
        asked.resolve();
        await gate.promise;
        return { row: null } as never;
      },
    });
    const stop = new AbortController();
    const sent: string[] = [];
    const events = {
      signal: stop.signal,
      send: async (all: readonly ServerEvent[]) => void sent.push(...all.map(({ event }) => event)),
    };
    const stream = new WatchStream("s", events as EventStream, node.replica, rows);
    const keys = { kind: "key", key: utf8("order") } as const;
    const selection = { keys, origin: null, filters: [], principal: await openAuthority.authenticate(null) };
    const running = stream.run([{ watch: 1, selection, from: at, previous: true }]);
    await asked.promise;
    let flushed = false;
    const second = stream.flush().then(() => {
      flushed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect({ flushed, sent }).toEqual({ flushed: false, sent: ["hello", "created"] });
    gate.resolve();
    await second;
    expect(sent).toContain("events");
    stop.abort();
    await running;
  });

  test("watches come and go while the stream is open; cancelling one that is not there does nothing", async () => {
    const reader = await open([{ watch: 1, key: b64("c") }]);
    expect(await (await ask(reader, { create: [{ watch: 2, key: b64("c") }], cancel: [1, 99] })).json()).toEqual({
      watches: 1,
    });
    const at = await node.put("c", "1");
    await reader.until((all) => progressed(all, at));
    expect(reader.received.filter(({ event }) => event === "canceled").map(({ data }) => data)).toEqual([{ watch: 1 }]);
    expect(keysOf(reader.received, 1)).toEqual([]);
    expect(keysOf(reader.received, 2)).toEqual(["put c"]);
  });

  test("tells its progress when it is asked, and then everything before was told", async () => {
    const reader = await open([{ watch: 1, key: b64("q") }]);
    const at = await node.put("q", "1");
    await reader.until((all) => progressed(all, at));
    const before = reader.received.length;
    await ask(reader, { progress: true });
    await reader.until((all) => all.length > before);
    expect(reader.received.at(-1)).toMatchObject({ event: "progress", data: { revision: at } });
    expect(keysOf(reader.received, 1)).toEqual(["put q"]);
  });

  test("X1: bad requests are refused by name, and leave the stream as it is", async () => {
    const reader = await open([{ watch: 1, key: b64("x") }]);
    const refused = async (body: object) => (await (await ask(reader, body)).json()).code;
    expect(await refused({ create: [{ watch: 1, key: b64("y") }] })).toBe("BAD_REQUEST");
    expect(await refused({ create: [{ watch: 2, key: "no base64!" }] })).toBe("BAD_REQUEST");
    expect(await refused({ create: [{ watch: 2, key: b64("y"), from: 0 }] })).toBe("BAD_REQUEST");
    expect(await refused({ create: [{ watch: 2, key: b64("y"), filters: ["nothing"] }] })).toBe("BAD_REQUEST");
    expect(await refused({ create: [{ watch: 2, key: b64("y"), origin: "a b" }] })).toBe("BAD_REQUEST");
    const many = Array.from({ length: 1_000 }, (_, i) => ({ watch: 10 + i, key: b64("y") }));
    expect(await refused({ create: many })).toBe("OVERLOADED");
    const unknown = await fetch(`${base}/v1/watch/${"0".repeat(36)}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(await unknown.json()).toMatchObject({ code: "NOT_FOUND" });
    const none = await EventReader.post(`${base}/v1/watch`, { watches: [] });
    expect(none.response.statusCode).toBe(400);
    none.close();
    const at = await node.put("x", "1");
    await reader.until((all) => progressed(all, at));
    expect(keysOf(reader.received, 1)).toEqual(["put x"]);
  });

  test("a thousand watches of one key are told one by one", async () => {
    const watches = Array.from({ length: 1_000 }, (_, watch) => ({ watch, key: b64("k") }));
    const reader = await open(watches);
    await node.put("k", "v".repeat(5_000));
    const at = await node.put("k", "2");
    await reader.until((all) => progressed(all, at));
    for (const { watch } of watches) expect(keysOf(reader.received, watch)).toEqual(["put k", "put k"]);
  });
});
