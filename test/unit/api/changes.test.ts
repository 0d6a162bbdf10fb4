import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { openAuthority } from "@openclaw/edge-runtime/api/auth.ts";
import type { ApiAuthority } from "@openclaw/edge-runtime/api/deps.ts";
import { ApiClient } from "@openclaw/edge-runtime/cli/client.ts";
import { exportEvents, newest } from "@openclaw/edge-runtime/cli/export.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { changesOf } from "../documents/changes.ts";
import { EPOCH, startTestNode, type TestNode } from "./node.ts";
import { EventReader } from "./sse.ts";

let node: TestNode;
let base: string;
const readers: EventReader[] = [];
beforeEach(async () => {
  node = await startTestNode({ authority: named });
  base = await node.listen();
});
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await node.stop();
});

/** Whoever calls itself `kiosk` reads `shop/` and the documents of `notes`; `blind` reads nothing. */
const named: ApiAuthority = {
  ...openAuthority,
  authenticate: async (token) => {
    const open = await openAuthority.authenticate(null);
    if (token === "blind") return { ...open, name: token, mayReadKey: () => false, mayReadDocument: () => false };
    if (token !== "kiosk") return open;
    const mayReadKey = (key: Uint8Array) => Buffer.from(key).toString().startsWith("shop/");
    return { ...open, name: token, mayReadKey, mayReadDocument: (collection) => collection === "notes" };
  },
};

const at = (revision: number, place?: number): string =>
  `california.0.${EPOCH.nonce}.${revision}${place === undefined ? "" : `.${place}`}`;
const changes = async (query: string, headers: Record<string, string> = {}) => {
  const reader = await EventReader.open(`${base}/v1/changes?${query}`, headers);
  readers.push(reader);
  return reader;
};
const events = (reader: EventReader) =>
  reader.received.filter(({ event }) => ["put", "delete", "change"].includes(event));

async function two(first: string, second: string): Promise<void> {
  const put = (key: string) =>
    ({ kind: "put", key: utf8(key), value: utf8("v"), lease: null, previous: false }) as const;
  const txn = { kind: "txn", compares: [], success: [put(first), put(second)], failure: [] } as const;
  expect((await node.replica.execute(txn, { principal: "test", timeoutMs: 5_000 })).ok).toBe(true);
}

async function push(collection: string): Promise<void> {
  const [change] = changesOf("aa".repeat(16), (draft) => {
    draft.title = collection;
  });
  if (change === undefined) throw new Error("a change");
  const command = { kind: "change", collection, document: "log", changes: [change] } as const;
  expect((await node.replica.execute(command, { principal: "ana", timeoutMs: 5_000 })).ok).toBe(true);
}

