import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { textOf } from "@openclaw/core/error-texts.ts";
import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import { createLog } from "@openclaw/edge-runtime/log.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";
import { StandInUplink } from "./stand-in-uplink.ts";

let node: TestNode;
let folder: string;
const uplink = new StandInUplink();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-page-"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>page</title>");
  node = await startTestNode({ uplink, page: folder, origins: ["https://shop.example"] });
  await node.put("k", "v");
});
afterAll(async () => {
  await node.stop();
  await rm(folder, { recursive: true });
});
const get = (url: string, headers: Record<string, string> = {}) => node.app.inject({ method: "GET", url, headers });

describe("what an operator sees", () => {
  test("status says where node and cluster stand; the hash only when asked", async () => {
    const status = (await get("/v1/status")).json();
    expect(status).toMatchObject({
      cluster: "california",
      partition: 0,
      node: "california-1",
      role: "leader",
      leader: "california-1",
      term: expect.any(Number),
      revision: 1,
      quorum: 1,
      members: [{ node: "california-1", http: "http://127.0.0.1:8101", heardMsAgo: 0, revision: 1 }],
      parent: { cluster: "hub", enabled: true, connected: true, holds: 0, lag: 1 },
      notes: [],
    });
    expect(status.ledgerHash).toMatch(/^[0-9a-f]{64}$/);
    expect(status).not.toHaveProperty("state");
    const { state } = (await get("/v1/status?hash=true")).json();
    expect(state).toEqual({
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      rows: expect.any(Number),
      content: { hash: expect.stringMatching(/^[0-9a-f]{64}$/), rows: 1 },
      revision: 1,
      ledgerHash: status.ledgerHash,
    });
  });

  test("pitfall 34: a cluster of two is told that its quorum is two", async () => {
    const two = await startTestNode({
      replica: (replica) =>
        new Proxy(replica, {
          get: (target, name) => {
            const member = Reflect.get(target, name, target);
            if (typeof member !== "function") return member;
            if (name !== "status") return member.bind(target);
            return () => ({ ...target.status(), members: ["a-1", "a-2"] });
          },
        }),
    });
    const status = (await two.app.inject("/v1/status")).json();
    expect(status.quorum).toBe(2);
    expect(status.notes).toContainEqual(expect.stringContaining("quorum of two"));
    await two.stop();
  });

  test("gateways are the members' WebSocket addresses with their peers", async () => {
    expect((await get("/v1/gateways")).json()).toEqual({
      cluster: "california",
      gateways: [expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/9201\/ws\/p2p\/12D3Koo/)],
      http: ["http://127.0.0.1:8101"],
    });
  });

  test("health, readiness and metrics", async () => {
    expect((await get("/healthz")).json()).toEqual({ ok: true });
    await expect.poll(async () => (await get("/readyz")).statusCode).toBe(200);
    await node.app.inject({ method: "PUT", url: "/v1/kv/metered", payload: "x" });
    const { body, headers } = await get("/metrics");
    expect(headers["content-type"]).toContain("text/plain");
    for (const line of [
      /openclaw_proposals_total\{command="put",result="ok"\} 1/,
      /openclaw_commit_seconds_count\{command="put"\} 1/,
      /openclaw_raft_term [1-9]/,
      /openclaw_raft_leader 1/,
      /openclaw_raft_commit_index [1-9]/,
      /openclaw_raft_applied_index [1-9]/,
      /openclaw_transport_drops 0/,
      /openclaw_state_reads 3/,
      /openclaw_children 2/,
      /openclaw_presence_entries 4/,
      /openclaw_presence_topics 3/,
      /openclaw_presence\{what="superseded"\} 7/,
      /openclaw_presence\{what="malformed"\} 2/,
      /openclaw_provisional\{what="shown"\} 4/,
      /openclaw_provisional\{what="limited"\} 3/,
      /openclaw_watchers 0/,
      /openclaw_uplink_lag_revisions 2/,
      /nodejs_eventloop_lag_p99_seconds/,
    ]) {
      expect(body).toMatch(line);
    }
  });

  test("the uplink can be paused and resumed", async () => {
    const set = (payload: object) => node.app.inject({ method: "POST", url: "/v1/admin/uplink", payload });
    expect((await set({ enabled: false })).json()).toEqual({ enabled: false });
    expect((await get("/v1/status")).json().parent).toMatchObject({ enabled: false });
    expect((await set({ enabled: true })).json()).toEqual({ enabled: true });
    expect((await set({})).json().code).toBe("BAD_REQUEST");
  });
});

