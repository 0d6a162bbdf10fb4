import * as Automerge from "@automerge/automerge";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { changesOf } from "../documents/changes.ts";
import { startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

const edit = (path: string, ops: unknown) =>
  node.app.inject({ method: "POST", url: `/v1/docs/${path}`, payload: { ops } });
const get = (path: string, headers: Record<string, string> = {}) =>
  node.app.inject({ method: "GET", url: `/v1/docs/${path}`, headers });

describe("a document", () => {
  test("begins with its first edit, is edited, read as JSON and as Automerge bytes, and listed", async () => {
    expect((await get("log/today")).json().code).toBe("NOT_FOUND");
    const begun = await edit("log/today", [{ op: "put", path: ["text"], value: "shift" }]);
    expect(begun.json()).toEqual({
      revision: expect.any(Number),
      position: expect.stringMatching(/^california\.0\.[0-9a-f]{32}\.\d+$/),
      heads: [begun.json().hash],
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const edited = (
      await edit("log/today", [{ op: "splice", path: ["text"], index: 5, delete: 0, insert: " log" }])
    ).json();
    expect(edited.revision).toBe(begun.json().revision + 1);
    const read = await get("log/today");
    expect(read.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(read.json()).toEqual({
      document: { text: "shift log" },
      heads: [edited.hash],
      pending: 0,
      quarantined: 0,
      refused: [],
    });
    const bytes = await get("log/today", { accept: "application/octet-stream" });
    expect(bytes.headers["x-openclaw-heads"]).toBe(edited.hash);
    const doc = Automerge.load<{ text: string }>(bytes.rawPayload);
    expect(Automerge.toJS(doc)).toEqual({ text: "shift log" });
    const actors = new Set(Automerge.getAllChanges(doc).map((change) => Automerge.decodeChange(change).actor));
    expect(actors.size, "D4: an actor is used once").toBe(2);
    expect((await get("log")).json()).toEqual({ documents: ["today"] });
    expect((await get("nothing")).json()).toEqual({ documents: [] });
  });

  test("keeps what others commit meanwhile: edits at once all stand", async () => {
    await edit("log/many", [{ op: "put", path: ["by"], value: {} }]);
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => edit("log/many", [{ op: "put", path: ["by", `k${i}`], value: i }])),
    );
    for (const answer of answers) expect(answer.statusCode).toBe(200);
    const { document } = (await get("log/many")).json();
    expect(document.by).toEqual(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`k${i}`, i])));
  });

  test("shows changes that came by other ways", async () => {
    const changes = changesOf(
      "aabb",
      (d) => Object.assign(d, { from: "a browser" }),
      (d) => Object.assign(d, { more: [1] }),
    );
    const outcome = await node.replica.execute(
      { kind: "change", collection: "log", document: "mixed", changes },
      { principal: "p", timeoutMs: 5_000 },
    );
    expect(outcome.ok).toBe(true);
    await edit("log/mixed", [{ op: "put", path: ["more", 1], value: "two" }]);
    expect((await get("log/mixed")).json().document).toEqual({ from: "a browser", more: [1, "two"] });
  });

  test("an edit that changes nothing commits nothing", async () => {
    const { revision, position, heads } = (
      await edit("log/same", [{ op: "put", path: ["text"], value: "same" }])
    ).json();
    const nothing = (
      await edit("log/same", [{ op: "splice", path: ["text"], index: 0, delete: 0, insert: "" }])
    ).json();
    expect(nothing).toEqual({ revision, position, heads, hash: null });
  });

  test("ids may hold slashes and Unicode; a path's texts and numbers stay what they are", async () => {
    const id = encodeURIComponent("2026/größe");
    expect((await edit(`log/${id}`, [{ op: "put", path: ["0"], value: { "1": "one" } }])).statusCode).toBe(200);
    expect((await get(`log/${id}`)).json().document).toEqual({ "0": { "1": "one" } });
    expect((await get("log")).json().documents).toContain("2026/größe");
  });
});

describe("X1: a malformed edit", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  test.each<[string, unknown]>([
    ["without operations", []],
    ["with an unknown operation", [{ op: "move", path: ["a"] }]],
    ["with a field too many", [{ op: "delete", path: ["a"], force: true }]],
    ["without a value", [{ op: "put", path: ["a"] }]],
    ["with a negative index", [{ op: "splice", path: ["a"], index: -1, delete: 0, insert: "" }]],
    ["with a path to nowhere", [{ op: "put", path: ["a", "b"], value: 1 }]],
    ["nested too deeply", [{ op: "put", path: ["a"], value: nested(40) }]],
    ["of too many operations", Array.from({ length: 1_001 }, () => ({ op: "put", path: ["a"], value: 1 }))],
  ])("%s is BAD_REQUEST", async (_, ops) => {
    const response = await edit("log/bad", ops);
    expect(response.json()).toEqual({ code: "BAD_REQUEST", message: expect.any(String), retryable: false });
    expect((await get("log/bad")).statusCode).toBe(404);
  });

  test.each([
    ["malformed JSON", '{"ops":['],
    ["__proto__ (pitfall 49)", '{"ops":[{"op":"put","path":["a"],"value":{"__proto__":{"x":1}}}]}'],
    ["nothing", ""],
    [
      "a hundred thousand brackets",
      `{"ops":[{"op":"put","path":["a"],"value":${"[".repeat(100_000)}${"]".repeat(100_000)}}]}`,
    ],
  ])("%s is BAD_REQUEST", async (_, payload) => {
    const headers = { "content-type": "application/json" };
    const response = await node.app.inject({ method: "POST", url: "/v1/docs/log/bad", payload, headers });
    expect(response.json()).toMatchObject({ code: "BAD_REQUEST" });
  });

  test("another content type is BAD_REQUEST, and a name with a slash for a collection too", async () => {
    const headers = { "content-type": "text/plain" };
    const text = await node.app.inject({ method: "POST", url: "/v1/docs/log/bad", payload: "x", headers });
    expect(text.json().code).toBe("BAD_REQUEST");
    expect((await get("a%2Fb")).json().code).toBe("BAD_REQUEST");
    expect((await edit("a%2Fb/c", [{ op: "put", path: ["a"], value: 1 }])).json().code).toBe("BAD_REQUEST");
  });
});