/** The lines of the whole answer, which has an end. */
async function lines(query: string, headers: Record<string, string> = {}): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${base}/v1/changes?${query}`, {
    headers: { accept: "application/x-ndjson", ...headers },
  });
  expect(response.headers.get("content-type")).toBe("application/x-ndjson; charset=utf-8");
  const text = await response.text();
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

describe("L3: a feed", () => {
  test("names each event of keys and documents for good, with who and when", async () => {
    await node.put("a", "1");
    await two("b", "c");
    const reader = await changes("from=1");
    await push("notes");
    await reader.until(() => events(reader).length === 4);
    expect(reader.received[0]).toMatchObject({ event: "hello", data: { cluster: "california", from: 1 } });
    expect(events(reader).map(({ id }) => id)).toEqual([at(1), at(2, 1), at(2), at(3)]);
    const common = { cluster: "california", partition: 0, epoch: EPOCH.nonce, origin: null, time: expect.any(Number) };
    expect(events(reader)[1]?.data).toEqual({
      ...{ kind: "put", key: "b", value: "dg==", text: "v", lease: null },
      ...{ ...common, revision: 2, index: 0, count: 2, principal: "test" },
    });
    expect(events(reader)[3]?.data).toMatchObject({
      ...{ kind: "change", collection: "notes", document: "log", seq: 1, deps: [] },
      ...{ ...common, revision: 3, index: 0, count: 1, principal: "ana" },
    });
  });

  test("goes on behind the event that was seen last, within a revision too", async () => {
    await node.put("a", "1");
    await two("b", "c");
    for (const [id, rest] of [
      [at(1), [at(2, 1), at(2)]],
      [at(2, 1), [at(2)]],
      [at(2), []],
    ] as const) {
      const reader = await changes("to=2", { "last-event-id": id });
      await reader.until(() => events(reader).length === rest.length && reader.received.length > 0);
      expect(events(reader).map((event) => event.id)).toEqual(rest);
      const told = await lines(`to=2&after=${id}`);
      expect(told.flatMap(({ kind, id: name }) => (kind === "put" ? [name] : []))).toEqual(rest);
    }
  });

  test("ends behind the revision that it was asked to, also one that is still to come", async () => {
    await node.put("a", "1");
    const answer = lines("from=1&to=3");
    await node.put("a", "2");
    await node.put("a", "3");
    await node.put("a", "4");
    expect((await answer).filter(({ kind }) => kind === "put").map(({ text }) => text)).toEqual(["1", "2", "3"]);
  });

  test("leaves out what may not be read, and still says how far it is", async () => {
    await two("shop/a", "secret");
    await push("notes");
    await push("private");
    const told = await lines("from=1&to=3&access_token=kiosk");
    expect(told.map(({ kind, id }) => [kind, id])).toEqual([
      ["hello", undefined],
      // The revision has more, which others may read: it is not told as complete.
      ["put", at(1, 1)],
      ["change", at(2)],
    ]);
    const reader = await changes("from=3&access_token=kiosk");
    await reader.until((all) => all.some(({ event }) => event === "progress"));
    expect(reader.received.at(-1)).toMatchObject({ event: "progress", id: at(3), data: { revision: 3 } });
  });

  test("never names progress behind an event that it has sent: whoever resumes there takes none twice", async () => {
    const slow = await changes("from=1&access_token=kiosk");
    const blind = await changes("from=1&access_token=blind");
    const reaches = (reader: EventReader, revision: number) =>
      reader.until((all) => all.some(({ event, data }) => event === "progress" && data.revision === revision));
    // The first progress is told at once; the second waits, and so falls due while the reader takes nothing.
    await node.put("secret", "1");
    await Promise.all([reaches(slow, 1), reaches(blind, 1)]);
    await node.put("secret", "2");
    slow.response.pause();
    const put = (key: string) =>
      ({ kind: "put", key: utf8(key), value: utf8("x".repeat(1_000_000)), lease: null, previous: false }) as const;
    const success = ["a", "b", "c"].map((key) => put(`shop/${key}`));
    const txn = { kind: "txn", compares: [], success, failure: [] } as const;
    expect((await node.replica.execute(txn, { principal: "test", timeoutMs: 5_000 })).ok).toBe(true);
    await reaches(blind, 3);
    slow.response.resume();
    await slow.until(() => events(slow).length === 3);
    await node.put("secret", "3");
    await reaches(slow, 4);
    const ids = slow.received.flatMap(({ id }) => (id === undefined ? [] : [Number(id.split(".")[3])]));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  });

  test("that is asked to end where it has been ends, and names nothing before that", async () => {
    for (const value of ["1", "2", "3"]) await node.put("a", value);
    expect((await lines(`after=${at(3)}&to=1`)).map(({ kind }) => kind)).toEqual(["hello"]);
  });

  test("refuses another cluster, another epoch, what is ahead and what is no id", async () => {
    await node.put("a", "1");
    const refused = async (query: string) => {
      const response = await node.app.inject({ url: `/v1/changes?${query}` });
      return [response.statusCode, response.json().code];
    };
    const other = "e".repeat(32);
    expect(await refused(`after=alaska.0.${EPOCH.nonce}.1`)).toEqual([403, "WRONG_CLUSTER"]);
    expect(await refused(`after=california.0.${other}.1`)).toEqual([409, "WRONG_EPOCH"]);
    expect(await refused(`after=${at(9)}`)).toEqual([409, "REVISION_AHEAD"]);
    for (const id of ["7", at(1, 1_000_000), `${at(1)}.x`, "", "..."])
      expect((await refused(`after=${encodeURIComponent(id)}`))[1], id).toBe("BAD_REQUEST");
  });

  test("COMPACTED is the answer's own status", async () => {
    const old = await startTestNode({
      replica: (replica) =>
        new Proxy(replica, {
          get: (target, name) => {
            if (name === "ledger") return () => Promise.reject(new OpenClawError("COMPACTED", "kept from revision 5"));
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? value.bind(target) : value;
          },
        }),
    });
    try {
      await old.put("a", "1");
      expect(await old.app.inject({ url: "/v1/changes?from=1" })).toMatchObject({ statusCode: 410 });
    } finally {
      await old.stop();
    }
  });
});

describe("openclaw export", () => {
  test("ends at what a majority has, not at what the node that is asked knows", async () => {
    const behind = await startTestNode({
      replica: (replica) =>
        new Proxy(replica, {
          get: (target, name) => {
            if (name === "barrier") return () => Promise.reject(new OpenClawError("UNAVAILABLE", "no majority"));
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? value.bind(target) : value;
          },
        }),
    });
    const client = new ApiClient([await behind.listen()], null);
    await expect(newest(client)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await behind.stop();
    expect(await newest(new ApiClient([base], null))).toBe(0);
  });

  test("prints each event once, over a stream that breaks within a revision", async () => {
    for (let i = 0; i < 20; i++) await two(`a${i}`, `b${i}`);
    // A way to the node that breaks off three times, in the middle of a line.
    let calls = 0;
    const way = createServer(async (request, response) => {
      const headers = request.headers as Record<string, string>;
      const body = await (await fetch(`${base}${request.url}`, { headers })).text();
      if (++calls > 3) return void response.end(body);
      response.write(body.slice(0, 1_500), () => response.destroy());
    });
    await new Promise<void>((ready) => way.listen(0, "127.0.0.1", ready));
    const { port } = way.address() as AddressInfo;
    const printed: string[] = [];
    await exportEvents(new ApiClient([`http://127.0.0.1:${port}`], null), {
      ...{ from: 1, after: null, to: 20, signal: new AbortController().signal },
      write: (line) => printed.push(line),
      warn: () => {},
    });
    way.close();
    expect(calls).toBe(4);
    const ids = printed.map((line) => JSON.parse(line).id);
    expect(ids).toEqual(Array.from({ length: 20 }, (_, i) => [at(i + 1, 1), at(i + 1)]).flat());
  });
});