test("every route is in the OpenAPI document", async () => {
  const own = await startTestNode({
    extend: (app) => {
      app.get("/v1/sites", { schema: { summary: "A route that the hub adds" } }, async () => ({ sites: [] }));
    },
  });
  await own.app.ready();
  const { paths, openapi } = (await own.app.inject("/v1/openapi.json")).json();
  expect(openapi).toBe("3.1.0");
  const described = Object.keys(paths).flatMap((path) =>
    Object.keys(paths[path]).map((method) => `${method.toUpperCase()} ${path}`),
  );
  // What the router itself holds: HEAD goes with GET.
  const printed = own.app.printRoutes({ commonPrefix: false }).match(/\(([A-Z, ]+)\)/g) ?? [];
  const routed = printed.flatMap((methods) => methods.slice(1, -1).split(", ")).filter((method) => method !== "HEAD");
  expect(described.length).toBe(routed.length);
  expect(described.toSorted()).toEqual(
    [
      "DELETE /v1/kv/{key}",
      "DELETE /v1/leases/{lease}",
      "DELETE /v1/members/{node}",
      "GET /healthz",
      "GET /metrics",
      "GET /readyz",
      "GET /v1/admin/ledger-check",
      "GET /v1/base",
      "GET /v1/changes",
      "GET /v1/commands",
      "GET /v1/commands/{handle}",
      "GET /v1/docs/{collection}",
      "GET /v1/docs/{collection}/{id}",
      "GET /v1/gateways",
      "GET /v1/history/{key}",
      "GET /v1/homes",
      "GET /v1/kv",
      "GET /v1/kv/{key}",
      "GET /v1/leases/{lease}",
      "GET /v1/ledger",
      "GET /v1/members",
      "GET /v1/openapi.json",
      "GET /v1/shed",
      "GET /v1/sites",
      "GET /v1/sites/{site}/left/{epoch}",
      "GET /v1/sites/{site}/lives",
      "GET /v1/status",
      "GET /v1/sync",
      "GET /v1/watch",
      "POST /v1/admin/compare-states",
      "POST /v1/admin/uplink",
      "POST /v1/compact",
      "POST /v1/docs/{collection}/{id}",
      "POST /v1/leader",
      "POST /v1/leases",
      "POST /v1/leases/{lease}/keep-alive",
      "POST /v1/sites/{site}/resolve",
      "POST /v1/sync/adopt-parent",
      "POST /v1/sync/allow",
      "POST /v1/txn",
      "POST /v1/watch",
      "POST /v1/watch/{stream}",
      "PUT /v1/homes",
      "PUT /v1/kv/{key}",
    ].toSorted(),
  );
  for (const [path, methods] of Object.entries<Record<string, { summary?: string }>>(paths)) {
    for (const [method, { summary }] of Object.entries(methods)) expect(summary, `${method} ${path}`).toBeTruthy();
  }
  await own.stop();
});

describe("the page", () => {
  test("is served at / without inline script, and what is not there is NOT_FOUND", async () => {
    const page = await get("/");
    expect(page.body).toContain("<title>page</title>");
    const policy = String(page.headers["content-security-policy"]);
    expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");
    expect(policy).not.toContain("unsafe-inline");
    expect(policy).toContain("ws://127.0.0.1:9201");
    expect((await get("/missing.js")).json().code).toBe("NOT_FOUND");
    expect((await get("/../../etc/passwd")).statusCode).toBe(404);
    expect((await get("/%2e%2e/%2e%2e/etc/passwd")).statusCode).toBe(404);
  });
});

