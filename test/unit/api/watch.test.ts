import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { ledgerPages } from "@openclaw/edge-runtime/api/ledger-pages.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EPOCH, startTestNode, type TestNode } from "./node.ts";
import { changes, EventReader } from "./sse.ts";

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

const watch = async (query: string, headers: Record<string, string> = {}) => {
  const reader = await EventReader.open(`${base}/v1/watch?${query}`, headers);
  readers.push(reader);
  return reader;
};
const texts = (reader: EventReader) => changes(reader.received).map(({ data }) => data.text ?? data.kind);

describe("pitfall 23: a watch", () => {
  test("tells where it starts, then what happens, with who and when", async () => {
    const reader = await watch("prefix=live/");
    await reader.until((all) => all.length > 0);
    expect(reader.received[0]).toMatchObject({ event: "hello", data: { cluster: "california", epoch: EPOCH.nonce } });
    const at = await node.put("live/a", "1");
    await node.put("other", "unseen");
    const response = await node.app.inject({ method: "DELETE", url: "/v1/kv/live/a" });
    await reader.until((all) => changes(all).length === 2);
    expect(changes(reader.received)).toEqual([
      {
        event: "put",
        id: String(at),
        data: {
          kind: "put",
          key: "live/a",
          value: "MQ==",
          text: "1",
          revision: at,
          origin: null,
          principal: "test",
          time: expect.any(Number),
        },
      },
      {
        event: "delete",
        id: String(response.json().revision),
        data: {
          kind: "delete",
          key: "live/a",
          revision: at + 2,
          origin: null,
          principal: "anonymous",
          time: expect.any(Number),
        },
      },
    ]);
  });

  test("from a revision catches up and goes on live, in order, without gap or double", async () => {
    const first = await node.put("run/0", "0");
    const total = 400;
    const writing = (async () => {
      for (let i = 1; i < total; i++) await node.put(`run/${i}`, String(i));
    })();
    const whole: EventReader[] = [];
    for (let i = 0; i < 5; i++) {
      whole.push(await watch(`prefix=run/&from=${first}`));
      await node.put("noise", String(i));
    }
    await writing;
    const expected = Array.from({ length: total }, (_, i) => String(i));
    for (const reader of whole) {
      await reader.until((all) => changes(all).length >= total);
      expect(texts(reader)).toEqual(expected);
      const revisions = changes(reader.received).map(({ data }) => data.revision);
      expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
      expect(new Set(revisions).size).toBe(total);
    }
  });

  test("resumes after Last-Event-ID, at whatever event it broke off", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(String(await node.put("resume/k", String(i))));
    for (const [at, id] of ids.slice(0, -1).entries()) {
      const reader = await watch("prefix=resume/", { "last-event-id": id });
      await reader.until((all) => changes(all).length === 4 - at);
      expect(texts(reader)).toEqual(["0", "1", "2", "3", "4"].slice(at + 1));
      reader.close();
    }
  });

  test("tells its progress although nothing matches, and may be resumed there", async () => {
    const reader = await watch(`prefix=nothing/&from=1`);
    const at = await node.put("elsewhere", "x");
    await reader.until((all) => all.some(({ event, data }) => event === "progress" && data.revision >= at));
    const last = reader.received.at(-1);
    expect(last?.id).toBe(String(last?.data.revision));
  });

  test("tells its progress past the last match, too: who waits for a revision is not left waiting", async () => {
    const first = await node.put("tail/a", "1");
    const last = await node.put("elsewhere", "x");
    const reader = await watch(`prefix=tail/&from=${first}`);
    await reader.until((all) => all.some(({ event, data }) => event === "progress" && data.revision >= last));
    expect(texts(reader)).toEqual(["1"]);
  });

  test("of another origin sees nothing of ours", async () => {
    const at = await node.put("live/origin", "ours");
    const mirror = await watch(`origin=alaska&from=${at}`);
    const everything = await watch(`origin=*&from=${at}`);
    await everything.until((all) => changes(all).length === 1);
    await mirror.until((all) => all.some(({ event, data }) => event === "progress" && data.revision >= at));
    expect(changes(mirror.received)).toEqual([]);
  });

  test("of bytes that are no UTF-8", async () => {
    const at = await node.put(Uint8Array.of(0xff, 1), Uint8Array.of(0xfe));
    const reader = await watch(`prefix=%FF&from=${at}`);
    await reader.until((all) => changes(all).length === 1);
    expect(changes(reader.received)[0]?.data).toMatchObject({ key: null, keyBase64: "/wE=", value: "/g==" });
  });

  test("L3: from a revision ahead of the state is asked of the cluster, then refused REVISION_AHEAD", async () => {
    const response = await fetch(`${base}/v1/watch?from=1000000`);
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ code: "REVISION_AHEAD", retryable: true });
    const bad = await fetch(`${base}/v1/watch`, { headers: { "last-event-id": "yesterday" } });
    expect(await bad.json()).toMatchObject({ code: "BAD_REQUEST" });
  });

  test("X1: a reader that pauses misses nothing when it reads again", async () => {
    const reader = await watch("prefix=slow/");
    await reader.until((all) => all.length > 0);
    reader.response.pause();
    const value = "x".repeat(200_000);
    for (let i = 0; i < 40; i++) await node.put("slow/k", `${i}:${value}`);
    reader.response.resume();
    await reader.until((all) => changes(all).length === 40);
    expect(texts(reader).map((text) => Number(text.split(":")[0]))).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  test("a client that goes away leaves nothing behind", async () => {
    const reader = await watch("prefix=gone/");
    await reader.until((all) => all.length > 0);
    const count = async () => Number(/openclaw_watchers (\d+)/.exec((await node.app.inject("/metrics")).body)?.[1]);
    const open = await count();
    reader.close();
    await expect.poll(count).toBe(open - 1);
  });

  test("a node that stops says so in every watch", async () => {
    const own = await startTestNode();
    const reader = await EventReader.open(`${await own.listen()}/v1/watch`);
    await reader.until((all) => all.length > 0);
    await own.stop();
    await reader.until((all) => all.some(({ event }) => event === "closed"));
    expect(reader.received.at(-1)).toMatchObject({ event: "closed", data: { code: "STOPPED", retryable: true } });
  });
});

describe("ledger pages", () => {
  test("a consumer slower than the ledger gets every revision once, from memory or from the ledger", async () => {
    const first = (await node.put("pages/start", "0")) + 1;
    const stop = new AbortController();
    const seen: number[] = [];
    const writing = (async () => {
      for (let i = 0; i < 60; i++) await node.put("pages/k", utf8("y".repeat(100_000)));
    })();
    for await (const { records } of ledgerPages(node.replica, revision(first), stop.signal)) {
      seen.push(...records.map((record) => record.revision));
      if (seen.length < 20) await writing; // everything else is committed while this page is held
      if (seen.length >= 60) stop.abort();
    }
    expect(seen).toEqual(Array.from({ length: 60 }, (_, i) => first + i));
  });
});
