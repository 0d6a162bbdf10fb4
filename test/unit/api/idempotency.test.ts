/** `Idempotency-Key` at every route that changes something. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

let drawn = 0;
const draw = (): string => `"key-${++drawn}"`;

async function ask(method: "PUT" | "POST" | "DELETE", url: string, key: string, payload?: object | string) {
  const headers = { "idempotency-key": key };
  const answer = await node.app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
  const { "x-openclaw-idempotency-remembered-ms": left } = answer.headers;
  return { status: answer.statusCode, left: left === undefined ? null : Number(left), body: answer.json() };
}

const version = async (key: string) => (await node.app.inject(`/v1/kv/${key}`)).headers["x-openclaw-version"];
const b64 = (text: string): string => Buffer.from(text).toString("base64");

test("Q1: a put is repeated without running, says until when, and no other request takes its key", async () => {
  const key = draw();
  const first = await ask("PUT", "/v1/kv/a", key, "1");
  expect(first).toMatchObject({ status: 200, body: { revision: expect.any(Number) } });
  expect(first.left).toBeGreaterThan(86_300_000);
  expect(first.left).toBeLessThanOrEqual(86_400_000);
  expect((await ask("PUT", "/v1/kv/a", key, "1")).body).toEqual(first.body);
  expect(await version("a")).toBe("1");
  for (const [url, value] of [
    ["/v1/kv/a", "2"],
    ["/v1/kv/b", "1"],
    ["/v1/kv/a?expected=0", "1"],
  ] as const)
    expect(await ask("PUT", url, key, value)).toMatchObject({
      status: 422,
      left: null,
      body: { code: "IDEMPOTENCY_KEY_REUSED", retryable: false },
    });
  expect((await ask("PUT", "/v1/kv/a", draw(), "1")).body.revision).toBe(first.body.revision + 1);
});

test("Q1: how many are remembered, ran and were repeated is in the metrics", async () => {
  const own = await startTestNode();
  const put = (key: string, value: string) =>
    own.app.inject({ method: "PUT", url: "/v1/kv/a", headers: { "idempotency-key": key }, payload: value });
  for (const [key, value] of [
    ["one", "1"],
    ["one", "1"],
    ["two", "2"],
    ["two", "3"],
  ] as const)
    await put(key, value);
  const { body } = await own.app.inject("/metrics");
  for (const line of [
    "openclaw_idempotency_keys 2",
    'openclaw_idempotent_requests_total{result="ran"} 2',
    'openclaw_idempotent_requests_total{result="repeated"} 1',
    'openclaw_proposals_total{command="put",result="IDEMPOTENCY_KEY_REUSED"} 1',
  ])
    expect(body).toContain(`${line}\n`);
  await own.replica.stop();
  expect((await own.app.inject("/metrics")).statusCode).toBe(200);
  await own.app.close();
});

test("Q1: repeats that come while the first is under way wait for it", async () => {
  const key = draw();
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask("PUT", "/v1/kv/at-once", key, "1")));
  expect(new Set(answers.map(({ body }) => body.revision)).size).toBe(1);
  expect(await version("at-once")).toBe("1");
});

test("Q1: a refusal is repeated as it was; what was wrong before it ran is not remembered", async () => {
  const key = draw();
  expect(await ask("DELETE", "/v1/kv/none", key)).toMatchObject({ status: 404 });
  await node.put("none", "x");
  expect(await ask("DELETE", "/v1/kv/none", key)).toMatchObject({ status: 404 });
  const compared = draw();
  const failed = await ask("PUT", "/v1/kv/none?expected=999", compared, "1");
  expect(failed).toMatchObject({ status: 412, body: { code: "COMPARE_FAILED" } });
  expect((await ask("PUT", "/v1/kv/none?expected=999", compared, "1")).body).toEqual(failed.body);
  const again = draw();
  expect(await ask("POST", "/v1/leases", again, { ttlMs: 0 })).toMatchObject({ status: 400, left: null });
  expect(await ask("POST", "/v1/leases", again, { ttlMs: 60_000 })).toMatchObject({ status: 200 });
});

test("Q1: a transaction's response is repeated", async () => {
  const key = draw();
  const txn = { success: [{ op: "put", key: b64("t"), value: b64("1"), previous: true }] };
  await node.put("t", "0");
  const first = await ask("POST", "/v1/txn", key, txn);
  expect(first.body.responses).toMatchObject([{ previous: { value: b64("0") } }]);
  expect((await ask("POST", "/v1/txn", key, txn)).body).toEqual(first.body);
});

test("Q1: a repeat is told of the lease that was drawn for the first", async () => {
  const key = draw();
  const first = await ask("POST", "/v1/leases", key, { ttlMs: 60_000 });
  expect((await ask("POST", "/v1/leases", key, { ttlMs: 60_000 })).body).toEqual(first.body);
  const { lease } = first.body;
  expect(await ask("POST", `/v1/leases/${lease}/keep-alive`, draw())).toMatchObject({ status: 200 });
  const gone = draw();
  for (let i = 0; i < 2; i++) expect(await ask("DELETE", `/v1/leases/${lease}`, gone)).toMatchObject({ status: 200 });
});

test("Q1: a document is edited once, and the repeat is told of that change", async () => {
  const key = draw();
  const ops = { ops: [{ op: "put", path: ["n"], value: 1 }] };
  const first = await ask("POST", "/v1/docs/log/today", key, ops);
  expect(first.body.hash).toEqual(expect.stringMatching(/^[0-9a-f]{64}$/));
  expect((await ask("POST", "/v1/docs/log/today", key, ops)).body).toEqual(first.body);
  const twice = draw();
  const insert = { ops: [{ op: "put", path: ["m"], value: Date.now() }] };
  const answers = await Promise.all([1, 2, 3].map(() => ask("POST", "/v1/docs/log/today", twice, insert)));
  expect(new Set(answers.map(({ body }) => body.hash)).size).toBe(1);
  expect(await ask("POST", "/v1/docs/log/today", twice, ops)).toMatchObject({ status: 422 });
});

test("Q1: a compaction is repeated without running, and its key is of its revision", async () => {
  const { revision } = (await ask("PUT", "/v1/kv/compacted", draw(), "1")).body;
  const key = draw();
  const compact = (to: number) => ask("POST", "/v1/compact", key, { revision: to });
  for (let i = 0; i < 2; i++)
    expect(await compact(revision)).toMatchObject({ status: 200, body: { compacted: revision } });
  expect((await compact(revision - 1)).body.code).toBe("IDEMPOTENCY_KEY_REUSED");
  expect((await ask("POST", "/v1/compact", draw(), { revision })).body.code).toBe("COMPACTED");
});

describe("the header", () => {
  test.each(["", '""', '"', '"a', 'a"b', "a,b", "a b", "é", `"${"x".repeat(256)}"`, "x".repeat(256), '"a\\b"'])(
    "%j is refused",
    async (key) => {
      expect(await ask("PUT", "/v1/kv/h", key, "1")).toMatchObject({ status: 400, body: { code: "BAD_REQUEST" } });
      expect(await ask("POST", "/v1/leader", key, { node: "x" })).toMatchObject({ status: 400 });
    },
  );

  test.each([
    ["8e03978e-40d5-43dd-bc93-6894a57f9324", '"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    ['"a \\"b\\" c"', '"a \\"b\\" c"'],
    [`"${"x".repeat(255)}"`, "x".repeat(255)],
  ])("%j is the key that %j is", async (one, other) => {
    const first = await ask("PUT", "/v1/kv/h", one, "1");
    expect(first.status).toBe(200);
    expect((await ask("PUT", "/v1/kv/h", other, "1")).body).toEqual(first.body);
  });

  test("stands in the description of every route that changes something, and of no other", async () => {
    const { paths } = (await node.app.inject("/v1/openapi.json")).json();
    const described: string[] = [];
    for (const [path, methods] of Object.entries<Record<string, { parameters?: { name: string }[] }>>(paths))
      for (const [method, { parameters = [] }] of Object.entries(methods))
        if (parameters.some(({ name }) => name === "idempotency-key")) described.push(`${method} ${path}`);
    expect(described.sort()).toEqual([
      "delete /v1/kv/{key}",
      "delete /v1/leases/{lease}",
      "delete /v1/members/{node}",
      "post /v1/admin/compare-states",
      "post /v1/admin/uplink",
      "post /v1/compact",
      "post /v1/docs/{collection}/{id}",
      "post /v1/leader",
      "post /v1/leases",
      "post /v1/leases/{lease}/keep-alive",
      "post /v1/sites/{site}/resolve",
      "post /v1/sync/adopt-parent",
      "post /v1/sync/allow",
      "post /v1/txn",
      "put /v1/homes",
      "put /v1/kv/{key}",
    ]);
  });
});