describe("X2: without tokens, a page of another site can do nothing", () => {
  test.each([
    ["another origin", { origin: "https://evil.example" }],
    ["an opaque origin", { origin: "null" }],
    ["another port of loopback", { origin: "http://localhost:9999" }],
    ["a name rebound to loopback", { host: "evil.example:8101", origin: "http://evil.example:8101" }],
    ["a rebound name without Origin", { host: "evil.example" }],
  ])("%s is CROSS_SITE", async (_, headers) => {
    for (const method of ["GET", "PUT", "DELETE", "OPTIONS"] as const) {
      const response = await node.app.inject({ method, url: "/v1/kv/k", headers });
      expect(response.json(), method).toMatchObject({ code: "CROSS_SITE", retryable: false });
      expect(response.headers).not.toHaveProperty("access-control-allow-origin");
    }
  });

  test.each([
    ["no browser", {}],
    ["the node's own page", { host: "localhost:8101", origin: "http://localhost:8101" }],
    ["a page of another gateway of the site", { host: "127.0.0.1:8102", origin: "http://127.0.0.1:8101" }],
    ["an origin that is configured", { host: "[::1]:8101", origin: "https://shop.example" }],
  ])("%s is served", async (_, headers) => {
    expect((await get("/v1/kv/k", headers)).statusCode).toBe(200);
  });

  test("a configured origin gets its preflight answered", async () => {
    const headers = { origin: "https://shop.example", "access-control-request-method": "PUT" };
    const response = await node.app.inject({ method: "OPTIONS", url: "/v1/kv/k", headers });
    expect(response.statusCode).toBe(204);
    expect(response.headers).toMatchObject({ "access-control-allow-origin": "https://shop.example", vary: "Origin" });
    expect(response.headers["access-control-allow-methods"]).toContain("PUT");
  });
});

describe("no request hangs, and every failure has a code", () => {
  const failing = (error: Error) =>
    startTestNode({
      onFatal: (fatal) => fatals.push(fatal),
      extend: (app) => {
        app.get("/v1/failing", async () => {
          throw error;
        });
      },
    });
  const fatals: Error[] = [];

  test("an expected failure leaves with its status, its code and its words", async () => {
    const own = await failing(new OpenClawError("SESSION_EXPIRED", "why"));
    const response = await own.app.inject("/v1/failing");
    expect(response.statusCode).toBe(409);
    expect(response.json()).toEqual({
      code: "SESSION_EXPIRED",
      message: `${textOf("SESSION_EXPIRED")} (why)`,
      retryable: false,
    });
    await own.stop();
  });

  test("what nobody expected is INTERNAL and says nothing of itself; a broken invariant stops the node", async () => {
    const surprise = await failing(new TypeError("a secret detail"));
    const response = await surprise.app.inject("/v1/failing");
    expect(response.json()).toEqual({ code: "INTERNAL", message: textOf("INTERNAL"), retryable: false });
    expect(fatals).toEqual([]);
    await surprise.stop();
    const broken = await failing(new InvariantViolation("two leaders"));
    expect((await broken.app.inject("/v1/failing")).json().code).toBe("INTERNAL");
    expect(fatals).toEqual([expect.any(InvariantViolation)]);
    await broken.stop();
  });

  test("a replica that is stopped answers, for reads and writes", async () => {
    const own = await startTestNode();
    await own.replica.stop();
    for (const request of [
      { method: "GET", url: "/v1/kv/k" },
      { method: "PUT", url: "/v1/kv/k" },
      { method: "GET", url: "/v1/docs/c/d" },
    ] as const) {
      expect((await own.app.inject(request)).json(), request.url).toMatchObject({ code: "STOPPED", retryable: true });
    }
    await own.app.close();
  });
});

test("the log never holds a token or a key", () => {
  const lines: string[] = [];
  const log = createLog(
    { level: "info", cluster: "california", node: "california-1" },
    { write: (line) => void lines.push(line) },
  );
  log.info(
    { token: "s3cret", config: { privateKey: "s3cret" }, req: { headers: { authorization: "Bearer s3cret" } } },
    "hello",
  );
  expect(lines.join("")).toContain('"msg":"hello"');
  expect(lines.join("")).not.toContain("s3cret");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    cluster: "california",
    node: "california-1",
    token: "[redacted]",
  });
});
