import { request } from "node:http";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLUSTER, EPOCH, startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

const put = (path: string, payload: Buffer | string, headers: Record<string, string> = {}) =>
  node.app.inject({ method: "PUT", url: `/v1/kv/${path}`, payload, headers });
const get = (path: string) => node.app.inject({ method: "GET", url: `/v1/kv/${path}` });
const remove = (path: string) => node.app.inject({ method: "DELETE", url: `/v1/kv/${path}` });
const list = (query: string) => node.app.inject({ method: "GET", url: `/v1/kv?${query}` });

const answers = async (request: Promise<{ statusCode: number; json(): unknown }>, status: number, code: string) => {
  const response = await request;
  expect(response.json()).toEqual({ code, message: expect.any(String), retryable: false });
  expect(response.statusCode).toBe(status);
};

describe("a key", () => {
  test("is put, read with its revisions, overwritten and deleted", async () => {
    const first = await put("quakes/nc1", "one");
    expect(first.statusCode).toBe(200);
    const { revision } = first.json();
    const position = `${CLUSTER}.0.${EPOCH.nonce}.${revision}`;
    expect(first.json()).toEqual({ cluster: CLUSTER, partition: 0, epoch: EPOCH.nonce, revision, position });
    expect(first.headers["x-openclaw-position"]).toBe(position);
    const second = (await put("quakes/nc1", "two")).json().revision;
    expect(second).toBe(revision + 1);
    const read = await get("quakes/nc1");
    expect(read.body).toBe("two");
    expect(read.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "x-openclaw-mod-revision": String(second),
      "x-openclaw-create-revision": String(revision),
      "x-openclaw-version": "2",
      "x-openclaw-revision": String(second),
      etag: `"${second}"`,
    });
    const removed = await remove("quakes/nc1");
    expect(removed.json().revision).toBe(second + 1);
    const gone = await get("quakes/nc1");
    expect(gone.statusCode).toBe(404);
    expect(gone.json()).toMatchObject({ code: "NOT_FOUND", retryable: false });
  });

  test.each([
    ["slashes", "a/b//c", "a/b//c"],
    ["an encoded slash is a slash", "a%2Fx", "a/x"],
    ["spaces, plus and percent", "a%20+%25", "a +%"],
    ["Unicode", encodeURIComponent("größe/✓"), "größe/✓"],
    ["a question mark and a hash", "what%3F%23", "what?#"],
  ])("may hold %s", async (_, path, key) => {
    expect((await put(path, key)).statusCode).toBe(200);
    expect((await get(path)).body).toBe(key);
    const { rows } = (await list(`prefix=${encodeURIComponent(key)}`)).json();
    expect(rows.map((row: { key: string }) => row.key)).toContain(key);
  });

  test("may hold bytes that are no UTF-8; a list gives them in base64", async () => {
    const value = Buffer.from([0, 255, 128]);
    expect((await put("%FF%00%FE", value)).statusCode).toBe(200);
    expect((await get("%ff%00%fe")).rawPayload).toEqual(value);
    const { rows } = (await list("prefix=%FF")).json();
    expect(rows).toEqual([expect.objectContaining({ key: null, keyBase64: "/wD+", value: "AP+A", version: 1 })]);
    expect(rows[0]).not.toHaveProperty("text");
  });

  test("may hold dots, which no URL parser may tidy away on our side", async () => {
    const { port } = new URL(await node.listen());
    const status = await new Promise((resolve) => {
      request({ port, method: "PUT", path: "/v1/kv/%2E%2E/x", agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end("dots");
    });
    expect(status).toBe(200);
    expect((await list("prefix=../")).json().rows).toEqual([expect.objectContaining({ key: "../x", text: "dots" })]);
  });

  test("may have an empty value, and any content type is bytes", async () => {
    expect((await put("empty", "")).statusCode).toBe(200);
    expect((await get("empty")).rawPayload.length).toBe(0);
    expect((await put("json", '{"half', { "content-type": "application/json" })).statusCode).toBe(200);
    expect((await get("json")).body).toBe('{"half');
  });

  test("local consistency reads what this node has", async () => {
    await put("local", "here");
    expect((await get("local?consistency=local")).body).toBe("here");
  });
});

describe("compare and set", () => {
  test("puts at the expected revision only", async () => {
    expect((await put("cas?expected=1e300", "never")).statusCode).toBe(400);
    const { revision } = (await put("cas?expected=0", "first")).json();
    const late = await put("cas?expected=0", "again");
    expect(late.statusCode).toBe(412);
    expect(late.json()).toMatchObject({ code: "COMPARE_FAILED", retryable: false });
    expect((await put(`cas?expected=${revision}`, "second")).statusCode).toBe(200);
    expect((await get("cas")).body).toBe("second");
  });

  test("takes the ETag of a GET as If-Match, and If-None-Match: * for an absent key", async () => {
    expect((await put("etag", "first", { "if-none-match": "*" })).statusCode).toBe(200);
    expect((await put("etag", "again", { "if-none-match": "*" })).json().code).toBe("COMPARE_FAILED");
    const etag = String((await get("etag")).headers.etag);
    expect((await put("etag", "second", { "if-match": etag })).statusCode).toBe(200);
    expect((await put("etag", "third", { "if-match": etag })).json().code).toBe("COMPARE_FAILED");
    expect((await put("etag", "third", { "if-match": "W/1" })).json().code).toBe("BAD_REQUEST");
  });
});

describe("a list", () => {
  test("is in byte order, bounded, and goes on after a key", async () => {
    for (const key of ["b", "a", "c", "a/1"]) await put(`list/${key}`, key);
    const keys = async (query: string) => {
      const { rows, more } = (await list(query)).json();
      return { keys: rows.map((row: { key: string }) => row.key), more };
    };
    expect(await keys("prefix=list/")).toEqual({ keys: ["list/a", "list/a/1", "list/b", "list/c"], more: false });
    expect(await keys("prefix=list/&limit=2")).toEqual({ keys: ["list/a", "list/a/1"], more: true });
    expect(await keys("prefix=list/&limit=2&after=list/a/1")).toEqual({ keys: ["list/b", "list/c"], more: false });
    const { rows } = (await list("prefix=list/c")).json();
    expect(rows).toEqual([expect.objectContaining({ key: "list/c", value: "Yw==", text: "c" })]);
  });

  test("is sorted, bounded by revisions, without values, and counted, as it is asked for", async () => {
    await put("sort/a", "3");
    await put("sort/b", "1");
    const third = (await put("sort/c", "2")).json().revision;
    await put("sort/a", "3");
    const keys = async (query: string) =>
      (await list(`prefix=sort/&${query}`)).json().rows.map((row: { key: string }) => row.key.slice(5));
    expect(await keys("sort=value")).toEqual(["b", "c", "a"]);
    expect(await keys("sort=modRevision&order=descending&limit=2")).toEqual(["a", "c"]);
    expect(await keys("sort=version")).toEqual(["b", "c", "a"]);
    expect(await keys("order=descending")).toEqual(["c", "b", "a"]);
    expect(await keys(`minModRevision=${third}`)).toEqual(["a", "c"]);
    expect(await keys(`maxModRevision=${third}&minCreateRevision=${third}`)).toEqual(["c"]);
    expect((await list("prefix=sort/&view=count")).json()).toMatchObject({ rows: [], count: 3, more: false });
    const page = (await list("prefix=sort/&limit=1&count=true&view=keys")).json();
    expect(page).toMatchObject({ count: 3, more: true });
    expect(page.rows).toEqual([
      { key: "sort/a", modRevision: expect.any(Number), createRevision: expect.any(Number), version: 2 },
    ]);
    expect((await list("prefix=sort/&limit=1")).json()).not.toHaveProperty("count");
  });

  test("of a mirror that is not here is empty, and its keys are not found", async () => {
    expect((await list("origin=alaska")).json()).toMatchObject({ rows: [], more: false });
    expect((await get("cas?origin=alaska")).json().code).toBe("NOT_FOUND");
  });
});

describe("X1: limits and malformed requests get an answer with a code", () => {
  test("a key of 4,096 bytes fits, one more is KEY_TOO_LARGE, none is KEY_EMPTY", async () => {
    expect((await put("k".repeat(KEY_BYTES_MAX), "v")).statusCode).toBe(200);
    expect((await put("%FF".repeat(KEY_BYTES_MAX), "v")).statusCode).toBe(200);
    await answers(put("k".repeat(KEY_BYTES_MAX + 1), "v"), 413, "KEY_TOO_LARGE");
    await answers(put("", "v"), 400, "KEY_EMPTY");
    await answers(get(""), 400, "KEY_EMPTY");
    await answers(list(`prefix=${"k".repeat(KEY_BYTES_MAX + 1)}`), 413, "KEY_TOO_LARGE");
  });

  test("a value of 1 MiB fits, one byte more is VALUE_TOO_LARGE", async () => {
    expect((await put("large", Buffer.alloc(VALUE_BYTES_MAX, 1))).statusCode).toBe(200);
    expect((await get("large")).rawPayload.length).toBe(VALUE_BYTES_MAX);
    await answers(put("large", Buffer.alloc(VALUE_BYTES_MAX + 1)), 413, "VALUE_TOO_LARGE");
  });

  test.each([
    ["a broken percent-encoding", "/v1/kv/a%2"],
    ["a broken percent-encoding in a prefix", "/v1/kv?prefix=%zz"],
    ["an unknown consistency", "/v1/kv/a?consistency=eventual"],
    ["a misspelt parameter", "/v1/kv/a?consistancy=local"],
    ["a limit of nothing", "/v1/kv?limit=0"],
    ["an unknown order", "/v1/kv?sort=colour"],
    ["a page in an order that has none", "/v1/kv?sort=value&after=a"],
    ["an origin that is no name", "/v1/kv/a?origin=../etc"],
  ])("%s is BAD_REQUEST", (_, url) => answers(node.app.inject({ method: "GET", url }), 400, "BAD_REQUEST"));

  test("an unknown path and an unknown method are NOT_FOUND", async () => {
    await answers(node.app.inject({ method: "GET", url: "/v2/kv" }), 404, "NOT_FOUND");
    await answers(node.app.inject({ method: "PATCH", url: "/v1/kv/a" }), 404, "NOT_FOUND");
  });
});

describe("a read mode", () => {
  const positionOf = async (path: string): Promise<string> => (await put(path, "1")).json().position;
  const altered = (position: string, part: 0 | 1 | 2 | 3, to: string): string =>
    position
      .split(".")
      .map((text, i) => (i === part ? to : text))
      .join(".");

  test("at-least takes the position of any answer, and each answer says what it holds and how stale it may be", async () => {
    const written = await positionOf("modes/a");
    for (const query of [`minRevision=${written}`, `consistency=at-least&minRevision=${written}`]) {
      const read = await get(`modes/a?${query}`);
      expect(read.body).toBe("1");
      expect(read.headers["x-openclaw-position"]).toBe(written);
      expect(Number(read.headers["x-openclaw-stale-ms"])).toBeLessThan(60_000);
    }
    const removed = await remove("modes/a");
    const gone = await get(`modes/a?minRevision=${removed.headers["x-openclaw-position"]}`);
    expect(gone.statusCode).toBe(404);
    expect(gone.headers["x-openclaw-position"]).toBe(removed.json().position);
    const page = await list(`prefix=modes/&minRevision=${removed.json().position}`);
    expect(page.json().rows).toEqual([]);
    expect(page.headers["x-openclaw-position"]).toBe(removed.json().position);
    const local = await get("modes/a?consistency=local");
    expect(local.headers["x-openclaw-stale-ms"]).toMatch(/^\d+$/);
  });

  test("L3: a position of another cluster or epoch, or above what a majority confirms, is refused by name", async () => {
    const position = await positionOf("modes/b");
    const refused = async (minRevision: string) => (await get(`modes/b?minRevision=${minRevision}`)).json();
    expect(await refused(altered(position, 0, "alaska"))).toMatchObject({ code: "WRONG_CLUSTER", retryable: false });
    expect(await refused(altered(position, 2, "cd".repeat(16)))).toMatchObject({ code: "WRONG_EPOCH" });
    expect(await refused(altered(position, 3, "999999"))).toMatchObject({ code: "FORK" });
  });

  test.each([
    ["no position", "minRevision=17"],
    ["another partition", `minRevision=${CLUSTER}.1.${EPOCH.nonce}.1`],
    ["a revision that is none", `minRevision=${CLUSTER}.0.${EPOCH.nonce}.-1`],
    ["at-least without one", "consistency=at-least"],
    ["local with one", `consistency=local&minRevision=${CLUSTER}.0.${EPOCH.nonce}.0`],
    ["linearizable with one", `consistency=linearizable&minRevision=${CLUSTER}.0.${EPOCH.nonce}.0`],
  ])("%s is BAD_REQUEST", (_, query) => answers(get(`modes/c?${query}`), 400, "BAD_REQUEST"));
});
