/** The HTTP client of the command line, at nodes that break off. */
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import type { AddressInfo } from "node:net";
import { ApiClient } from "@openclaw/edge-runtime/cli/client.ts";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
let endpoint: string;
beforeAll(async () => {
  node = await startTestNode();
  endpoint = await node.listen();
});
afterAll(() => node.stop());

/** Passes a request on to the node and breaks off instead of answering; or answers that it cannot serve. */
async function troubled(answer: "breaks off" | 503): Promise<{ url: string; asked: IncomingHttpHeaders[] }> {
  const asked: IncomingHttpHeaders[] = [];
  const server = createServer((from, to) => {
    asked.push(from.headers);
    if (answer === 503) {
      to.writeHead(503).end(JSON.stringify({ code: "UNAVAILABLE", message: "no majority", retryable: true }));
      return;
    }
    const { method, url: path, headers } = from;
    const { hostname, port } = new URL(endpoint);
    const onward = request({ hostname, port, method, path, headers: { ...headers, host: `${hostname}:${port}` } });
    onward.on("response", (response) => response.resume().on("end", () => from.socket.destroy()));
    from.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** Answers with half of a body, and then breaks off or says nothing more. */
async function halting(
  then: "breaks off" | "hangs" | "never ends",
  status = 200,
): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_, to) => {
    asked++;
    if (then === "never ends") {
      const more = (): boolean => to.write("x".repeat(65_536), () => setImmediate(more));
      to.writeHead(status);
      more();
      return;
    }
    to.writeHead(status, { "content-length": 20 }).write('{"revision":', () => {
      if (then === "breaks off") to.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked };
}

test.each(["breaks off", "hangs"] as const)(
  "an answer that %s in its body is asked for at the next endpoint",
  async (then) => {
    const { url, asked } = await halting(then);
    const status = { method: "GET", path: "/v1/status" } as const;
    const bounds = { answerMs: 200, silenceMs: 200 };
    expect(await new ApiClient([url, endpoint], null, bounds).json(status)).toMatchObject({ cluster: "california" });
    await expect(new ApiClient([url], null, bounds).json(status)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(asked()).toBe(2);
  },
);

test.each(["breaks off", "hangs", "never ends"] as const)(
  "X1: a refusal that %s in its body holds nobody up",
  async (then) => {
    const { url } = await halting(then, 500);
    const client = new ApiClient([url, endpoint], null, { answerMs: 2_000, silenceMs: 2_000 });
    expect(await client.json({ method: "GET", path: "/v1/status" })).toMatchObject({ cluster: "california" });
  },
);

test("a stream in which nothing comes, not even a sign of life, breaks off", async () => {
  const { url } = await halting("hangs");
  const client = new ApiClient([url], null, { answerMs: 200, silenceMs: 200 });
  const response = await client.stream({ method: "GET", path: "/v1/changes" });
  await expect(response.toArray()).rejects.toThrow(/nothing came for 200 ms/);
});

const put = (key: string) => ({ method: "PUT", path: `/v1/kv/${key}`, body: new Uint8Array([49]) }) as const;

test("Q1: a write whose answer was lost is asked for at the next endpoint, and runs once", async () => {
  const { url, asked } = await troubled("breaks off");
  const answer = await new ApiClient([url, endpoint], null).json(put("once"));
  expect(answer).toMatchObject({ revision: expect.any(Number) });
  const { headers } = await node.app.inject("/v1/kv/once");
  expect(headers["x-openclaw-version"]).toBe("1");
  expect(asked.map((one) => one["idempotency-key"])).toEqual([expect.stringMatching(/^"[0-9a-f-]{36}"$/)]);
  const twice = await new ApiClient([endpoint], null).json(put("once"));
  expect(twice).not.toEqual(answer);
});

test("a node that cannot serve just now is passed over; its refusal is told when no other can", async () => {
  const { url, asked } = await troubled(503);
  await new ApiClient([url, endpoint], null).json(put("other"));
  const alone = new ApiClient([url, "http://127.0.0.1:1"], null).json(put("other"));
  await expect(alone).rejects.toMatchObject({ code: "UNAVAILABLE", message: "no majority" });
  expect(asked.length).toBe(2);
  const refused = new ApiClient([endpoint, url], null).json({ method: "DELETE", path: "/v1/kv/none" });
  await expect(refused).rejects.toMatchObject({ code: "NOT_FOUND" });
  expect(asked.length).toBe(2);
});
