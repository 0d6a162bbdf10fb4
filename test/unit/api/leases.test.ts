import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

const b64 = (text: string): string => Buffer.from(text).toString("base64");
const ask = async (method: "GET" | "POST" | "DELETE", url: string, payload?: object) =>
  (await node.app.inject({ method, url, ...(payload === undefined ? {} : { payload }) })).json();
const putWith = (key: string, lease: number) =>
  ask("POST", "/v1/txn", { success: [{ op: "put", key: b64(key), value: "", lease }] });

test("a lease is granted, holds keys, is kept alive, and takes its keys along", async () => {
  const { lease, ttlMs, position } = await ask("POST", "/v1/leases", { ttlMs: 60_000 });
  expect(ttlMs).toBe(60_000);
  expect(position).toEqual(expect.any(String));
  expect(await putWith("held", lease)).toMatchObject({ succeeded: true });
  expect(await ask("GET", `/v1/leases/${lease}`)).toMatchObject({ lease, ttlMs, keys: [b64("held")] });
  expect(await ask("POST", `/v1/leases/${lease}/keep-alive`)).toMatchObject({ lease });
  const range = { success: [{ op: "range", key: b64("held") }] };
  expect((await ask("POST", "/v1/txn", range)).responses).toMatchObject([{ rows: [{ lease }] }]);
  await ask("DELETE", `/v1/leases/${lease}`);
  expect((await node.app.inject("/v1/kv/held")).statusCode).toBe(404);
  for (const answer of [
    ask("GET", `/v1/leases/${lease}`),
    ask("DELETE", `/v1/leases/${lease}`),
    ask("POST", `/v1/leases/${lease}/keep-alive`),
    putWith("late", lease),
  ])
    expect(await answer).toMatchObject({ code: "LEASE_NOT_FOUND", retryable: false });
});

test("T1: one that nobody keeps alive ends by itself, with nobody else at work", async () => {
  const { lease } = await ask("POST", "/v1/leases", { ttlMs: 50, lease: 7 });
  expect(lease).toBe(7);
  await putWith("short", 7);
  await expect.poll(async () => (await node.app.inject("/v1/kv/short")).statusCode, { timeout: 20_000 }).toBe(404);
});

test.each([
  ["no time", "/v1/leases", { ttlMs: 0 }, "BAD_REQUEST"],
  ["no number", "/v1/leases", { ttlMs: 1, lease: 0 }, "BAD_REQUEST"],
  ["a number that is none", "/v1/leases/x/keep-alive", undefined, "BAD_REQUEST"],
])("%s is refused", async (_, url, payload, code) => {
  expect(await ask("POST", url, payload)).toMatchObject({ code });
});

test("an id is granted once", async () => {
  await ask("POST", "/v1/leases", { ttlMs: 60_000, lease: 11 });
  expect(await ask("POST", "/v1/leases", { ttlMs: 60_000, lease: 11 })).toMatchObject({ code: "LEASE_EXISTS" });
});
