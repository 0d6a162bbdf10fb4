import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLUSTER, EPOCH, startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

const b64 = (text: string): string => Buffer.from(text).toString("base64");
const post = (payload: object | string) =>
  node.app.inject({
    method: "POST",
    url: "/v1/txn",
    headers: { "content-type": "application/json" },
    payload: typeof payload === "string" ? payload : JSON.stringify(payload),
  });

describe("a transaction over HTTP", () => {
  test("compares, writes and reads at one revision, and answers operation by operation", async () => {
    const created = await post({
      compare: [{ target: "createRevision", key: b64("t/a"), result: "equal", number: 0 }],
      success: [
        { op: "put", key: b64("t/a"), value: b64("1") },
        { op: "put", key: b64("t/b"), value: b64("\u0000") },
        { op: "range", key: b64("t/"), rangeEnd: b64("t0"), view: "keys", count: true },
      ],
      failure: [{ op: "deleteRange", key: "AA==", rangeEnd: "AA==" }],
    });
    expect(created.statusCode).toBe(200);
    const { revision } = created.json();
    const row = { value: "", createRevision: revision, modRevision: revision, version: 1, lease: null };
    expect(created.json()).toEqual({
      cluster: CLUSTER,
      partition: 0,
      epoch: EPOCH.nonce,
      revision,
      position: `${CLUSTER}.0.${EPOCH.nonce}.${revision}`,
      succeeded: true,
      responses: [
        { op: "put", previous: null },
        { op: "put", previous: null },
        {
          op: "range",
          more: false,
          count: 2,
          rows: [
            { key: b64("t/a"), ...row },
            { key: b64("t/b"), ...row },
          ],
        },
      ],
    });
    expect(created.headers["x-openclaw-position"]).toBe(created.json().position);

    const second = await post({
      compare: [{ target: "value", key: b64("t/a"), result: "greater", value: b64("1") }],
      failure: [
        {
          op: "txn",
          success: [
            { op: "put", key: b64("t/a"), value: null, previous: true },
            { op: "deleteRange", key: b64("t/b"), rangeEnd: "AA==", previous: true },
          ],
        },
      ],
    });
    expect(second.json()).toMatchObject({
      revision: revision + 1,
      succeeded: false,
      responses: [
        {
          op: "txn",
          succeeded: true,
          responses: [
            { previous: { key: b64("t/a"), value: b64("1"), version: 1 } },
            { deleted: 1, previous: [{ key: b64("t/b"), value: "AA==" }] },
          ],
        },
      ],
    });
    expect((await node.app.inject("/v1/kv/t/a")).headers["x-openclaw-version"]).toBe("2");
  });

  test("one that does not hold and has nothing else to do is no failure", async () => {
    const compare = [{ target: "modRevision", key: b64("t/none"), result: "notEqual", number: 0 }];
    expect((await post({ compare })).json()).toMatchObject({ succeeded: false, responses: [] });
    const key = b64("t/none");
    const put = { op: "put", key, value: "" };
    const asCompareAndSet = await post({
      compare: [{ target: "modRevision", key, result: "equal", number: 7 }],
      success: [put],
      failure: [{ op: "range", key, view: "keys" }],
    });
    expect(asCompareAndSet.json()).toMatchObject({ succeeded: false, responses: [{ op: "range", rows: [] }] });
  });

  test.each([
    [
      "a key put twice",
      { success: ["1", "2"].map((value) => ({ op: "put", key: b64("d"), value })) },
      400,
      "BAD_REQUEST",
    ],
    [
      "a key put twice, in base64",
      { success: ["1", "2"].map((value) => ({ op: "put", key: b64("d"), value: b64(value) })) },
      400,
      "DUPLICATE_KEY",
    ],
    ["an empty key", { success: [{ op: "range", key: "" }] }, 400, "KEY_EMPTY"],
    ["the value of no key", { success: [{ op: "put", key: b64("no"), value: null }] }, 404, "NOT_FOUND"],
    ["an unknown operation", { success: [{ op: "increment", key: b64("a") }] }, 400, "BAD_REQUEST"],
    ["a misspelt field", { succes: [] }, 400, "BAD_REQUEST"],
    [
      "an odd compare",
      { compare: [{ target: "value", key: b64("a"), result: "equal", number: 1 }] },
      400,
      "BAD_REQUEST",
    ],
    ["no object", [], 400, "BAD_REQUEST"],
    ["too much", `{"success":[${" ".repeat(4_194_304)}]}`, 413, "TXN_TOO_LARGE"],
    ["too many operations", { success: Array(129).fill({ op: "range", key: b64("a") }) }, 413, "TXN_TOO_LARGE"],
    ["deep nesting", `{"success":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, 400, "BAD_REQUEST"],
    ["a prototype", '{"__proto__":{"success":[]}}', 400, "BAD_REQUEST"],
  ])("%s is refused by code", async (_, payload, status, code) => {
    const response = await post(payload);
    expect(response.json()).toMatchObject({ code });
    expect(response.statusCode).toBe(status);
  });

  test("X1: of a body with more items than any transaction has, none is looked at", async () => {
    const response = await post({ compare: Array(5_000).fill({}) });
    expect(response.json()).toMatchObject({ code: "BAD_REQUEST", message: expect.stringContaining("more than 2048") });
  });
});
