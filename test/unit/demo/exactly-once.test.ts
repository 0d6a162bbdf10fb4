import { compareWithLedger, lastPuts } from "@openclaw/demo/check/exactly-once.ts";
import type { LedgerPut } from "@openclaw/demo/check/ledger-feed.ts";
import type { AcknowledgedPut } from "@openclaw/demo/replay.ts";
import { serverEvents } from "@openclaw/edge-runtime/cli/server-events.ts";
import { expect, test } from "vitest";

const ack = (key: string, revision: number, sha256 = `${key}${revision}`): AcknowledgedPut => ({
  site: "california",
  key,
  revision,
  sha256,
  atMs: 0,
  attempts: 1,
});
const put = (key: string, originRevision: number, revision: number, sha256 = `${key}${originRevision}`): LedgerPut => ({
  key,
  sha256,
  revision,
  originRevision,
});
const acks = [ack("a", 1), ack("b", 2), ack("a", 4)];
const counts = (ledger: readonly LedgerPut[]) => {
  const { lost, duplicated, outOfOrder } = compareWithLedger(acks, ledger, "the hub");
  return [lost.length, duplicated.length, outOfOrder.length];
};

test("L4: a ledger that has every acknowledged put once and in order has no findings", () => {
  expect(counts([put("a", 1, 7), put("b", 2, 8), put("a", 4, 9)])).toEqual([0, 0, 0]);
});

test("L4: what is lost, doubled, reordered, altered or invented is found", () => {
  expect(counts([put("a", 1, 7), put("a", 4, 9)])).toEqual([1, 0, 0]);
  expect(counts([put("a", 1, 7), put("b", 2, 8), put("b", 2, 9), put("a", 4, 10)])).toEqual([0, 1, 0]);
  expect(counts([put("b", 2, 7), put("a", 1, 8), put("a", 4, 9)])).toEqual([0, 0, 1]);
  expect(counts([put("a", 1, 7), put("b", 2, 8, "other"), put("a", 4, 9)])).toEqual([1, 0, 0]);
  expect(counts([put("a", 1, 7), put("c", 2, 8, "b2"), put("a", 4, 9)])).toEqual([1, 0, 0]);
  expect(counts([put("a", 1, 7), put("b", 2, 8), put("b", 3, 9), put("a", 4, 10)])).toEqual([0, 1, 0]);
});

test("the last acknowledged put of a key is the one of the highest revision", () => {
  expect([...lastPuts([ack("a", 4), ack("a", 1), ack("b", 2)]).values()].map(({ revision }) => revision)).toEqual([
    4, 2,
  ]);
});

test("server-sent events are read across the borders of chunks, comments left out", async () => {
  const text = 'event: hello\ndata: {"revision":2}\n\n: still here\n\nevent: put\nid: 2\ndata: {"key":"é: b"}\n\n';
  const bytes = new TextEncoder().encode(text);
  async function* chunks() {
    for (const byte of bytes) yield Uint8Array.of(byte);
  }
  const events = [];
  for await (const event of serverEvents(chunks())) events.push(event);
  expect(events).toEqual([
    { event: "hello", id: undefined, data: { revision: 2 } },
    { event: "put", id: "2", data: { key: "é: b" } },
  ]);
});
